"""Our services behind HTTP, as one ASGI application: `app.mount("/iam", aws_api(guard))`, or served alone.

Strategy. Per request: (1) read the beginning of the body; (2) find the service that is meant, for its protocol is the
one to answer in; (3) sign in the caller, and read the rest of the body once its key is known; (4) parse and validate;
(5) run the operation in a worker thread, which asks the guard for each permission; (6) answer. Whatever goes wrong is
answered in the service's own protocol; what nobody expected is an internal failure that tells nothing. The application
signs in its callers itself, so a guard around it lets its requests through unasked.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread

from iam_guard.api.operation import Performed, Permission, run
from iam_guard.api.protocol.audit_fields import audited_input, audited_output
from iam_guard.api.protocol.dispatch import DEFAULT, Destination, destination, destination_of
from iam_guard.api.protocol.issuer_endpoints import answer_for_issuer, issuer_document
from iam_guard.api.protocol.messages import Parameters, WireAnswer, WireCall, WireRequest
from iam_guard.api.protocol.protocol_errors import MalformedBody
from iam_guard.api.protocol.validation import validate
from iam_guard.api.protocol.xml_body import NOT_IN_XML
from iam_guard.audit.record.call_kinds import SESSION_ISSUE, kind_of
from iam_guard.audit.record.redaction import loggable
from iam_guard.authn.credential_verifier import (
    AnyCredential,
    SigV4Credential,
    claim_of,
    credential_of,
    extract,
    stated_payload,
)
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import (
    ConfigurationError,
    CredentialError,
    DecisionUnavailable,
    IamGuardError,
    MissingAuthenticationToken,
    ServerBusy,
    StoreUnavailable,
)
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Call
from iam_guard.model.result import CallResult
from iam_guard.store.time_limits import having_waited
from iam_guard.web.asgi.authentication import read_signed, verified
from iam_guard.web.asgi.body import ReadBody, Receive
from iam_guard.web.body_budget import MAX_UNVERIFIED, check_announced
from iam_guard.web.body_verification import too_large
from iam_guard.web.connection import Connection
from iam_guard.web.requirement import MARK, OWN_GUARD

T = TypeVar("T")
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger("iam_guard.api")

WORKERS: Final = 8
"""Calls that are run at the same time."""
WRITERS: Final = 4
"""Those of them that may change something, and so wait for each other and for other processes that write; the other
threads are left for calls that only read."""
WRITER_SECONDS: Final = 5.0
"""Seconds that a call waits for one of these places; what it has waited shortens its wait for the lock of the store."""
MAX_ANONYMOUS_FIELDS: Final = 100
"""Fields of a call that needs no credential; the operations that there are have far fewer."""
MAX_PARSED_HERE: Final = 4 * 1024
"""Bytes of a call that are parsed on the event loop; longer ones are parsed in a worker thread."""
_POLICY_VIOLATION: Final = 1008


def aws_api(guard: Guard) -> AwsApi:
    """Make the AWS-compatible API of a guard's store, to be mounted or served: IAM and STS."""
    return AwsApi(guard)


