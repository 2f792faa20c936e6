"""The errors of iam_guard.

Each error has an AWS error code (`code`), the HTTP status of a guarded application (`status`) and of our AWS-compatible
API (`wire_status`), the side that must fix it (`fault`), and a `place`: a JSON pointer, a header name, a file with
line, an ARN. HTTP and XML responses are generated from these attributes.

Messages are lower case, without full stop or line break, unless AWS has its own message. They contain nothing secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import partial
from typing import ClassVar, Literal

Fault = Literal["sender", "receiver"]

_MAX_NAME = 200
"""The maximum length of a name for which a similar one is searched; the search takes longer for longer names."""


def did_you_mean(name: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the end of a message that suggests the most similar name; empty if none is similar enough."""
    by_lower_case = {known.lower(): known for known in names}
    close = get_close_matches(name.lower(), by_lower_case, 1, cutoff) if len(name) <= _MAX_NAME else ()
    return f", did you mean `{by_lower_case[close[0]]}`?" if close else ""


class IamGuardError(Exception):
    """The base class of all errors; never raised itself."""

    code: ClassVar[str] = "InternalFailure"
    status: ClassVar[int] = 500
    wire_status: ClassVar[int] = 500
    fault: ClassVar[Fault] = "receiver"

    def __init__(self, message: str, *, place: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.place = place

    def __str__(self) -> str:
        return f"{self.message} (at {self.place})" if self.place else self.message


class _BadRequest(IamGuardError):
    status = wire_status = 400
    fault = "sender"


class _Conflict(IamGuardError):
    status = wire_status = 409
    fault = "sender"


class _Unavailable(IamGuardError):
    code = "ServiceUnavailable"
    status = wire_status = 503


# --- client errors: credentials ----------------------------------------------------------------------------------


class CredentialError(IamGuardError):
    """Credentials are missing or invalid. Never treated as anonymous."""

    status = 401
    wire_status = 403
    fault = "sender"


class _WithAwsMessage(CredentialError):
    """Has AWS's message unless another one is given."""

    aws_message: ClassVar[str]

    def __init__(self, message: str | None = None, *, place: str | None = None) -> None:
        super().__init__(message or self.aws_message, place=place)


class MissingAuthenticationToken(CredentialError):
    """The request has no credentials, or an Authorization header of an unsupported scheme."""

    code = "MissingAuthenticationToken"


class IncompleteSignature(CredentialError):
    """The credential is malformed."""

    code = "IncompleteSignature"
    wire_status = 400


class InvalidClientTokenId(_WithAwsMessage):
    """The key does not exist or is not active."""

    code = "InvalidClientTokenId"
    aws_message = "The security token included in the request is invalid."


class AccountNotActive(InvalidClientTokenId):
    """The credential is valid, but its account is suspended, closed or being deleted."""

    def __init__(self, state: str, *, place: str | None = None) -> None:
        shown = "suspended" if state == "suspended" else "closed"
        super().__init__(f"the account of this credential is {shown}", place=place)


class SignatureDoesNotMatch(_WithAwsMessage):
    """The signature, its scope, its body hash or its time is wrong."""

    code = "SignatureDoesNotMatch"
    aws_message = (
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
        "Access Key and signing method. Consult the service documentation for details."
    )


class ExpiredToken(_WithAwsMessage):
    """The credential has expired."""

    code = "ExpiredToken"
    aws_message = "The security token included in the request is expired"


class InvalidIdentityToken(CredentialError):
    """An OIDC token or SAML assertion is malformed or invalid, or its provider is not registered."""

    code = "InvalidIdentityToken"
    wire_status = 400


class ExpiredIdentityToken(CredentialError):
    """An OIDC token or SAML assertion has expired."""

    code = "ExpiredTokenException"
    wire_status = 400


class IdpRejectedClaim(CredentialError):
    """A SAML identity provider answered that it did not authenticate the person."""

    code = "IDPRejectedClaim"


class IdentityProviderUnavailable(IamGuardError):
    """The keys of an OIDC provider cannot be fetched, so its tokens cannot be verified."""

    code = "IDPCommunicationError"
    status = 503
    wire_status = 400
    fault = "sender"


class UntrustedCertificate(CredentialError):
    """A client certificate is not valid under any trust anchor, or no profile allows it a session."""

    code = "UntrustedCertificate"


# --- client errors: other ----------------------------------------------------------------------------------------


class AccessDenied(IamGuardError):
    """The request is denied. `decision` is the `iam_guard.Decision`, if one was made."""

    code = "AccessDenied"
    status = wire_status = 403
    fault = "sender"

    def __init__(self, message: str, *, place: str | None = None, decision: object | None = None) -> None:
        super().__init__(message, place=place)
        self.decision = decision

    def __reduce__(self) -> tuple[object, ...]:
        """Support `pickle`, as between processes; without the decision, which refers to policies."""
        return partial(type(self), self.message, place=self.place), ()


class InvalidInput(_BadRequest):
    """A value is malformed (an ARN, a name, a path, a tag)."""

    code = "InvalidInput"


class ValidationError(_BadRequest):
    """A parameter of a call to the IAM or STS API has a value that AWS does not accept."""

    code = "ValidationError"


class MalformedRequest(_BadRequest):
    """The HTTP request is malformed: a truncated body, a path that is not UTF-8, a repeated header."""

    code = "MalformedRequest"


class RequestTooLarge(IamGuardError):
    """A body or header exceeds the limit of the settings."""

    code = "RequestEntityTooLarge"
    status = wire_status = 413
    fault = "sender"


class RequestTimeout(IamGuardError):
    """A body that is verified before the handler runs did not arrive within the setting `body_timeout`."""

    code = "RequestTimeout"
    status = wire_status = 408
    fault = "sender"


class PolicyError(_BadRequest):
    """A policy document is invalid.

    `place` is a JSON pointer into the document; `line` and `column` start at 1 and 0 and are None if the document was
    not text. `sentence` is the message of AWS's API in this case.
    """

    code = "MalformedPolicyDocument"

    def __init__(
        self,
        message: str,
        *,
        place: str | None = None,
        line: int | None = None,
        column: int | None = None,
        sentence: str = "Syntax errors in policy.",
        finding: str | None = None,
    ) -> None:
        super().__init__(message, place=place)
        self.line = line
        self.column = column
        self.sentence = sentence
        self.finding = finding

    def __str__(self) -> str:
        where = self.place or "document"
        return f"{self.message} (at {where}, line {self.line})" if self.line else f"{self.message} (at {where})"


class ContextError(IamGuardError):
    """A request context is invalid: two keys differ by letter case only, or a value has an unsupported type."""

    code = "InvalidInput"


# --- stored entities ---------------------------------------------------------------------------------------------


class NoSuchEntity(IamGuardError):
    """A user, role, group, policy or key does not exist."""

    code = "NoSuchEntity"
    status = wire_status = 404
    fault = "sender"


class EntityAlreadyExists(_Conflict):
    """The entity to be created already exists."""

    code = "EntityAlreadyExists"


class DeleteConflict(_Conflict):
    """The entity to be deleted is still in use."""

    code = "DeleteConflict"


class LimitExceeded(_Conflict):
    """A quota would be exceeded."""

    code = "LimitExceeded"


class AccountStateConflict(_Conflict):
    """The account is in a state that does not allow the change, or is the management account of an organization."""

    code = "ConflictException"


class UnmodifiableEntity(_BadRequest):
    """The entity to be changed is managed by AWS: an AWS managed policy, a service-linked role."""

    code = "UnmodifiableEntity"


class ConcurrentModification(_Conflict):
    """The entity of a call was changed by another call at the same time. Retry the call."""

    code = "ConcurrentModification"


class NotSupported(_BadRequest):
    """The operation or its parameter is not supported. The page of the supported operations lists them."""

    code = "NotSupported"


class StoreIsReadOnly(NotSupported):
    """The store follows a seed file and can only be changed by changing the file."""


class SeedError(_BadRequest):
    """A seed file is invalid. No part of it was applied.

    The message is the first problem and starts with its `place`, `file:line`; `problems` has all of them.
    """

    code = "InvalidInput"

    def __init__(
        self, message: str, *, place: str | None = None, line: int | None = None, problems: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, place=place)
        self.line = line
        self.problems = problems or (message,)

    def __str__(self) -> str:
        return self.message


# --- server and configuration errors -----------------------------------------------------------------------------


class ConfigurationError(IamGuardError):
    """The guard is misconfigured: a setting, a missing middleware, a resource template without its parameter."""


class OwnRedirectRequired(ConfigurationError):
    """An OIDC sign-on provider shares its redirect address, but its provider does not announce that it names itself.

    `place` is the address that must be registered at the identity provider.
    """


class NotFilterable(IamGuardError):
    """A policy cannot be translated into a condition of a query, so a list would not be exact.

    `policy` is its name, `statement` its number from 1 or its Sid, `reason` what cannot be translated; None if the
    reason is not in a statement.
    """

    def __init__(self, reason: str, *, policy: str | None = None, statement: str | None = None) -> None:
        where = f"statement {statement} of {policy}" if policy else None
        super().__init__(f"cannot filter a list: {reason}", place=where)
        self.reason = reason
        self.policy = policy
        self.statement = statement

    def of(self, policy: str, statement: str) -> NotFilterable:
        """Return the same error about a statement of a policy."""
        return NotFilterable(self.reason, policy=policy, statement=statement)


class UndecidedEndpoint(ConfigurationError):
    """An endpoint that is not public responded without an access decision."""


class GroupIsTaken(ConfigurationError):
    """Another process already consumes the trail for this consumer group."""


class StoreUnavailable(_Unavailable):
    """The store cannot be reached, or its contents cannot be read."""


class DecisionUnavailable(_Unavailable):
    """No decision can be made, so the request is denied."""


class ServerBusy(_Unavailable):
    """The process has reached a limit of buffered bodies, key lookups, or people who sign in. Retry the request."""

    retry_after: ClassVar[int] = 1
    """Seconds after which a client should retry."""


class RecordUnavailable(_Unavailable):
    """A call succeeded, but its audit record could not be written. The caller gets this error, not the result."""


class TrailDamaged(IamGuardError):
    """The audit trail does not match its signed checkpoint, so reading stops there. `verdict` is the reason."""

    def __init__(self, message: str, *, verdict: str, place: str | None = None) -> None:
        super().__init__(f"{verdict}: {message}", place=place)
        self.verdict = verdict


class CacheMiss(Exception):
    """Not an `IamGuardError`: a value is not cached, and the caller must repeat the call where it may wait."""
