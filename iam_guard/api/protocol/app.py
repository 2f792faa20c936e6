"""The AWS-compatible API as one ASGI application: `app.mount("/iam", aws_api(guard))`, or served alone.

Per request: (1) read the beginning of the body; (2) find the service, whose protocol is used for the response;
(3) authenticate the caller, and read the rest of the body once its signing key is known; (4) parse and validate;
(5) run the operation in a worker thread, which authorizes each permission; (6) send the response. Errors are returned
in the service's own protocol; an unexpected exception becomes an internal failure without details. The application
authenticates its callers itself, so a guard around it passes its requests through.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Final

from starlette.types import Receive, Scope, Send

from iam_guard.api.call import ApiServer, Verified
from iam_guard.api.protocol.api_workers import workers_of
from iam_guard.api.protocol.dispatch import DEFAULT, Destination, destination, destination_of
from iam_guard.api.protocol.issuer_endpoints import issuer_document, issuer_response
from iam_guard.api.protocol.messages import WireRequest, WireResponse
from iam_guard.api.protocol.operation_call import OperationCall, server_of
from iam_guard.api.protocol.own_app import MAX_PARSED_INLINE, OwnApp, known_error, log_failure
from iam_guard.api.protocol.protocol_errors import ValidationFailure
from iam_guard.api.protocol.validation import reject_control_characters
from iam_guard.audit.record.redaction import loggable
from iam_guard.authn.credential import claimed_credential, extract
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import AnyCredential, SigV4Credential, claim_of
from iam_guard.authn.signatures.payload_hash import stated_payload
from iam_guard.authn.tokens.assertion_verifier import AssertionVerifier
from iam_guard.authn.tokens.dpop import possession_of
from iam_guard.errors import (
    CredentialError,
    IamGuardError,
    MissingAuthenticationToken,
)
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Call
from iam_guard.web.asgi.body import BufferedBody
from iam_guard.web.asgi.bridge import read_signed_body
from iam_guard.web.body_budget import MAX_UNVERIFIED, check_content_length
from iam_guard.web.body_verification import too_large
from iam_guard.web.request_credentials import principal_lookup

_log = logging.getLogger("iam_guard.api")

MAX_ANONYMOUS_FIELDS: Final = 100
"""Form fields of a call without credentials; the existing operations have far fewer."""
MAX_ASSERTION_BODY: Final = 384 * 1024
"""Bytes of an unsigned call with a SAML assertion, of at most 100,000 characters; of others, `MAX_UNVERIFIED`."""
MAX_ANONYMOUS: Final = 32 * 1024
"""Bytes of a whole call without credentials, but for one with a SAML assertion: the existing ones have a token of at
most 20,000 characters."""
_ASSERTION_CALL: Final = re.compile(rb"Action=AssumeRoleWithSAML(?=&|\Z)")


def aws_api(guard: Guard) -> AwsApi:
    """Return the AWS-compatible API (IAM, STS, Access Analyzer, Sign-In) of a guard's store, to mount or serve."""
    return AwsApi(guard)


