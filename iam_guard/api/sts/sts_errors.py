"""Errors that STS alone raises: AWS's codes, with the statuses of the model."""

from __future__ import annotations

from iam_guard.errors import IamGuardError


class InvalidParameterValue(IamGuardError):
    """Session tags do not go together: with one another, or with those that are inherited (rules S-20, S-22)."""

    code = "InvalidParameterValue"
    status = 400
    wire_status = 400
    fault = "sender"


class InvalidAuthorizationMessage(IamGuardError):
    """An encoded message is none of ours, or belongs to another account (rule S-36)."""

    code = "InvalidAuthorizationMessageException"
    status = 400
    wire_status = 400
    fault = "sender"


class JWTPayloadSizeExceeded(IamGuardError):
    """An identity token would say too much (rule S-37)."""

    code = "JWTPayloadSizeExceededException"
    status = 400
    wire_status = 400
    fault = "sender"


class OutboundWebIdentityFederationDisabled(IamGuardError):
    """The account issues no identity tokens (rule S-37)."""

    code = "OutboundWebIdentityFederationDisabledException"
    status = 403
    wire_status = 403
    fault = "sender"


class PackedPolicyTooLarge(IamGuardError):
    """Session policies and session tags together are too large for a session token (rules G-73, S-40)."""

    code = "PackedPolicyTooLarge"
    status = 400
    wire_status = 400
    fault = "sender"


class SessionDurationEscalation(IamGuardError):
    """An identity token would be good for longer than the session that asks for it (rule S-37)."""

    code = "SessionDurationEscalationException"
    status = 403
    wire_status = 403
    fault = "sender"
