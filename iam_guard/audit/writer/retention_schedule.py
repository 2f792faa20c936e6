"""Schedule retention in the writer thread: at its start and every hour, in steps between batches.

On a full disk it runs immediately, dropping an old segment before the batch is retried; it drops nothing that would not
have been dropped within the hour. Failures are logged and retried the next hour; no batch waits for them.
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

SWEEP_INTERVAL = 3600.0
STEP_DELAY = 0.01
"""Seconds between two steps, to leave the processor to requests."""
FREE_SPACE_DELAY = 30.0
"""Seconds between two attempts to free space on a full disk after one that freed none."""


class RetentionSchedule:
    """Runs sweeps step by step in the writer thread."""

    def __init__(
        self,
        trail: Path,
        rule: RetentionRule | None,
        writer: Callable[[], SegmentWriter],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start immediately; never without a rule."""
        self._trail = trail
        self._rule = rule
        self._writer = writer
        self._timer = timer
        self._next = timer()
        self._sweep: Sweep | None = None
        self._steps: Iterator[None] = iter(())
        self._retry_at = -math.inf

    def due_in(self) -> float | None:
        """Return the seconds until the next step; None without a rule."""
        return None if self._rule is None else max(0.0, self._next - self._timer())

    def step(self) -> None:
        """Run a step if one is due."""
        if self._rule is not None and self._timer() >= self._next:
            self._step(self._sweep or self._start_sweep(self._rule))

    def free_space(self) -> bool:
        """Drop the next old segment; return False if there is none, or there was none within the last seconds."""
        if self._rule is None or self._timer() < self._retry_at:
            return False
        is_freed = self._sweep is not None and self._drop_next(self._sweep)
        if not is_freed:  # a running sweep does not see segments closed since its start
            is_freed = self._drop_next(self._start_sweep(self._rule))
        if not is_freed:
            self._retry_at = self._timer() + FREE_SPACE_DELAY
        return is_freed

    def _drop_next(self, sweep: Sweep) -> bool:
        """Continue until one more segment is dropped; return False at the end of the sweep."""
        count = len(sweep.dropped)
        while self._sweep is sweep and len(sweep.dropped) == count:
            self._step(sweep)
        return len(sweep.dropped) > count

    def _start_sweep(self, rule: RetentionRule) -> Sweep:
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
        except Exception as error:  # noqa: BLE001  records must still be written
            detail = error.strerror if isinstance(error, OSError) else None
            logger.error("old segments of the audit trail cannot be dropped: %s", detail or type(error).__name__)
        self._next = self._timer() + STEP_DELAY
        if is_over:
            self._log_result(sweep)
            self.stop()

    def stop(self) -> None:
        """Leave the rest to the next sweep."""
        if self._sweep is not None:
            self._next = self._timer() + SWEEP_INTERVAL
            self._sweep, steps, self._steps = None, self._steps, iter(())
            del steps  # releases the lock

    def _log_result(self, sweep: Sweep) -> None:
        if sweep.dropped:
            lines = sum(dropped.lines for dropped in sweep.dropped)
            logger.info("dropped %d old segments of the audit trail with %d lines", len(sweep.dropped), lines)
        if sweep.kept:
            count, first = len(sweep.kept), sweep.kept[0]
            place = f"{first.segment.folder.name}/{first.segment.lines.name}"
            logger.warning("kept %d old segments of the audit trail; `%s`: %s", count, place, first.why)