class AwsApi:
    """The ASGI application. It guards itself: whatever is around it needs to know nothing."""

    def __init__(self, guard: Guard) -> None:
        setattr(self, MARK, OWN_GUARD)
        self.guard = guard
        self._connection = Connection(guard.settings)
        self._workers: anyio.CapacityLimiter | None = None
        self._writers: anyio.Semaphore | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await _send(await self._answer(scope, receive), send)
            case "websocket":
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            case "lifespan":
                await _live(receive, send, self.guard)
            case other:
                raise ConfigurationError(f"expected an http scope, got `{other}`")

    async def _answer(self, scope: Scope, receive: Receive) -> WireAnswer:
        facts = self._connection.facts(scope)
        one = _OneCall(self.guard, facts)
        document = issuer_document(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
        try:
            if document is not None:
                return await self._in_worker(answer_for_issuer, self.guard, *document)
            return await self._serve(one, scope, receive)
        except IamGuardError as error:
            refusal = error
        except Exception as surprise:  # noqa: BLE001  a client hears of an internal failure, and nothing else
            _log.error("%s %s: unexpected %s", facts.method, loggable(facts.path), type(surprise).__name__)
            refusal = ConfigurationError(f"unexpected {type(surprise).__name__}")
        finally:
            if one.body is not None:
                one.body.release()
        one.report(refusal)
        return one.destination.codec.refusal(refusal, facts.request_id)

    async def _serve(self, one: _OneCall, scope: Scope, receive: Receive) -> WireAnswer:
        request = self._connection.request(scope)
        principal, body = await self._sign_in(one, request, receive)
        if body.size + len(request.query_string) > MAX_PARSED_HERE:
            wanted = await self._in_worker(one.understand, request, body, principal)
        else:
            wanted = one.understand(request, body, principal)
        row = one.destination.service.operations.get(wanted.operation.name)
        changes = row is not None and row.changes(wanted.parameters)
        return await (self._in_writer if changes else self._in_worker)(one.answer, wanted, principal)

    async def _in_worker(self, work: Callable[..., T], *arguments: object) -> T:
        if self._workers is None:
            self._workers = anyio.CapacityLimiter(WORKERS)  # belongs to the event loop that runs
        return await anyio.to_thread.run_sync(work, *arguments, limiter=self._workers)

    async def _in_writer(self, work: Callable[..., T], *arguments: object) -> T:
        """Run what may change something, when it has a place among the writers. Raises `StoreUnavailable` without."""
        if self._writers is None:
            self._writers = anyio.Semaphore(WRITERS)
        since = time.monotonic()
        try:
            with anyio.fail_after(WRITER_SECONDS):
                await self._writers.acquire()
        except TimeoutError:
            raise StoreUnavailable("too many changes wait for the store") from None
        try:
            return await self._in_worker(_after_waiting, time.monotonic() - since, work, *arguments)
        finally:
            self._writers.release()

    async def _sign_in(self, one: _OneCall, request: HttpRequest, receive: Receive) -> tuple[Principal, ReadBody]:
        """Find out who calls which service; errors about that are noted as refused credentials."""
        credential: AnyCredential | None = None
        try:
            credential = extract(request, max_header=self.guard.settings.max_header)
            body = await self._begun(one, request, credential, receive)
            if isinstance(credential, SigV4Credential):
                await read_signed(self.guard, request, credential, body, stated_payload(request, credential))
        except IamGuardError as error:
            if isinstance(error, CredentialError):
                claim = credential_of(request) if credential is None else claim_of(credential)
                self.guard.trail.record_authentication(error, one.facts, kind=claim.kind, credential_id=claim.id)
                one.is_noted = True
            raise
        one.is_noted = True  # by the guard, if it refuses
        principal = await verified(self.guard, request, credential, body, one.facts, any_scope=True)
        one.is_noted = False
        one.principal = principal
        if not isinstance(credential, SigV4Credential):
            await self._read_on(principal, request, body)
        if body.size > self.guard.settings.max_body:
            raise too_large(self.guard.settings.max_body)
        return principal, body

    async def _begun(
        self, one: _OneCall, request: HttpRequest, credential: AnyCredential, receive: Receive
    ) -> ReadBody:
        """Read the beginning of the body, and find the service that is meant."""
        most = self.guard.settings.max_body
        try:
            check_announced(request, most)
            body = one.body = ReadBody(receive, request, self.guard.settings)
            await body.read(min(MAX_UNVERIFIED, most))
        except IamGuardError:
            one.destination = destination(WireRequest(request), credential)
            raise
        one.destination = destination(WireRequest(request, body.content()), credential)
        return body

    async def _read_on(self, principal: Principal, request: HttpRequest, body: ReadBody) -> None:
        """Read what is left of a body that is not signed; no call without a credential is long."""
        if principal.type is PrincipalType.ANONYMOUS:
            fields = request.query_string.count(b"&") + body.content().count(b"&")
            if not body.is_whole or fields > MAX_ANONYMOUS_FIELDS:
                raise MissingAuthenticationToken("Request is missing Authentication Token")
        await body.read(self.guard.settings.max_body)


class _OneCall:
    """What is known so far of one call, for its answer and for the audit trail."""

    __slots__ = (
        "action",
        "body",
        "destination",
        "facts",
        "first",
        "guard",
        "is_noted",
        "is_refused",
        "principal",
        "wanted",
    )

    def __init__(self, guard: Guard, facts: Call) -> None:
        self.guard = guard
        self.facts = facts
        self.body: ReadBody | None = None
        self.destination: Destination = destination_of(DEFAULT)
        self.principal: Principal | None = None
        self.action = "iam-guard:Decide"
        self.wanted: WireCall | None = None
        self.first: Permission | None = None
        """What was asked about the operation itself, the last time that it was tried."""
        self.is_refused = False
        """Whether the last decision was no, or could not be made; then its record says all there is."""
        self.is_noted = False

    def understand(self, request: HttpRequest, body: ReadBody, principal: Principal) -> WireCall:
        """Parse and validate the call of a caller who has signed in, or may be anonymous for it."""
        wanted = self.destination.codec.parse(WireRequest(request, body.content()))
        _refuse_unsayable(wanted.parameters)
        self.action = f"{self.destination.service.prefix}:{wanted.operation.name}"
        if principal.type is PrincipalType.ANONYMOUS and not wanted.operation.is_unsigned:
            raise MissingAuthenticationToken("Request is missing Authentication Token")
        validate(wanted.operation, wanted.parameters)
        return wanted

    def answer(self, wanted: WireCall, principal: Principal) -> WireAnswer:
        """Run the operation, and write its answer, which may be long; called in a worker thread."""
        output = self.run(wanted, principal)
        return self.destination.codec.answer(wanted.operation, output, self.facts.request_id)

    def run(self, wanted: WireCall, principal: Principal) -> Parameters:
        """Run the operation for its caller, and note what it came to."""
        self.wanted = wanted
        is_recorded = self.guard.trail.is_recording
        performed = run(
            self.destination.service,
            wanted.operation.name,
            wanted.parameters,
            caller=principal,
            store=self.guard.store,
            authorize=lambda permission: self._authorize(principal, permission),
            now=int(self.guard.clock().timestamp()),
            issuer_url=self.guard.settings.issuer_url,
            tokens=self.guard.tokens,
            app_services=frozenset(catalogue.service for catalogue in self.guard.catalogues),
            is_recorded=is_recorded,
        )
        row = self.destination.service.operation(wanted.operation.name)
        if is_recorded and (row.changes(wanted.parameters) or kind_of(self.action) == SESSION_ISSUE):
            self.is_noted = True
            self._note(wanted, principal, performed)
        return performed.output

    def _authorize(self, principal: Principal, wanted: Permission) -> None:
        if self.first is None or wanted.action == self.action:
            self.first = wanted
        self.is_refused = True
        asking = wanted.principal or principal
        self.guard.authorize(asking, wanted.action, wanted.resource, wanted.context, call=self.facts)
        self.is_refused = False

    def _note(
        self, wanted: WireCall, principal: Principal, performed: Performed | None, error: IamGuardError | None = None
    ) -> None:
        """Record what an allowed call came to: what it did, or that it failed."""
        first = self.first
        given = audited_input(wanted.operation.input, wanted.parameters)
        gave = audited_output(wanted.operation.output, performed.output if performed else {})
        result = CallResult(
            action=self.action,
            resource="*" if first is None else first.resource.arn,
            owner=None if first is None else first.resource.account,
            parameters=given.members,
            elements=gave.members,
            masked=(*given.masked, *gave.masked),
            document=performed.document if performed else None,
            changed=performed is not None and performed.changed,
            epoch=performed.epoch if performed else None,
            error=error,
        )
        asking = principal if first is None else first.principal or principal
        self.guard.trail.record_result(result, self.facts, asking)

    def report(self, error: IamGuardError) -> None:
        """Record what no decision noted: that there was none, or that the call was allowed and failed."""
        if error.fault == "receiver" and not isinstance(error, DecisionUnavailable | ServerBusy):
            _log.error("%s: %s", loggable(self.action), loggable(error))
        if self.is_noted or self.is_refused:
            return
        if self.first is not None and self.wanted is not None and self.principal is not None:
            self._note(self.wanted, self.principal, None, error)
        else:
            self.guard.trail.record_error(error, self.facts, action=self.action, resource="*", principal=self.principal)


def _after_waiting(seconds: float, work: Callable[..., T], *arguments: object) -> T:
    with having_waited(seconds):
        return work(*arguments)


def _refuse_unsayable(value: object) -> None:
    """Refuse text with a character that XML cannot carry (U+0000 among them), for nobody could read it back."""
    match value:
        case str() if NOT_IN_XML.search(value):
            raise MalformedBody("expected text without control characters")
        case Mapping():
            for key, each in value.items():
                _refuse_unsayable(key)
                _refuse_unsayable(each)
        case list():
            for each in value:
                _refuse_unsayable(each)


async def _send(answer: WireAnswer, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    headers.append((b"content-length", str(len(answer.body)).encode("ascii")))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _live(receive: Receive, send: Send, guard: Guard) -> None:
    """Answer a server that asks an application served alone whether it has started; sign the trail at the end."""
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await anyio.to_thread.run_sync(guard.trail.end_shard)
    await send({"type": "lifespan.shutdown.complete"})
