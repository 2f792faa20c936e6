"""One call of an operation, whatever protocol it came by: its checks, its decisions, its record.

`server_of` returns what all calls of a guard have in common.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from iam_guard.api.call import ApiServer, Verified
from iam_guard.api.operation import OperationRequest, OperationResult, Permission, Service, run
from iam_guard.api.protocol.audit_fields import audited_input, audited_output
from iam_guard.api.protocol.messages import Parameters
from iam_guard.api.protocol.own_app import log_failure
from iam_guard.api.protocol.service_model import Operation
from iam_guard.api.protocol.validation import validate
from iam_guard.audit.record.call_kinds import SESSION_ISSUE, kind_of
from iam_guard.audit.record.redaction import clip, loggable
from iam_guard.authn.federation.saml_identity import VerifiedAssertion
from iam_guard.authn.people.passwords.passwords import shared_hasher
from iam_guard.authn.tokens.assertion_verifier import AssertionVerifier
from iam_guard.authn.tokens.dpop import Possession
from iam_guard.errors import IamGuardError, MissingAuthenticationToken, PolicyError
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Call
from iam_guard.model.result import CallResult

_log = logging.getLogger("iam_guard.api")


def server_of(guard: Guard, assertions: AssertionVerifier) -> ApiServer:
    """Return what all calls to a guard have in common."""
    settings = guard.settings
    return ApiServer(
        guard.store,
        issuer_url=settings.issuer_url,
        tokens=guard.authenticators.tokens,
        assertions=assertions,
        passwords=shared_hasher(settings.password_memory, settings.password_passes, for_writers=True),
        region=settings.region,
        catalogues=guard.catalogues,
        trail=guard.trail.place,
        settings=settings,
        sharing=guard.sharing,
        with_digests=guard.trail.is_recording,
    )


@dataclass(slots=True)
class OperationCall:
    """One call with parsed parameters."""

    guard: Guard
    facts: Call
    server: ApiServer
    service: Service
    operation: Operation
    parameters: Parameters
    principal: Principal
    possession: Possession | None = None
    """The proofs of possession of a key that the request has."""
    requester: Principal | None = None
    """In whose request the application itself calls."""
    primary: Permission | None = field(default=None, init=False)
    """The permission for the operation itself, as last required."""
    _is_recorded: bool = field(default=False, init=False)
    """Whether the call has its record, or the last decision was a denial or failed; that record is the only one."""

    @property
    def action(self) -> str:
        return f"{self.service.prefix}:{self.operation.name}"

    @property
    def changes(self) -> bool:
        """Whether the call may write to the store."""
        row = self.service.operations.get(self.operation.name)
        return row is not None and row.changes(self.parameters)

    def validate(self) -> None:
        """Raise `MissingAuthenticationToken` if the operation needs a caller, `ValidationFailure` by the model."""
        if self.principal.type is PrincipalType.ANONYMOUS and not self.operation.is_unsigned:
            raise MissingAuthenticationToken("Request is missing Authentication Token")
        validate(self.operation, self.parameters)

    def verify(self) -> Verified | None:
        """Verify the token or assertion of an unsigned call; may wait for an identity provider."""
        verify_token = self.service.operation(self.operation.name).verify_token
        return None if verify_token is None else verify_token(self._request())

    def perform(self, verified: Verified | None = None) -> OperationResult:
        """Run the operation, and record its result. Raises the error of a rejected call, for `report`."""
        result = run(self._request(), self._authorize, verified)
        if self.primary is not None:
            person = self.primary.resource.arn
            self.guard.people.notifications.send_call(self.action, person, self.parameters, self.facts)
        if self.server.with_digests and (self.changes or kind_of(self.action) == SESSION_ISSUE):
            self._is_recorded = True
            self._record(result)
        return result

    def _request(self) -> OperationRequest:
        return OperationRequest(
            self.server,
            self.service,
            self.operation.name,
            self.parameters,
            self.principal,
            now=int(self.guard.clock().timestamp()),
            possession=self.possession,
            user_agent=self.facts.user_agent or "",
        )

    def _authorize(self, permission: Permission) -> None:
        if self.primary is None or permission.action == self.action:
            self.primary = permission
        self._is_recorded = True
        subject = permission.principal or self.principal
        self.guard.authorize(subject, permission.action, permission.resource, permission.context, call=self.facts)
        self._is_recorded = False

    def _record(self, performed: OperationResult, error: IamGuardError | None = None) -> None:
        """Record the result of an authorized call: its changes, or its error."""
        primary, operation = self.primary, self.operation
        inputs = audited_input(operation.input, self.parameters)
        outputs = audited_output(operation.output, performed.output)
        verified = performed.verified
        known = {"sAMLAssertionID": verified.assertion.id} if isinstance(verified, VerifiedAssertion) else {}
        result = CallResult(
            action=self.action,
            resource="*" if primary is None else primary.resource.arn,
            owner=None if primary is None else primary.resource.account,
            parameters=inputs.members | known,
            elements=outputs.members,
            masked=(*inputs.masked, *outputs.masked),
            document=performed.document,
            changed=performed.changed,
            epoch=performed.epoch,
            error=error,
        )
        subject = self.principal if primary is None else primary.principal or self.principal
        self.guard.trail.record_result(result, self.facts, subject, caller=self.requester)

    def report(self, error: IamGuardError) -> None:
        """Record an error that has no record yet: the call failed before a decision, or after being allowed.

        An invalid policy is logged with the place of its fault, since AWS's sentences for clients have none.
        """
        if isinstance(error, PolicyError):
            _log.warning("%s rejects a policy: %s", loggable(self.action), loggable(clip(str(error))))
        log_failure(error, loggable(self.action))
        if self._is_recorded:
            return
        if self.primary is not None:
            self._record(OperationResult({}, changed=False, epoch=None, document=None), error)
        else:
            self.guard.trail.record_error(error, self.facts, action=self.action, resource="*", principal=self.principal)
