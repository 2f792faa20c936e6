"""Errors that only STS raises: AWS's codes, with the model's statuses."""

from __future__ import annotations

from iam_guard.errors import IamGuardError


class InvalidParameterValue(IamGuardError):
    """Session tags conflict with one another, or with inherited ones (S-20, S-22)."""

    code = "InvalidParameterValue"
    status = 400
    wire_status = 400
    fault = "sender"


class InvalidAuthorizationMessage(IamGuardError):
    """An encoded message is invalid, or belongs to another account (S-36)."""

    code = "InvalidAuthorizationMessageException"
    status = 400
    wire_status = 400
    fault = "sender"


class JWTPayloadSizeExceeded(IamGuardError):
    """The claims of an identity token are too large (S-37)."""

    code = "JWTPayloadSizeExceededException"
    status = 400
    wire_status = 400
    fault = "sender"


class OutboundWebIdentityFederationDisabled(IamGuardError):
    """Outbound federation is disabled for the account (S-37)."""

    code = "OutboundWebIdentityFederationDisabledException"
    status = 403
    wire_status = 403
    fault = "sender"


class PackedPolicyTooLarge(IamGuardError):
    """Session policies and session tags are too large for a session token (G-73, S-40)."""

    code = "PackedPolicyTooLarge"
    status = 400
    wire_status = 400
    fault = "sender"


class SessionDurationEscalation(IamGuardError):
    """An identity token would outlive the calling session (S-37)."""

    code = "SessionDurationEscalationException"
    status = 403
    wire_status = 403
    fault = "sender"
