"""MFA codes in calls of STS: verification against the caller's device (S-15, R-32).

A code is consumed by the call that succeeds with it. A rejected call changes nothing, so its code can be used again
until it expires.

Wrong codes are limited: a code has six digits, so a client with a stolen key could try them all within minutes. They
count like those of people who sign in (`failed_attempts`), though the call is rejected.
"""

from __future__ import annotations

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.authorization_targets import find_mfa_device
from iam_guard.api.service_errors import WrongSecret
from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.person import person_of_caller
from iam_guard.authn.people.second_factors.one_time_codes import check_code
from iam_guard.errors import AccessDenied
from iam_guard.model.context import Given
from iam_guard.model.principal import PrincipalType
from iam_guard.store.database.records import Row
from iam_guard.store.schema import mfa_devices

_INCOMPLETE = "must provide both MFA serial number and one time pass code."
_UNKNOWN = "unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user."
_BLOCKED = "too many wrong one time pass codes, try again later."


def has_mfa_code(parameters: Input) -> bool:
    """Return whether a call has a code, and so writes to the store."""
    return "TokenCode" in parameters


def _verified_step(call: ServiceCall, parameters: Input) -> int | None:
    """Verify the code of a call, and return its step; None if it has none. Raises `AccessDenied`."""
    serial, code = parameters.get("SerialNumber"), parameters.get("TokenCode")
    if serial is None and code is None:
        return None
    if serial is None or code is None:
        raise AccessDenied(f"MultiFactorAuthentication failed, {_INCOMPLETE}")
    row = _own_device(call, serial)
    if row is None:
        raise AccessDenied(f"MultiFactorAuthentication failed, {_UNKNOWN}")
    subject = attempts.guess_subject(person_of_caller(call.caller), "", "code")
    if not attempts.is_open(call.records, subject, call.now):
        raise AccessDenied(f"MultiFactorAuthentication failed, {_BLOCKED}")
    step = check_code(row, code, call.now, call.sealer)
    if step is None:
        raise WrongSecret("MultiFactorAuthentication failed with invalid MFA one time pass code. ")
    attempts.clear(call.records, subject)
    return step


def consume_mfa_code(call: ServiceCall, parameters: Input) -> bool:
    """Verify the code of a call and mark it as used; return whether it has one. Raises `AccessDenied`."""
    step = _verified_step(call, parameters)
    if step is None:
        return False
    call.records.update(mfa_devices, {"last_step": step}, serial=parameters["SerialNumber"])
    return True


def mfa_keys(call: ServiceCall, parameters: Input) -> dict[str, Given]:
    """Return the condition keys that a valid code adds to the call's own evaluation."""
    if _verified_step(call, parameters) is None:
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
