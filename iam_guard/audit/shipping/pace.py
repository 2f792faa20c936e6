"""The intervals and timeouts of a shipper, its exponential back-off, and the signal that stops it."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

MAX_RETRY_AFTER = 900.0
"""Maximum seconds to wait at a destination's request."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Intervals and timeouts in seconds, and `attempts`."""

    poll: float = 0.5
    """Between two reads of a trail without new signed records."""
    first_pause: float = 0.5
    """The back-off after the first failure."""
    max_pause: float = 60.0
    """The maximum back-off."""
    standby: float = 3.0
    """Between two attempts to take over a group that another process has."""
    stopped: float = 60.0
    """Between two checks whether an operator moved a sink past damage."""
    measure: float = 5.0
    """Between two measurements of the lag."""
    drain: float = 5.0
    """For the remaining records when the process ends."""
    closing: float = 10.0
    """For closing in total."""
    attempts: int = 5
    """The number of attempts in a one-off run (`is_once`)."""


@dataclass(slots=True)
class Backoff:
    """Exponential back-off up to a limit, with a random jitter of up to half of it."""

    first: float
    longest: float
    jitter: Callable[[], float] = random.random
    tries: int = 0

    def next(self, at_least: float = 0.0) -> float:
        """Return the seconds to wait after one more failure; `at_least` is the destination's `Retry-After`."""
        pause = min(self.longest, self.first * 2.0 ** min(self.tries, 32))
        self.tries += 1
        return max(pause * (0.5 + self.jitter() / 2), min(at_least, MAX_RETRY_AFTER))

    def reset(self) -> None:
        self.tries = 0


class Stop:
    """A signal shared by all threads that stop together, with a time limit for draining."""

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
