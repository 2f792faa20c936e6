"""MFA codes that are shown with a call of STS: whose device, and the step that is used up (rules S-15, R-32).

A code is used up by the call that succeeds with it. A call that is refused, for whatever reason, changes nothing, as
everywhere: what was not given for a code may be asked for with it again, until the code is too old.
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
_TOO_OFTEN = "too many wrong one time pass codes were shown for this device, try again in some minutes."


class ShownCode(NamedTuple):
    """A code that is right: of which device, at which step."""

    serial: str
    step: int


def shows_code(given: Input) -> bool:
    """Return whether a call shows a code, and so changes something."""
    return "TokenCode" in given


def shown_code(call: ServiceCall, given: Input) -> ShownCode | None:
    """Check the code that a call shows; None where it shows none. Raises `AccessDenied`."""
    serial, code = given.get("SerialNumber"), given.get("TokenCode")
    if serial is None and code is None:
        return None
    if serial is None or code is None:
        raise AccessDenied(f"MultiFactorAuthentication failed, {_INCOMPLETE}")
    row = _own_device(call, serial)
    if row is None:
        raise AccessDenied(f"MultiFactorAuthentication failed, {_UNKNOWN}")
    if WRONG_CODES.is_blocked(serial, call.now):
        raise AccessDenied(f"MultiFactorAuthentication failed, {_TOO_OFTEN}")
    step = check_code(row, code, call.now, call.sealer)
    if step is None:
        WRONG_CODES.note(serial, call.now)
        raise AccessDenied("MultiFactorAuthentication failed with invalid MFA one time pass code. ")
    return ShownCode(serial, step)


def use_up(call: ServiceCall, shown: ShownCode) -> None:
    """Take a code, so that it is good for nothing any more."""
    call.records.update(mfa_devices, {"last_step": shown.step}, serial=shown.serial)


def mfa_keys(call: ServiceCall, given: Input) -> dict[str, Given]:
    """Return the condition keys that a right code supplies to the evaluation of the call itself."""
    if shown_code(call, given) is None:
        return {}
    return {"aws:MultiFactorAuthPresent": True, "aws:MultiFactorAuthAge": 0}


def _own_device(call: ServiceCall, serial: str) -> Row | None:
    """Find an enabled device of the caller, who is a user or the root user."""
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
