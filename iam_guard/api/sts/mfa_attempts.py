"""How often wrong MFA codes may be shown: a device that was guessed at too often takes no code for a while.

A code has six digits, and whoever has a stolen key could try them all within minutes. Kept in memory by each process:
it is a brake, and what it forgets at a restart gives a guesser a handful of tries.
"""

from __future__ import annotations

from typing import Final

from iam_guard.forking import fork_safe_lock

MAX_WRONG: Final = 5
SPAN: Final = 300
"""Seconds within which so many wrong codes are counted, and for which the device then takes none."""
MAX_DEVICES: Final = 10_000


class WrongCodes:
    """Counts wrong codes by device. Safe to share between threads."""

    def __init__(self) -> None:
        self._wrong: dict[str, list[int]] = {}
        self._lock = fork_safe_lock()

    def is_blocked(self, serial: str, now: int) -> bool:
        """Return whether the device takes no code at the moment, right or wrong."""
        with self._lock:
            return len(self._recent(serial, now)) >= MAX_WRONG

    def note(self, serial: str, now: int) -> None:
        """Count one wrong code."""
        with self._lock:
            recent = [*self._recent(serial, now), now]
            self._wrong.pop(serial, None)  # the oldest stand first, and are the first to be forgotten
            self._wrong[serial] = recent
            if len(self._wrong) > MAX_DEVICES:
                del self._wrong[next(iter(self._wrong))]

    def _recent(self, serial: str, now: int) -> list[int]:
        return [each for each in self._wrong.get(serial, ()) if now - SPAN < each]


WRONG_CODES: Final = WrongCodes()
"""Those of this process."""
