"""Every error that iam_guard raises on purpose: one family.

Each error says whose fault it is, which AWS error code it has, which HTTP status a guarded application answers
(`status`) and which our AWS-compatible API answers (`wire_status`), and which place it points at (`place`: a JSON
pointer, a header name, a file with line, an ARN). The HTTP and XML forms are made from these attributes; no layer maps
by guessing.

Messages are lower case, without full stop and line break, except where AWS has a sentence of its own. Nothing secret
ever enters a message.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Fault = Literal["sender", "receiver"]


class IamGuardError(Exception):
    """The root of the family; never raised itself."""

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


# --- the request is at fault: credentials ------------------------------------------------------------------------


class CredentialError(IamGuardError):
    """Credentials are absent where they are needed, or bad. Never downgraded to anonymous."""

    status = 401
    wire_status = 403
    fault = "sender"


class MissingAuthenticationToken(CredentialError):
    """No credentials were given, or an Authorization header of a kind that nobody here speaks."""

    code = "MissingAuthenticationToken"


class IncompleteSignature(CredentialError):
    """The credential does not have the form that its kind requires."""

    code = "IncompleteSignature"
    wire_status = 400


class InvalidClientTokenId(CredentialError):
    """The key does not exist or is not active (rule R-31)."""

    code = "InvalidClientTokenId"

    def __init__(self, message: str | None = None, *, place: str | None = None) -> None:
        super().__init__(message or "The security token included in the request is invalid.", place=place)


class SignatureDoesNotMatch(CredentialError):
    """The signature, its scope, its body hash or its time is wrong."""

    code = "SignatureDoesNotMatch"

    def __init__(self, message: str | None = None, *, place: str | None = None) -> None:
        super().__init__(
            message
            or "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details.",
            place=place,
        )


class ExpiredToken(CredentialError):
    """The credential was good once and has expired."""

    code = "ExpiredToken"

    def __init__(self, message: str | None = None, *, place: str | None = None) -> None:
        super().__init__(message or "The security token included in the request is expired", place=place)


class InvalidIdentityToken(CredentialError):
    """A token of an OIDC provider is no token, is not good, or is of a provider that nobody registered (S-4, S-30)."""

    code = "InvalidIdentityToken"
    wire_status = 400


class ExpiredIdentityToken(CredentialError):
    """A token of an OIDC provider was good once and has expired (S-4)."""

    code = "ExpiredTokenException"
    wire_status = 400


class IdentityProviderUnavailable(IamGuardError):
    """The keys of an OIDC provider cannot be fetched, so that nobody can say whether its tokens are good (S-4)."""

    code = "IDPCommunicationError"
    status = 503
    wire_status = 400
    fault = "sender"


class UntrustedCertificate(CredentialError):
    """A client certificate that no trust anchor vouches for now, or that fits no profile."""

    code = "UntrustedCertificate"


# --- the request is at fault: everything else --------------------------------------------------------------------


class AccessDenied(IamGuardError):
    """The decision was no. `decision` is the `iam_guard.model.decision.Decision` behind it, when one was made."""

    code = "AccessDenied"
    status = 403
    wire_status = 403
    fault = "sender"

    def __init__(self, message: str, *, place: str | None = None, decision: object | None = None) -> None:
        super().__init__(message, place=place)
        self.decision = decision


class InvalidInput(IamGuardError):
    """A value does not have the form that its place requires (an ARN, a name, a path, a tag)."""

    code = "InvalidInput"
    status = 400
    wire_status = 400
    fault = "sender"


class ValidationError(IamGuardError):
    """A parameter of a call to our own API has a value that AWS's service does not take."""

    code = "ValidationError"
    status = 400
    wire_status = 400
    fault = "sender"


class MalformedRequest(IamGuardError):
    """The HTTP request itself cannot be read: truncated body, non-UTF-8 path, repeated header."""

    code = "MalformedRequest"
    status = 400
    wire_status = 400
    fault = "sender"


class RequestTooLarge(IamGuardError):
    """A body or header is over the limit of the settings."""

    code = "RequestEntityTooLarge"
    status = 413
    wire_status = 413
    fault = "sender"


class RequestTimeout(IamGuardError):
    """A body that is checked before the handler runs did not arrive within the time of the setting `body_timeout`."""

    code = "RequestTimeout"
    status = 408
    wire_status = 408
    fault = "sender"