class AwsApi(OwnApp):
    """The ASGI application."""

    def __init__(self, guard: Guard) -> None:
        super().__init__(guard)
        self._assertions = AssertionVerifier(guard.settings)

    @cached_property
    def server(self) -> ApiServer:
        """What all calls have in common."""
        return server_of(self.guard, self._assertions)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond(scope, receive)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        headers.append((b"content-length", str(len(response.body)).encode("ascii")))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    async def _respond(self, scope: Scope, receive: Receive) -> WireResponse:
        facts = self._connection.facts(scope)
        call = _ApiCall(self.guard, facts, self.server)
        document = issuer_document(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
        try:
            if document is not None:
                return await workers_of(self.guard).run(issuer_response, self.guard, *document)
            return await self._answer(call, scope, receive)
        except Exception as failure:  # noqa: BLE001  clients get an internal failure without details
            error = known_error(failure, facts)
        finally:
            if call.body is not None:
                call.body.release()
        call.report(error)
        return call.destination.codec.error_response(error, facts.request_id)

    async def _answer(self, call: _ApiCall, scope: Scope, receive: Receive) -> WireResponse:
        request = self._connection.request(scope)
        principal, body = await self._authenticate(call, request, receive)
        if body.size + len(request.query_string) > MAX_PARSED_INLINE:
            parsed = await workers_of(self.guard).run(call.parse, request, body, principal)
        else:
            parsed = call.parse(request, body, principal)
        return await workers_of(self.guard).run_call(parsed, partial(call.respond, parsed))

    async def _authenticate(
        self, call: _ApiCall, request: HttpRequest, receive: Receive
    ) -> tuple[Principal, BufferedBody]:
        """Authenticate the caller and find the service; audit rejected credentials."""
        credential: AnyCredential | None = None
        try:
            credential = extract(request, max_header=self.guard.settings.max_header)
            body = await self._read_beginning(call, request, credential, receive)
            if isinstance(credential, SigV4Credential):
                await read_signed_body(self.guard, request, credential, body, stated_payload(request, credential))
        except IamGuardError as error:
            if isinstance(error, CredentialError):
                claim = claimed_credential(request) if credential is None else claim_of(credential)
                self.guard.trail.record_authentication(error, call.facts, kind=claim.kind, credential_id=claim.id)
                call.is_audited = True
            raise
        call.is_audited = True  # by the guard, if it rejects the credential
        principal = await principal_lookup(
            self.guard, request, credential, call.facts, body, any_scope=True
        ).run_async()
        call.is_audited = False
        call.principal = principal
        if not isinstance(credential, SigV4Credential):
            await self._read_rest(call, principal, request, body)
        if body.size > self.guard.settings.max_body:
            raise too_large(self.guard.settings.max_body)
        return principal, body

    async def _read_beginning(
        self, call: _ApiCall, request: HttpRequest, credential: AnyCredential, receive: Receive
    ) -> BufferedBody:
        """Read the beginning of the body, and find the service."""
        max_body = self.guard.settings.max_body
        try:
            check_content_length(request, max_body)
            body = call.body = BufferedBody(receive, request, self.guard.settings)
            await body.read(min(MAX_UNVERIFIED, max_body))
        except IamGuardError:
            call.destination = destination(WireRequest(request), credential)
            raise
        call.destination = destination(WireRequest(request, body.content()), credential)
        return body

    async def _read_rest(self, call: _ApiCall, principal: Principal, request: HttpRequest, body: BufferedBody) -> None:
        """Read the rest of an unsigned body. Raises `MissingAuthenticationToken` for a long anonymous call."""
        if principal.type is PrincipalType.ANONYMOUS:
            if (not body.is_whole or body.size > MAX_ANONYMOUS) and _is_assertion_call(body.content()):
                call.action = "sts:AssumeRoleWithSAML"
                await self._read_assertion(body)
            elif not body.is_whole or body.size + len(request.query_string) > MAX_ANONYMOUS:
                raise MissingAuthenticationToken("Request is missing Authentication Token")
            if request.query_string.count(b"&") + body.content().count(b"&") > MAX_ANONYMOUS_FIELDS:
                raise MissingAuthenticationToken("Request is missing Authentication Token")
        await body.read(self.guard.settings.max_body)

    async def _read_assertion(self, body: BufferedBody) -> None:
        """Read a call with a SAML assertion. Raises `ValidationFailure`, and `AccessDenied` without a recipient."""
        self._assertions.check_recipients()
        body.limit_memory(8)  # most of it stays for callers who are known
        await body.read(min(MAX_ASSERTION_BODY, self.guard.settings.max_body))
        if not body.is_whole:
            reason = "Member must have length less than or equal to 100000"
            raise ValidationFailure(f"1 validation error detected: Value at 'sAMLAssertion' failed: {reason}")


def _is_assertion_call(form: bytes) -> bool:
    """Return whether a form calls AssumeRoleWithSAML; the search for a constant is fast in a long form."""
    return any(form[found.start() - 1 : found.start()] in (b"", b"&") for found in _ASSERTION_CALL.finditer(form))


@dataclass(slots=True)
class _ApiCall:
    """The state of one request, for its response and its audit record."""

    guard: Guard
    facts: Call
    server: ApiServer
    body: BufferedBody | None = None
    destination: Destination = field(default_factory=partial(destination_of, DEFAULT))
    principal: Principal | None = None
    action: str = "iam-guard:Decide"
    """What an error before the call is parsed is recorded with."""
    parsed: OperationCall | None = None
    is_audited: bool = False

    def parse(self, request: HttpRequest, body: BufferedBody, principal: Principal) -> OperationCall:
        """Parse and validate the call. Raises `MissingAuthenticationToken` if it needs a signature."""
        service, codec = self.destination
        operation, parameters = codec.parse(WireRequest(request, body.content()))
        possession = possession_of(request, self.facts, self.guard.settings)
        reject_control_characters(parameters)
        self.parsed = parsed = OperationCall(
            self.guard, self.facts, self.server, service, operation, parameters, principal, possession
        )
        parsed.validate()
        return parsed

    def respond(self, parsed: OperationCall, verified: Verified | None) -> WireResponse:
        """Run the operation, and serialize its output; runs in a worker thread."""
        result = parsed.perform(verified)
        return self.destination.codec.response(parsed.operation, result.output, self.facts.request_id)

    def report(self, error: IamGuardError) -> None:
        """Record an error that has no record yet."""
        if self.parsed is not None:
            self.parsed.report(error)
            return
        log_failure(error, loggable(self.action))
        if not self.is_audited:
            self.guard.trail.record_error(error, self.facts, action=self.action, resource="*", principal=self.principal)
