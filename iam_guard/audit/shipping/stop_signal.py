"""A stop signal for waiting threads, with a time limit for draining."""

from __future__ import annotations

import math
import threading
import time


class Stop:
    """A signal shared by all threads that stop together."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._deadline = math.inf

    def request(self, drain: float) -> None:
        """Request a stop; threads may continue for `drain` seconds to finish their work."""
        self._deadline = min(self._deadline, time.monotonic() + drain)
        self._event.set()

    @property
    def is_requested(self) -> bool:
        return self._event.is_set()

    @property
    def is_over(self) -> bool:
        """Whether a stop was requested and the time for draining is over."""
        return self._event.is_set() and time.monotonic() >= self._deadline

    def wait(self, seconds: float) -> bool:
        """Wait, or until a stop is requested; return whether it was."""
        return self._event.wait(seconds)
