"""When the writer of a process looks for what is too old: at its start and every hour, in steps between its batches.

And at once where the disk is full: then a segment that is old enough goes before the batch is tried again, and nothing
goes that would not have gone within the hour.

Whatever goes wrong is logged and tried again the next hour; no batch waits for it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from iam_guard.audit.writer.retention import RetentionRule, Sweep
from iam_guard.audit.writer.segment_writer import SegmentWriter
from iam_guard.errors import ConfigurationError

logger = logging.getLogger("iam_guard.audit")

EVERY = 3600.0
STEP = 0.01
"""Seconds between two steps, for requests to have the processor in."""
PAUSE = 30.0
"""Seconds between two looks for what could go from a full disk, where there was nothing."""


class Sweeping:
    """Lives in the writer's thread."""

    def __init__(
        self,
        trail: Path,
        rule: RetentionRule | None,
        writer: Callable[[], SegmentWriter],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin at once; without a rule never."""
        self._trail = trail
        self._rule = rule
        self._writer = writer
        self._timer = timer
        self._next = timer()
        self._sweep: Sweep | None = None
        self._steps: Iterator[None] = iter(())
        self._look_again = -math.inf

    def due_in(self) -> float | None:
        """Return the seconds until the next step; None where nothing is ever dropped."""
        return None if self._rule is None else max(0.0, self._next - self._timer())

    def step(self) -> None:
        """Take a step if one is due."""
        if self._rule is not None and self._timer() >= self._next:
            self._step(self._sweep or self._begin(self._rule))

    def free_room(self) -> bool:
        """Drop the next segment that is too old; False where there is none, or there was none a moment ago."""
        if self._rule is None or self._timer() < self._look_again:
            return False
        is_freed = self._sweep is not None and self._drops_more(self._sweep)
        if not is_freed:  # one that has begun does not see what was closed since
            is_freed = self._drops_more(self._begin(self._rule))
        if not is_freed:
            self._look_again = self._timer() + PAUSE
        return is_freed

    def _drops_more(self, sweep: Sweep) -> bool:
        """Go on until something more is dropped; False where there is nothing more."""
        before = len(sweep.dropped)
        while self._sweep is sweep and len(sweep.dropped) == before:
            self._step(sweep)
        return len(sweep.dropped) > before

    def _begin(self, rule: RetentionRule) -> Sweep:
        self._sweep = Sweep(self._trail, rule, self._writer)
        self._steps = self._sweep.steps()
        return self._sweep

    def _step(self, sweep: Sweep) -> None:
        is_over = True
        try:
            for _ in self._steps:
                is_over = False
                break
        except ConfigurationError:
            logger.info("another process drops old segments of the audit trail")
        except Exception as error:  # noqa: BLE001  whatever it is, records are written
            detail = error.strerror if isinstance(error, OSError) else None
            logger.error("old segments of the audit trail cannot be dropped: %s", detail or type(error).__name__)
        self._next = self._timer() + STEP
        if is_over:
            self._tell(sweep)
            self.stop()

    def stop(self) -> None:
        """Leave the rest for the next time."""
        if self._sweep is not None:
            self._next = self._timer() + EVERY
            self._sweep, steps, self._steps = None, self._steps, iter(())
            del steps  # lets go of the lock

    def _tell(self, sweep: Sweep) -> None:
        if sweep.dropped:
            lines = sum(each.lines for each in sweep.dropped)
            logger.info("%d old segments of the audit trail are dropped, of %d lines", len(sweep.dropped), lines)
        if sweep.kept:
            count, first = len(sweep.kept), sweep.kept[0]
            place = f"{first.segment.folder.name}/{first.segment.lines.name}"
            logger.warning("%d old segments of the audit trail are kept; `%s`: %s", count, place, first.why)
