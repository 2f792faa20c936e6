"""One guarded call: metadata -> caller, decision, and status.

A call is described as an ASGI scope, so that addresses, proxies, certificates and credentials are read as for HTTP.
gRPC does not show the `:authority` of a call to Python, so signatures, which cover the host, can't be verified: they
are refused. Session cookies are ignored.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

import grpc

from iam_guard import Principal
from iam_guard.adapters import (
    Bridge,
    CallerLookup,
    CurrentCall,
    GuardedRequest,
    SigV4Credential,
    challenge_anonymous,
    check_answer,
    detail_of,
    principal_lookup,
    reading_credential,
)
from iam_guard.errors import (
    ConfigurationError,
    EntityAlreadyExists,
    IamGuardError,
    IncompleteSignature,
    ServerBusy,
    UndecidedEndpoint,
)
from iam_guard_grpc.guarded_method import POST, GuardedMethod, parameters_of

_log = logging.getLogger("iam_guard.web")

REQUEST_ID: Final = "x-amzn-requestid"
ERROR_TYPE: Final = "x-amzn-errortype"
_SECURE: Final = (b"ssl", b"alts")
_INTERNET: Final = ("ipv4", "ipv6")
_STATUSES: Final[Mapping[int, grpc.StatusCode]] = {
    HTTPStatus.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    HTTPStatus.CONFLICT: grpc.StatusCode.FAILED_PRECONDITION,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}


class GuardedRpc(GuardedRequest):
    """The steps of one call, for synchronous and asynchronous handlers alike."""

    def __init__(self, bridge: Bridge, method: GuardedMethod, context: Any) -> None:
        super().__init__(bridge, scope_of(method.path, context))
        self._method = method
        self._context = context
        self._id = (REQUEST_ID, self.request_id)
        context.set_trailing_metadata((self._id,))

    # --- before the handler ---------------------------------------------------------------------------------------

    def begin(self, request: Any, app: object) -> CurrentCall:
        """Authenticate the caller in a thread; raises what `Guard.authenticate` raises, and for an unguarded method."""
        return self._matched(self._known_caller() or self._lookup().run(), request, app)

    async def begin_async(self, request: Any, app: object) -> CurrentCall:
        """Authenticate as `begin` does; use a thread if the store must be queried."""
        return self._matched(self._known_caller() or await self._lookup().run_async(), request, app)

    def _known_caller(self) -> Principal | None:
        """Return the caller of an API key that was verified before with the same metadata; None for any other call."""
        guard, sent = self.bridge.guard, self.scope["headers"]
        known = guard.known_credentials
        headers = dict(sent)
        if known is None or len(headers) != len(sent):
            return None
        principal = known.api_keys.principal(self.scope["raw_path"], b"", headers, guard.clock())
        if principal is not None:
            guard.count_authenticated(principal)
        return principal

    def _lookup(self) -> CallerLookup[Principal]:
        guard, connection = self.bridge.guard, self.bridge.connection
        with reading_credential(guard, connection, self.scope, self.facts) as (request, credential):
            if isinstance(credential, SigV4Credential):
                message = "signatures are not accepted over gRPC: use an API key, a token or a client certificate"
                raise IncompleteSignature(message, place="authorization")
        return principal_lookup(guard, request, credential, self.facts)

    def _matched(self, principal: Principal, request: Any, app: object) -> CurrentCall:
        """Return the call of an authenticated caller; raise `UndecidedEndpoint` for an unguarded method."""
        method, call = self._method, self.admit_principal(principal)
        call.read_parameters = _parameters
        given = {} if method.takes_stream else {"request": request}
        call.matched(method.endpoint, given, address=method.path, app=app)
        call.is_public = method.is_public
        if not method.is_guarded:
            hint = "put the guard after other interceptors"
            raise UndecidedEndpoint(f"the method `{method.path}` is neither guarded nor public; {hint}")
        return call

    # --- after the handler ----------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise unless a message may be sent: after a denial, and without a decision, it may not."""
        if self.call is not None:
            check_answer(self.call, HTTPStatus.OK, self._method.endpoint, None)

    def refusal(self, error: Exception) -> tuple[grpc.StatusCode, str] | None:
        """Return the arguments of `context.abort` for an error, None for one of the handler; record it if necessary.

        An unexpected error before the decision, as of a loader, is the guard's: gRPC sends its text to the caller.
        """
        if not isinstance(error, IamGuardError):
            if not self._is_before_decision(error):
                return None
            _log.error("%s %s: an error before the decision", POST, self._method.path, exc_info=error)
            error = ConfigurationError("an error before the decision")
        self.record(error)
        shown = challenge_anonymous(error)
        self._context.set_trailing_metadata((*self._metadata(ERROR_TYPE), self._id, (ERROR_TYPE, shown.code)))
        return status_of(shown), detail_of(shown)

    def end(self) -> None:
        """End the call: code that runs later has no caller."""
        super().end()
        if hasattr(self._context, "trailing_metadata"):
            self._context.set_trailing_metadata((*self._metadata(), self._id))

    def _is_before_decision(self, error: Exception) -> bool:
        """Return whether no decision was made yet, and the error is not from `context.abort` or a cancellation."""
        if self.call is None or self.call.decisions or self.call.is_public:
            return False
        code = getattr(self._context, "code", None)  # `abort` of a synchronous context raises a plain `Exception`
        has_aborted = isinstance(error, (grpc.RpcError, grpc.aio.AbortError)) or (code is not None and bool(code()))
        return not has_aborted

    def _metadata(self, *replaced: str) -> tuple[Any, ...]:
        """Return the trailing metadata that the handler has set."""
        read = getattr(self._context, "trailing_metadata", None)  # missing for synchronous handlers in `grpc.aio`
        found = () if read is None else read() or ()
        return tuple(item for item in found if item[0] not in (REQUEST_ID, *replaced))


