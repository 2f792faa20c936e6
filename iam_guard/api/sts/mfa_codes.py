"""MFA codes in calls of STS: verification against the caller's device (S-15, R-32).

A code is consumed by the call that succeeds with it. A rejected call changes nothing, so its code can be used again
until it expires.

Wrong codes are limited per device: a code has six digits, so a client with a stolen key could try them all within
minutes. The counters are kept in the memory of each process; a restart gives an attacker a few more tries.
"""

from __future__ import annotations

from typing import Final

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.authorization_targets import find_mfa_device
from iam_guard.authn.people.one_time_codes import check_code
from iam_guard.errors import AccessDenied
from iam_guard.forking import fork_safe_lock
from iam_guard.model.context import Given
from iam_guard.model.principal import PrincipalType
from iam_guard.store.records import Row
from iam_guard.store.schema import mfa_devices

MAX_WRONG: Final = 5
WINDOW_SECONDS: Final = 300
"""Seconds within which wrong codes are counted, and for which a blocked device accepts no code."""
MAX_DEVICES: Final = 10_000

_INCOMPLETE = "must provide both MFA serial number and one time pass code."
_UNKNOWN = "unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user."
_BLOCKED = "too many wrong one time pass codes for this device, try again in some minutes."


class WrongCodes:
    """Counts wrong codes by device. Thread-safe."""

    def __init__(self) -> None:
        self._wrong: dict[str, list[int]] = {}
        self._lock = fork_safe_lock()

    def is_blocked(self, serial: str, now: int) -> bool:
        """Return whether the device currently accepts no code, right or wrong."""
        with self._lock:
            return len(self._recent(serial, now)) >= MAX_WRONG

    def record(self, serial: str, now: int) -> None:
        """Count one wrong code."""
        with self._lock:
            recent = [*self._recent(serial, now), now]
            self._wrong.pop(serial, None)  # keeps the oldest first, which are evicted first
            self._wrong[serial] = recent
            if len(self._wrong) > MAX_DEVICES:
                del self._wrong[next(iter(self._wrong))]

    def _recent(self, serial: str, now: int) -> list[int]:
        return [time for time in self._wrong.get(serial, ()) if now - WINDOW_SECONDS < time]


WRONG_CODES: Final = WrongCodes()
"""The counters of this process."""


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
    if WRONG_CODES.is_blocked(serial, call.now):
        raise AccessDenied(f"MultiFactorAuthentication failed, {_BLOCKED}")
    step = check_code(row, code, call.now, call.sealer)
    if step is None:
        WRONG_CODES.record(serial, call.now)
        raise AccessDenied("MultiFactorAuthentication failed with invalid MFA one time pass code. ")
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
