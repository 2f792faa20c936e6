"""MFA codes in calls of STS: verification against the caller's device (S-15, R-32).

A code is consumed by the call that succeeds with it. A rejected call changes nothing, so its code can be used again
until it expires.
"""

from __future__ import annotations

from typing import NamedTuple

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.authorization_targets import find_mfa_device
from iam_guard.api.iam.one_time_codes import check_code
from iam_guard.api.sts.mfa_attempts import WRONG_CODES
from iam_guard.errors import AccessDenied
from iam_guard.model.context import Given
from iam_guard.model.principal import PrincipalType
from iam_guard.store.records import Row
from iam_guard.store.schema import mfa_devices

_INCOMPLETE = "must provide both MFA serial number and one time pass code."
_UNKNOWN = "unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user."
_BLOCKED = "too many wrong one time pass codes for this device, try again in some minutes."


class MfaCode(NamedTuple):
    """A verified code: its device and step."""

    serial: str
    step: int


def has_mfa_code(parameters: Input) -> bool:
    """Return whether a call has a code, and so writes to the store."""
    return "TokenCode" in parameters


def verified_mfa_code(call: ServiceCall, parameters: Input) -> MfaCode | None:
    """Verify the code of a call; None if it has none. Raises `AccessDenied`."""
    serial, code = parameters.get("SerialNumber"), parameters.get("TokenCode")
    if serial is None and code is None:
        return None
    if serial is None or code is None:
        raise AccessDenied(f"MultiFactorAuthentication failed, {_INCOMPLETE}")
    row = _own_device(call, serial)
    if row is None:
        raise AccessDenied(f"MultiFactorAuthentication failed, {_UNKNOWN}")
    if WRONG_CODES.is_blocked(serial, call.now):
        raise AccessDenied(f"MultiFactorAuthentication failed, {_BLOCKED}")
    step = check_code(row, code, call.now, call.sealer)
    if step is None:
        WRONG_CODES.record(serial, call.now)
        raise AccessDenied("MultiFactorAuthentication failed with invalid MFA one time pass code. ")
    return MfaCode(serial, step)


def consume_mfa_code(call: ServiceCall, code: MfaCode) -> None:
    """Mark a code as used, so that it can't be used again."""
    call.records.update(mfa_devices, {"last_step": code.step}, serial=code.serial)


def mfa_keys(call: ServiceCall, parameters: Input) -> dict[str, Given]:
    """Return the condition keys that a valid code adds to the call's own evaluation."""
    if verified_mfa_code(call, parameters) is None:
        return {}
    return {"aws:MultiFactorAuthPresent": True, "aws:MultiFactorAuthAge": 0}


def _own_device(call: ServiceCall, serial: str) -> Row | None:
    """Return an enabled device of the caller: a user or the root user."""
    row = find_mfa_device(call, serial)
    if row is None or row["enabled"] is None:
        return None
    match call.caller.type:
        case PrincipalType.USER:
            is_own = row["user_id"] is not None and row["user_id"] == call.caller.userid
        case PrincipalType.ROOT:
            is_own = row["for_root"]
        case _:
            is_own = False
    return row if is_own else None