def scope_of(method: str, context: Any) -> dict[str, Any]:
    """Return the call as an ASGI scope; `context` is the servicer context."""
    family, _, address = unquote(context.peer()).partition(":")
    tls: Mapping[str, Any] = context.auth_context() or {}
    is_secure = any(kind in _SECURE for kind in tls.get("transport_security_type", ()))
    return {
        "type": "grpc",
        "method": POST,
        "scheme": "https" if is_secure else "http",
        "path": method,
        "raw_path": method.encode("utf-8", "replace"),
        "query_string": b"",
        "headers": [(_bytes(name), _bytes(value)) for name, value in context.invocation_metadata() or ()],
        "client": (address, 0) if family in _INTERNET else None,
        "extensions": {"tls": {"client_cert_chain": _chain(tls)}},
    }


def _chain(tls: Mapping[str, Any]) -> list[str]:
    """Return the client certificate in PEM and its chain, which may begin with it."""
    [leaf, chain] = (b"".join(tls.get(name, ())).strip() for name in ("x509_pem_cert", "x509_pem_cert_chain"))
    found = chain if chain.startswith(leaf) else leaf + b"\n" + chain
    return [found.decode("latin-1")] if leaf else []


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


def status_of(error: IamGuardError) -> grpc.StatusCode:
    """Return the status of an error, by its HTTP status."""
    if isinstance(error, ServerBusy):
        return grpc.StatusCode.RESOURCE_EXHAUSTED
    if isinstance(error, EntityAlreadyExists):
        return grpc.StatusCode.ALREADY_EXISTS
    return _STATUSES.get(error.status, grpc.StatusCode.INTERNAL)


def _parameters(scope: Mapping[str, Any], named: Any) -> Mapping[str, Any]:
    """Return the parameters for a guarded function with the arguments `named`, from the message that it got.

    Raises `ConfigurationError` if it got another message than the received one.
    """
    message = scope["path_params"]["request"]
    if not any(argument is message for argument in named.values()):
        message = "expected the handler to get the received message, got another one"
        raise ConfigurationError(message, place=scope["path"])
    return parameters_of(message)
