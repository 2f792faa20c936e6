"""Errors that only the operations of our own services raise: AWS's codes, with the model's statuses."""

from __future__ import annotations

from collections.abc import Mapping

from iam_guard.errors import AccessDenied, IamGuardError


class ServiceError(IamGuardError):
    """Base class: the caller must fix it. A subclass has its name as code and status 400, unless it says otherwise."""

    fault = "sender"
    details: Mapping[str, object] = {}
    """Further members of the response, for services whose model has them."""

    def __init_subclass__(cls, *, code: str | None = None, status: int = 400) -> None:
        cls.code = code or cls.__name__
        cls.status = cls.wire_status = status


# --- credentials -------------------------------------------------------------------------------------------------


class PasswordPolicyViolation(ServiceError):
    """A password violates the account's password policy (R-20 to R-23)."""


class InvalidUserType(ServiceError):
    """The operation is for IAM users only."""


class InvalidAuthenticationCode(ServiceError, status=403):
    """The codes of an MFA device are wrong, not consecutive, too old, or used before (R-32)."""


class KeptFailure(IamGuardError):
    """Base class: the call is refused, and what it has stored about that is kept."""


class WrongSecret(AccessDenied, KeptFailure):
    """A password or an MFA code is wrong: the call is refused, and only the failed attempt is stored."""


class NotSupportedService(ServiceError, status=404):
    """The service has no service-specific credentials."""


# --- certificates and keys ---------------------------------------------------------------------------------------


class MalformedCertificate(ServiceError):
    """A certificate, its chain or its private key can't be parsed, or isn't valid now."""


class KeyPairMismatch(ServiceError):
    """The private key doesn't belong to the certificate."""


class InvalidCertificate(ServiceError):
    """A certificate can be parsed, but can't be used for signing."""


class DuplicateCertificate(ServiceError, status=409):
    """A user of the account has the same signing certificate."""


class InvalidPublicKey(ServiceError):
    """A public key can't be parsed, or its kind or size is not supported."""


class DuplicateSSHPublicKey(ServiceError):
    """The user has the same SSH public key already."""


class UnrecognizedPublicKeyEncoding(ServiceError):
    """A public key is neither in OpenSSH format nor in PEM."""


# --- account: reports, features, organization ----------------------------------------------------------------------


class ReportNotPresent(ServiceError, status=410):
    """The account has no credential report (R-35)."""


class ReportExpired(ServiceError, status=410):
    """The credential report is older than four hours (R-35)."""


class FeatureEnabled(ServiceError, status=409):
    """The feature is enabled already."""


class FeatureDisabled(ServiceError, status=404):
    """The feature is not enabled."""


class OrganizationNotFound(ServiceError, code="OrganizationNotFoundException"):
    """The account is in no organization."""


class CallerIsNotManagementAccount(ServiceError, code="CallerIsNotManagementAccountException"):
    """The account does not manage its organization."""


class NotManagementOrDelegatedAdministrator(ServiceError, code="AccountNotManagementOrDelegatedAdministratorException"):
    """The account is neither the management account nor a delegated administrator of its organization."""


# --- simulation --------------------------------------------------------------------------------------------------


class PolicyEvaluation(IamGuardError):
    """A stored policy can't be evaluated: a server error, not the simulation's."""

    code = "PolicyEvaluation"


# --- STS ----------------------------------------------------------------------------------------------------


class InvalidParameterValue(ServiceError):
    """Session tags conflict with one another, or with inherited ones (S-20, S-22)."""


class InvalidAuthorizationMessage(ServiceError, code="InvalidAuthorizationMessageException"):
    """An encoded message is invalid, or belongs to another account (S-36)."""


class JWTPayloadSizeExceeded(ServiceError, code="JWTPayloadSizeExceededException"):
    """The claims of an identity token are too large (S-37)."""


class OutboundWebIdentityFederationDisabled(
    ServiceError, code="OutboundWebIdentityFederationDisabledException", status=403
):
    """Outbound federation is disabled for the account (S-37)."""


class PackedPolicyTooLarge(ServiceError):
    """Session policies and session tags are too large for a session token (G-73, S-40)."""


class SessionDurationEscalation(ServiceError, code="SessionDurationEscalationException", status=403):
    """An identity token would outlive the calling session (S-37)."""


# --- Sign-In ------------------------------------------------------------------------------------------------


class RefusedGrant(ServiceError, KeptFailure, code="AccessDenied", status=403):
    """A code or refresh token gets no credentials; `error` is the reason in the model's words, `place` the session."""

    def __init__(self, error: str, message: str, *, place: str | None = None) -> None:
        super().__init__(message, place=place)
        self.details = {"error": error}


class ExpiredGrant(RefusedGrant, code="AccessDenied", status=401):
    """A code or refresh token is unknown, expired, revoked, or was used before."""


class InvalidGrant(RefusedGrant, code="ValidationError", status=400):
    """A code or refresh token is presented with the wrong client, redirect, verifier or key."""


class SessionNotFound(ServiceError, code="ResourceNotFoundException", status=404):
    """The account, or the named identity, has no such session of a tool."""
