"""When the disk is to have what was written, though no request waits for it.

The system writes a file to the disk when it sees fit, half a minute later say; when the power goes before, it is gone.
So the writer asks for it at most so many seconds after the first line that the disk may lack. Asking takes time, in
which records gather: on a disk where it takes long it is asked less often, so that the writer waits for a fifth of its
time at most. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable

REST = 4.0
"""How many times as long as a flush took the next one stays away."""


class Flushing:
    """Knows since when something is written that the disk may lack."""

    def __init__(self, seconds: float, timer: Callable[[], float]) -> None:
        """Ask after so many seconds; 0 for never."""
        self._seconds = seconds or math.inf
        self._timer = timer
        self._since: float | None = None
        self._not_before = -math.inf

    def written(self) -> None:
        """Say that something was written."""
        if self._since is None:
            self._since = self._timer()

    def done(self, took: float = 0.0) -> None:
        """Say that the disk was asked for all of it, and how many seconds that took."""
        self._since = None
        self._not_before = self._timer() + took * REST

    def due_in(self) -> float | None:
        """Return the seconds until the disk is to be asked; None when there is nothing to ask for."""
        if self._since is None or math.isinf(self._seconds):
            return None
        return max(0.0, max(self._since + self._seconds, self._not_before) - self._timer())
