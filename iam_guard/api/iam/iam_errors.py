"""Errors that the IAM API alone raises: AWS's codes, with the statuses of the model."""

from __future__ import annotations

from typing import ClassVar

from iam_guard.errors import Fault, IamGuardError


class IamFault(IamGuardError):
    """A request that IAM refuses; never raised itself."""

    code = "InvalidInput"
    status = 400
    wire_status = 400
    fault: ClassVar[Fault] = "sender"


# --- what one signs in with --------------------------------------------------------------------------------------


class PasswordPolicyViolation(IamFault):
    """A password is not as the account's password policy demands (rules R-20 to R-23)."""

    code = "PasswordPolicyViolation"


class InvalidUserType(IamFault):
    """The operation is for IAM users only."""

    code = "InvalidUserType"


class InvalidAuthenticationCode(IamFault):
    """The codes of an MFA device are wrong, not consecutive, too old, or were used before (rule R-32)."""

    code = "InvalidAuthenticationCode"
    status = 403
    wire_status = 403


class NotSupportedService(IamFault):
    """There are no service-specific credentials for this service."""

    code = "NotSupportedService"
    status = 404
    wire_status = 404


# --- certificates and keys ---------------------------------------------------------------------------------------


class MalformedCertificate(IamFault):
    """A certificate, its chain or its private key cannot be read, or does not hold now."""

    code = "MalformedCertificate"


class KeyPairMismatch(IamFault):
    """The private key is not the certificate's."""

    code = "KeyPairMismatch"


class InvalidCertificate(IamFault):
    """A certificate can be read, but is not good for signing."""

    code = "InvalidCertificate"


class DuplicateCertificate(IamFault):
    """Somebody in the account has the same signing certificate."""

    code = "DuplicateCertificate"
    status = 409
    wire_status = 409


class InvalidPublicKey(IamFault):
    """A public key cannot be read, or is of a kind or size that is not taken."""

    code = "InvalidPublicKey"


class DuplicateSSHPublicKey(IamFault):
    """The user has the same SSH public key already."""

    code = "DuplicateSSHPublicKey"


class UnrecognizedPublicKeyEncoding(IamFault):
    """A public key is neither in the form of OpenSSH nor in PEM."""

    code = "UnrecognizedPublicKeyEncoding"


# --- the account: reports, features, its organization --------------------------------------------------------------


class ReportNotPresent(IamFault):
    """No credential report was ever generated (rule R-35)."""

    code = "ReportNotPresent"
    status = 410
    wire_status = 410


class ReportExpired(IamFault):
    """The credential report is older than four hours (rule R-35)."""

    code = "ReportExpired"
    status = 410
    wire_status = 410


class FeatureEnabled(IamFault):
    """What is to be enabled is enabled already."""

    code = "FeatureEnabled"
    status = 409
    wire_status = 409


class FeatureDisabled(IamFault):
    """What is asked for or to be disabled is not enabled."""

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
    """The account neither manages its organization nor was root access of its members delegated to it."""

    code = "AccountNotManagementOrDelegatedAdministratorException"


# --- simulation --------------------------------------------------------------------------------------------------


class PolicyEvaluation(IamGuardError):
    """A policy that we store ourselves could not be evaluated: a fault of ours, not of the simulation that asked."""

    code = "PolicyEvaluation"
