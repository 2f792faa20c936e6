"""Errors that only the IAM API raises: AWS's codes, with the model's statuses."""

from __future__ import annotations

from typing import ClassVar

from iam_guard.errors import Fault, IamGuardError


class IamFault(IamGuardError):
    """Base class of the IAM errors."""

    code = "InvalidInput"
    status = 400
    wire_status = 400
    fault: ClassVar[Fault] = "sender"


# --- credentials -------------------------------------------------------------------------------------------------


class PasswordPolicyViolation(IamFault):
    """A password violates the account's password policy (R-20 to R-23)."""

    code = "PasswordPolicyViolation"


class InvalidUserType(IamFault):
    """The operation is for IAM users only."""

    code = "InvalidUserType"


class InvalidAuthenticationCode(IamFault):
    """The codes of an MFA device are wrong, not consecutive, too old, or used before (R-32)."""

    code = "InvalidAuthenticationCode"
    status = 403
    wire_status = 403


class NotSupportedService(IamFault):
    """The service has no service-specific credentials."""

    code = "NotSupportedService"
    status = 404
    wire_status = 404


# --- certificates and keys ---------------------------------------------------------------------------------------


class MalformedCertificate(IamFault):
    """A certificate, its chain or its private key can't be parsed, or isn't valid now."""

    code = "MalformedCertificate"


class KeyPairMismatch(IamFault):
    """The private key doesn't belong to the certificate."""

    code = "KeyPairMismatch"


class InvalidCertificate(IamFault):
    """A certificate can be parsed, but can't be used for signing."""

    code = "InvalidCertificate"


class DuplicateCertificate(IamFault):
    """A user of the account has the same signing certificate."""

    code = "DuplicateCertificate"
    status = 409
    wire_status = 409


class InvalidPublicKey(IamFault):
    """A public key can't be parsed, or its kind or size is not supported."""

    code = "InvalidPublicKey"


class DuplicateSSHPublicKey(IamFault):
    """The user has the same SSH public key already."""

    code = "DuplicateSSHPublicKey"


class UnrecognizedPublicKeyEncoding(IamFault):
    """A public key is neither in OpenSSH format nor in PEM."""

    code = "UnrecognizedPublicKeyEncoding"


# --- account: reports, features, organization ----------------------------------------------------------------------


class ReportNotPresent(IamFault):
    """The account has no credential report (R-35)."""

    code = "ReportNotPresent"
    status = 410
    wire_status = 410


class ReportExpired(IamFault):
    """The credential report is older than four hours (R-35)."""

    code = "ReportExpired"
    status = 410
    wire_status = 410


class FeatureEnabled(IamFault):
    """The feature is enabled already."""

    code = "FeatureEnabled"
    status = 409
    wire_status = 409


class FeatureDisabled(IamFault):
    """The feature is not enabled."""

    code = "FeatureDisabled"
    status = 404
    wire_status = 404


class OrganizationNotFound(IamFault):
    """The account is in no organization."""

    code = "OrganizationNotFoundException"


class CallerIsNotManagementAccount(IamFault):
    """The account does not manage its organization."""

    code = "CallerIsNotManagementAccountException"


class NotManagementOrDelegatedAdministrator(IamFault):
    """The account is neither the management account nor a delegated administrator of its organization."""

    code = "AccountNotManagementOrDelegatedAdministratorException"


# --- simulation --------------------------------------------------------------------------------------------------


class PolicyEvaluation(IamGuardError):
    """A stored policy can't be evaluated: a server error, not the simulation's."""

    code = "PolicyEvaluation"
