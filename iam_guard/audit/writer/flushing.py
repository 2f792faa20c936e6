"""Schedule flushes to the disk of lines for which no request waits.

The operating system writes a file to the disk at its discretion, for example after half a minute; a power failure
before that loses it. So the writer flushes at most so many seconds after the first line that may not be on the disk.
Records queue up during a flush, so slow disks are flushed less often: the writer spends at most a fifth of its time
flushing. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable

BACKOFF_FACTOR = 4.0
"""The pause after a flush, as a multiple of its duration."""


class FlushSchedule:
    """Track since when written lines may not be on the disk."""

    def __init__(self, seconds: float, timer: Callable[[], float]) -> None:
        """Flush after so many seconds; 0 for never."""
        self._seconds = seconds or math.inf
        self._timer = timer
        self._since: float | None = None
        self._not_before = -math.inf

    def record_write(self) -> None:
        if self._since is None:
            self._since = self._timer()

    def record_flush(self, took: float = 0.0) -> None:
        """Record that everything was flushed, and how many seconds that took."""
        self._since = None
        self._not_before = self._timer() + took * BACKOFF_FACTOR

    def due_in(self) -> float | None:
        """Return the seconds until the next flush; None if there is nothing to flush."""
        if self._since is None or math.isinf(self._seconds):
            return None
        return max(0.0, max(self._since + self._seconds, self._not_before) - self._timer())
