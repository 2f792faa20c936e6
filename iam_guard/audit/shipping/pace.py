"""How fast a shipper looks, waits and gives up; and how its pauses grow while the other side is away."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

LONGEST_RETRY_AFTER = 900.0
"""Seconds that another side may make us wait at most."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds, but for `attempts`."""

    poll: float = 0.5
    """Between two looks at a trail in which nothing new was signed."""
    first_pause: float = 0.5
    longest_pause: float = 60.0
    standby: float = 3.0
    """Until a process that does not have the group asks for it again."""
    stopped: float = 60.0
    """Until a sink that stopped for damage looks whether somebody has gone on behind it."""
    measure: float = 5.0
    """Between two counts of how much waits."""
    drain: float = 5.0
    """For what is left when the process ends."""
    closing: float = 10.0
    """For closing as a whole."""
    attempts: int = 5
    """How often a run that ends (`once`) tries a destination that is away."""


class Backoff:
    """Pauses that double up to a limit, each shortened by chance to its half at most."""

    def __init__(self, first: float, longest: float, chance: Callable[[], float] = random.random) -> None:
        self._first = first
        self._longest = longest
        self._chance = chance
        self.tries = 0

    def next(self, at_least: float = 0.0) -> float:
        """Return the seconds to wait after one more failure; `at_least` is what the other side asked for."""
        pause = min(self._longest, self._first * 2.0 ** min(self.tries, 32))
        self.tries += 1
        return max(pause * (0.5 + self._chance() / 2), min(at_least, LONGEST_RETRY_AFTER))

    def reset(self) -> None:
        self.tries = 0
