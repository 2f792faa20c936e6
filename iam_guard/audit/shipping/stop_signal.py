"""Saying when to stop, to threads that wait: at once where nothing is left to do, else after a while."""

from __future__ import annotations

import math
import threading
import time


class Stop:
    """One for all threads that stop together."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._until = math.inf

    def request(self, drain: float) -> None:
        """Ask to stop: what can be done in `drain` seconds is done before."""
        self._until = min(self._until, time.monotonic() + drain)
        self._event.set()

    @property
    def is_requested(self) -> bool:
        return self._event.is_set()

    @property
    def is_over(self) -> bool:
        """Whether there is no time left for anything."""
        return self._event.is_set() and time.monotonic() >= self._until

    def wait(self, seconds: float) -> bool:
        """Wait, and no longer once asked to stop; tell whether it was asked."""
        return self._event.wait(seconds)
