"""Leave out a share of the records of allowed reads, and declare how many were left out.

Off unless the setting `audit_sample_reads` is below 1. Which records are kept is random, not derived from the id of a
request or a trace: the caller may choose these. What was left out is counted and declared by a record of its own, at
most every minute and at the end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from random import random

from iam_guard.audit.record.record import Stamp
from iam_guard.audit.verify.trail_events import SampledOut, sampled_line
from iam_guard.errors import ConfigurationError
from iam_guard.forking import on_fork

logger = logging.getLogger("iam_guard.audit")

DECLARATION_INTERVAL = 60.0
"""Maximum seconds until left-out records are declared, while there are requests."""


class Sampling:
    """Decides and counts for one trail. Safe to share between threads and across forks: a child counts its own."""

    def __init__(self, fraction: float, *, chance: Callable[[], float] = random) -> None:
        if not 0.0 < fraction <= 1.0:
            message = f"expected a fraction above 0 and up to 1, got `{fraction:g}`"
            raise ConfigurationError(message, place="audit_sample_reads")
        self._fraction = fraction
        self._chance = chance
        self._reset()
        on_fork(self)

    def begin_in_child(self) -> None:
        """Count from zero: the parent declares what it left out."""
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._since = time.monotonic()

    def is_sampled_out(self) -> bool:
        return self._chance() >= self._fraction

    def count(self, now: datetime) -> None:
        with self._lock:
            self._count += 1
            self._first = self._first or now
            self._last = now

    def declaration(self, stamp: Callable[[], Stamp], *, is_last: bool = False) -> bytes | None:
        """Return the line that declares what was left out, once; None if none is due.

        Raises nothing, so that the writer can continue.
        """
        if not self._count or (not is_last and time.monotonic() - self._since < DECLARATION_INTERVAL):
            return None
        with self._lock:
            count, first, last = self._count, self._first, self._last
            self._count, self._first, self._last, self._since = 0, None, None, time.monotonic()
        if first is None or last is None:
            return None
        try:
            return sampled_line(stamp(), SampledOut(self._fraction, count, first, last))
        except Exception as error:  # noqa: BLE001  the other records must still be written
            logger.error("sampled-out audit records cannot be declared: %s", type(error).__name__)
            return None
