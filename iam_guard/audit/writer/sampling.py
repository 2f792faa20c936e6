"""Leaving out records of requests that only read and were allowed, and declaring how many were left out.

Off unless the setting `audit_sample_reads` is below 1. Which records are kept is a matter of chance, not of the id of a
request or a trace: a trace id comes from the caller, who could choose one that is left out; an application may take
request ids from its callers too. What was left out is counted, and declared by a record of its own at most every minute
and at the end, so that nothing is silent.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from datetime import datetime
from random import random
from typing import Final

from iam_guard.audit.record.record import Stamp
from iam_guard.audit.verify.trail_events import LeftOut, sampled_line
from iam_guard.errors import ConfigurationError

logger = logging.getLogger("iam_guard.audit")

DECLARED_EVERY: Final = 60.0
"""Seconds after which what was left out is declared at the latest, while something happens."""


class Sampling:
    """Chance and count of one trail. Safe to share between threads, and to fork with: a child counts its own."""

    def __init__(self, fraction: float, *, chance: Callable[[], float] = random) -> None:
        if not 0.0 < fraction <= 1.0:
            message = f"expected a share above 0 and up to 1, got `{fraction:g}`"
            raise ConfigurationError(message, place="audit_sample_reads")
        self._fraction = fraction
        self._chance = chance
        self._begin()
        _ALL.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._since = time.monotonic()

    def leaves_out(self) -> bool:
        """Return whether a record is left out."""
        return self._chance() >= self._fraction

    def count(self, now: datetime) -> None:
        """Count one that is left out."""
        with self._lock:
            self._count += 1
            self._first = self._first or now
            self._last = now

    def due(self, *, is_last: bool = False) -> LeftOut | None:
        """Take what is to be declared now, once."""
        if not self._count or (not is_last and time.monotonic() - self._since < DECLARED_EVERY):
            return None
        with self._lock:
            count, first, last = self._count, self._first, self._last
            self._count, self._first, self._last, self._since = 0, None, None, time.monotonic()
        return LeftOut(self._fraction, count, first, last) if first is not None and last is not None else None


class Declaring:
    """Makes the line that says what was left out, when it is due; holds on to no trail, so that it may outlive one."""

    def __init__(self, sampling: Sampling, stamp: Callable[[], Stamp]) -> None:
        self._sampling = sampling
        self._stamp = stamp

    def line(self, *, is_last: bool = False) -> bytes | None:
        """Return the line, once; None where nothing is due. Raises nothing, for whoever writes must go on."""
        try:
            due = self._sampling.due(is_last=is_last)
            return None if due is None else sampled_line(self._stamp(), due)
        except Exception as error:  # noqa: BLE001  whatever it is, the other records are written
            logger.error("what sampling left out cannot be declared: %s", type(error).__name__)
            return None


_ALL: weakref.WeakSet[Sampling] = weakref.WeakSet()


def _begin_in_child() -> None:
    for each in list(_ALL):
        each._begin()


os.register_at_fork(after_in_child=_begin_in_child)