class PolicyError(IamGuardError):
    """A policy document is refused (rule G-13).

    `place` is a JSON pointer into the document; `line` and `column` start at 1 and 0 and are None where the document
    was not text. `sentence` is what AWS's API says in the same case (rule G-19).
    """

    code = "MalformedPolicyDocument"
    status = 400
    wire_status = 400
    fault = "sender"

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
    """A request context cannot be built: two keys that differ by case only (rule C-4), or a value of no known kind."""

    code = "InvalidInput"
    status = 500
    wire_status = 500


# --- entities in the store ---------------------------------------------------------------------------------------


class NoSuchEntity(IamGuardError):
    """A user, role, group, policy or key that is named does not exist."""

    code = "NoSuchEntity"
    status = 404
    wire_status = 404
    fault = "sender"


class EntityAlreadyExists(IamGuardError):
    """What is to be made exists already."""

    code = "EntityAlreadyExists"
    status = 409
    wire_status = 409
    fault = "sender"


class DeleteConflict(IamGuardError):
    """What is to be deleted is still in use."""

    code = "DeleteConflict"
    status = 409
    wire_status = 409
    fault = "sender"


class LimitExceeded(IamGuardError):
    """A quota would be exceeded (rules A.6, J)."""

    code = "LimitExceeded"
    status = 409
    wire_status = 409
    fault = "sender"


class UnmodifiableEntity(IamGuardError):
    """What is to be changed is AWS's own: a managed policy of AWS, a service-linked role (rule R-14)."""

    code = "UnmodifiableEntity"
    status = 400
    wire_status = 400
    fault = "sender"


class ConcurrentModification(IamGuardError):
    """What a call is about was changed while the call was decided; to be tried again."""

    code = "ConcurrentModification"
    status = 409
    wire_status = 409
    fault = "sender"


class NotSupported(IamGuardError):
    """An operation that makes sense inside AWS only; the documentation lists them, with the reasons."""

    code = "NotSupported"
    status = 400
    wire_status = 400
    fault = "sender"


class StoreIsReadOnly(NotSupported):
    """The store follows a file, and is changed by changing the file."""


class SeedError(IamGuardError):
    """A seed file is refused; nothing of it was applied.

    The message tells the first problem and begins with its `place`, `file:line`; `problems` tells all of them.
    """

    code = "InvalidInput"
    status = 400
    wire_status = 400
    fault = "sender"

    def __init__(
        self, message: str, *, place: str | None = None, line: int | None = None, problems: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, place=place)
        self.line = line
        self.problems = problems or (message,)

    def __str__(self) -> str:
        return self.message


# --- we, or whoever set us up, are at fault ----------------------------------------------------------------------


class ConfigurationError(IamGuardError):
    """The guard is set up wrongly: a setting, a missing middleware, a resource template without its parameter."""

    code = "InternalFailure"


class UndecidedEndpoint(ConfigurationError):
    """An endpoint answered without a decision and is not public (design, rules of security)."""


class GroupIsTaken(ConfigurationError):
    """Another process works for the group of consumers; one at a time does."""


class StoreUnavailable(IamGuardError):
    """The store cannot be reached, or what it holds cannot be read."""

    code = "ServiceUnavailable"
    status = 503
    wire_status = 503


class DecisionUnavailable(IamGuardError):
    """No decision can be made; the request is denied."""

    code = "ServiceUnavailable"
    status = 503
    wire_status = 503


class ServerBusy(IamGuardError):
    """The process holds as many bodies, or looks up as many keys it has not seen, as it may; to be tried again."""

    code = "ServiceUnavailable"
    status = 503
    wire_status = 503
    retry_after: ClassVar[int] = 1
    """Seconds after which a client should try again."""


class RecordUnavailable(IamGuardError):
    """Something was done, and what it came to cannot be recorded; whoever asked is told so, and not the result."""

    code = "ServiceUnavailable"
    status = 503
    wire_status = 503


class TrailDamaged(IamGuardError):
    """A place of the audit trail is not what was signed, so nothing after it is handed out; `verdict` says how."""

    def __init__(self, message: str, *, verdict: str, place: str | None = None) -> None:
        super().__init__(f"{verdict}: {message}", place=place)
        self.verdict = verdict


class CacheMiss(Exception):
    """No error, and none of the family: the answer is not in memory, and is asked for again where there is time."""
