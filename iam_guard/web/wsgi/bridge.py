"""The way of one request through a synchronous application: read, known, watched, refused where it must be.

`GuardWsgiMiddleware` goes it for every WSGI framework; an adapter whose framework has requests of its own goes it
itself: `WsgiBridge.passage`, `GuardedRequest.read`, `GuardedRequest.enter`, then the application inside
`serving(call)`, then `GuardedRequest.leave` before the answer goes out. `GuardedRequest.refuse` answers
our errors.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from iam_guard.authn.client_certificate import TLS
from iam_guard.authn.credential_verifier import (
    AnyCredential,
    Claim,
    SigV4Credential,
    claim_of,
    credential_of,
    extract,
    refuse_dot_segments,
)
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import CacheMiss, ConfigurationError, IamGuardError, ServerBusy
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.web.body_budget import MAX_UNVERIFIED
from iam_guard.web.body_verification import EMPTY_HASH
from iam_guard.web.call_context import CurrentCall
from iam_guard.web.connection import Connection, headers_at_host, signed_host
from iam_guard.web.key_lookups import look_up_here
from iam_guard.web.refusal import Refusal, RefusalFormat, problem
from iam_guard.web.response_guard import UNTOLD, check_answer, neutral_answer, record_failure
from iam_guard.web.wsgi.body import Content, content_of
from iam_guard.web.wsgi.environ import Environ, Scope

_log = logging.getLogger("iam_guard.web")

T = TypeVar("T")

_NO_CLAIM: Final = Claim("unknown", None)


class WsgiBridge:
    """Where requests come in; made once, and shared between threads.

    `refusal` gives the form of refusals. `drops_underscores` says that the server drops headers with an underscore in
    their names; raises `ConfigurationError` where headers of proxies count and nobody has said so.
    """

    def __init__(self, guard: Guard, *, refusal: RefusalFormat = problem, drops_underscores: bool = False) -> None:
        if not drops_underscores and _believes_headers(guard.settings):
            message = (
                "headers of proxies count, and WSGI has one name for `X-Forwarded-For` and `X_Forwarded_For`: say"
                " `drops_underscores=True` where the server drops the second, as gunicorn, waitress and mod_wsgi do"
            )
            raise ConfigurationError(message, place="drops_underscores")
        self.guard = guard
        self._refusal = refusal
        self._connection = Connection(guard.settings)

    def passage(self, scope: Scope) -> GuardedRequest:
        """Begin with a request; `scope` is one of ASGI, or what `scope_of` gives."""
        return GuardedRequest(self.guard, self._connection, self._refusal, scope)


class GuardedRequest:
    """One request on its way."""

    def __init__(self, guard: Guard, connection: Connection, refusal: RefusalFormat, scope: Scope) -> None:
        self._guard = guard
        self._connection = connection
        self._refusal = refusal
        self._scope = scope
        self._environ: Environ = {}
        self._request: HttpRequest | None = None
        self._credential: AnyCredential | None = None
        self._content: Content | None = None
        self._call: CurrentCall | None = None
        self.facts = connection.facts(scope)

    @property
    def request_id(self) -> str:
        """The id of the request, for the header `x-amzn-requestid`."""
        return self.facts.request_id

    def read(self, environ: Environ) -> bool:
        """Read the credential, and the body where it covers one; tell whether the application gets another body.

        Then `wsgi.input` of the environ is what it is to read, and the headers there are those of the content. Raises
        errors about the request itself; all of them are noted.
        """
        self._environ = environ
        try:
            self._request = self._connection.request(self._scope)
            self._credential = extract(self._request, max_header=self._guard.settings.max_header)
            if isinstance(self._credential, SigV4Credential):
                refuse_dot_segments(self._request, self._credential)
                recognise = partial(self._recognise, self._request, self._credential)
                self._content = content_of(self._request, self._credential, environ, self._guard.settings, recognise)
        except IamGuardError as error:
            claim = _NO_CLAIM if self._request is None else credential_of(self._request)
            self._guard.trail.record_authentication(error, self.facts, kind=claim.kind, credential_id=claim.id)
            raise
        if self._content is None:
            return False
        self._content.put_into(environ)
        return True

    def may_read_long(self, environ: Environ) -> bool:
        """Return whether `read` may hash much or look a key up, so that an event loop leaves it to a thread."""
        length = environ.get("CONTENT_LENGTH") or "0"
        return "HTTP_TRANSFER_ENCODING" in environ or not length.isdecimal() or int(length) > MAX_UNVERIFIED

    def enter(self, *, cache_only: bool = False) -> CurrentCall:
        """Find out who calls; give the call to be served. Raises what `Guard.authenticate` raises.

        With `cache_only` that is `CacheMiss` where the store or anybody else would have to be waited for.
        """
        content = self._content
        principal = self._principal(content, cache_only)
        if (host := signed_host(principal)) is not None:
            self._route_by(host)
        self._call = CurrentCall(self._guard, principal, self.facts, self._scope)
        self._call.has_unsigned_payload = content is not None and content.is_unsigned
        return self._call

    def _route_by(self, host: str) -> None:
        """Let the application see the host that was signed, and no other."""
        self._environ["HTTP_HOST"] = host
        self._environ.pop("HTTP_X_FORWARDED_HOST", None)
        self._scope["headers"] = headers_at_host(self._scope["headers"], host)
        self.facts = replace(self.facts, host=host)

    def _recognise(self, request: HttpRequest, credential: SigV4Credential, stated: str | None) -> None:
        self._looked_up(credential, partial(self._guard.recognise, request, credential, stated))

    def _principal(self, content: Content | None, cache_only: bool) -> Principal:
        if self._request is None or self._credential is None:
            raise ConfigurationError("nobody has read the request yet")
        authenticate = partial(
            self._guard.authenticate,
            self._request,
            call=self.facts,
            credential=self._credential,
            payload_hash=_hash_of_nothing if content is None else content.hash,
            unsigned_payload=content is not None and content.is_unsigned,
            chunks=None if content is None else content.chunks,
        )
        if cache_only:
            return authenticate(cache_only=True)
        try:
            return self._looked_up(self._credential, authenticate)
        except ServerBusy as error:
            claim = claim_of(self._credential)
            self._guard.trail.record_authentication(error, self.facts, kind=claim.kind, credential_id=claim.id)
            raise

    def _looked_up(self, credential: AnyCredential, work: Callable[..., T]) -> T:
        """Do what may ask the store; few at a time for keys that have not signed in before."""
        if self._guard.has_seen(credential):
            return work()
        try:
            return work(cache_only=True)
        except CacheMiss:
            return look_up_here(work)

    def go_on(self) -> None:
        """Raise where the body turned out not to be what was signed: whatever was made of it, nobody gets it."""
        if self._content is not None and self._content.refusal is not None:
            raise self._content.refusal

    def leave(self, status: int, headers: Iterable[tuple[str, str]] = ()) -> Refusal | None:
        """Let an answer out, or raise why it may not: nobody decided, or the body is not what was signed.

        Return what goes out in its place where only the status of the answer may; None where the answer itself goes
        out. A refusal that the framework has answered itself is noted here.
        """
        self.go_on()
        call = self._call
        if call is None:
            raise ConfigurationError("nobody knows the caller yet")
        is_whole = check_answer(call, status, call.scope.get("endpoint", UNTOLD), call.scope.get("method"))
        instead = None if is_whole else neutral_answer(status, headers, call.scope)
        if call.refusal is not None:
            record_failure(call, call.refusal, _log)
        return instead

    def end(self) -> None:
        """The answer is out: what the application does after that, in a task of its own say, has no caller any more."""
        if self._call is not None:
            self._call.is_over = True
        if self._content is not None and self._content.reservation is not None:
            self._content.reservation.release()

    def refuse(self, error: IamGuardError) -> Refusal:
        """Record what nobody has noted, and give the answer."""
        if self._call is not None:  # authentication errors were noted where they were made
            is_body = self._content is not None and self._content.refusal is error
            record_failure(self._call, error, _log, is_body=is_body)
        return self.form(error)

    def form(self, error: IamGuardError) -> Refusal:
        """Return the form of a refusal; the body of one to HEAD is empty."""
        refusal = self._refusal(error, self.request_id)
        size = ("content-length", str(len(refusal.body)))
        body = b"" if self._scope["method"] == "HEAD" else refusal.body
        return Refusal(refusal.status, (*refusal.headers, size), body)


def _believes_headers(settings: Settings) -> bool:
    return bool(settings.trusted_proxies) or any(
        client_certificate != TLS for client_certificate in settings.client_certificates
    )


def _hash_of_nothing() -> str:
    return EMPTY_HASH
