"""Rate limit for wrong MFA codes, per device.

A code has six digits, so a client with a stolen key could try them all within minutes. The counters are kept in the
memory of each process; a restart gives an attacker a few more tries.
"""

from __future__ import annotations

from typing import Final

from iam_guard.forking import fork_safe_lock

MAX_WRONG: Final = 5
WINDOW_SECONDS: Final = 300
"""Seconds within which wrong codes are counted, and for which a blocked device accepts no code."""
MAX_DEVICES: Final = 10_000


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
