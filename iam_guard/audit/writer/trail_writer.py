"""The writer thread of a process: takes records from the queue, commits them in batches, signs, retries.

A line that the request did not make is made here, from values that no longer change; no application code runs.

A batch is written with one commit; if a request in it waits for the disk, one flush follows for all of them. A failed
batch is put back and retried, first after a tenth of a second, backing off to one second; meanwhile the queue fills and
the record classes decide about requests. At the end, pending records are written and signed; those that cannot be
written are lost, which the log and a last record in the reserved space say. If even that cannot be written, the next
start finds the shard open and declares the gap.

Before the first record, shards of killed processes are recovered; between batches, or immediately on a full disk, old
segments are dropped (`retention_schedule`).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

from iam_guard.audit.append_file import DISK_FULL_ERRORS
from iam_guard.audit.record.lanes import QueuedRecord
from iam_guard.audit.verify.shard import is_line
from iam_guard.audit.verify.signed_note import KeyRing, SignerKey
from iam_guard.audit.writer.record_queue import Missing, RecordQueue
from iam_guard.audit.writer.recovery import Recovered, declare_damage, recover_trail
from iam_guard.audit.writer.retention import RetentionRule
from iam_guard.audit.writer.retention_schedule import RetentionSchedule
from iam_guard.audit.writer.segment_writer import SegmentLimits, SegmentWriter

logger = logging.getLogger("iam_guard.audit")

MAX_BATCH = 1000
MIN_RETRY_DELAY, MAX_RETRY_DELAY = 0.1, 1.0
MAX_LAST_SHARDS = 16
"""Shards that are ended while the process terminates, each when the queue is empty; a further one stays open."""


@dataclass(frozen=True, slots=True)
class TrailConfig:
    """Where and how a trail is written."""

    trail: Path
    key: SignerKey
    known: KeyRing
    service: str = "iam-guard"
    region: str = "us-east-1"
    limits: SegmentLimits = field(default_factory=SegmentLimits)
    retention: RetentionRule | None = None
    """How long lines are kept; None for forever."""

    def writer(self) -> SegmentWriter:
        return SegmentWriter(
            self.trail,
            self.key,
            known=self.known,
            service=self.service,
            region=self.region,
            limits=self.limits,
            is_retried=True,
        )


class TrailWriter:
    """Writes the records of a queue in its own thread; other threads only read `checkpoint_age`."""

    def __init__(self, place: TrailConfig, queue: RecordQueue) -> None:
        self._place = place
        self._queue = queue
        self._writer: SegmentWriter | None = None
        self._recovered: list[Recovered] | None = None
        self._retry = MIN_RETRY_DELAY
        self._retention = RetentionSchedule(place.trail, place.retention, self._opened_writer)
        self._remaining_shards = MAX_LAST_SHARDS

    def run(self) -> None:
        """Write until the queue is closed and empty."""
        while self._step():
            pass
        self._end()

    def checkpoint_age(self) -> float | None:
        """Return the seconds since the last checkpoint was written; None before the first."""
        writer = self._writer
        return None if writer is None or writer.checkpointed_at is None else time.monotonic() - writer.checkpointed_at

    # --- one batch -----------------------------------------------------------------------------------------------

    def _step(self) -> bool:
        """Write one batch; return False at the end, or if the rest cannot be written."""
        batch, missing = self._queue.take(MAX_BATCH, self._due_in())
        is_last = self._queue.is_closed and not batch and missing is None
        if not self._try_to_write(batch, missing):
            if self._queue.is_given_up:
                self._give_up()
                return not self._queue.is_closed
            self._queue.pause(self._retry)
            self._retry = min(self._retry * 2, MAX_RETRY_DELAY)
            return True
        self._answer_tickets(batch)
        self._record_success()
        self._end_shard_if_due()
        if self._writer is not None and not self._queue.is_half_full and not self._queue.is_closed:
            self._retention.step()
        return not is_last

    def _due_in(self) -> float | None:
        """Return the seconds until a task is due without a record; None if none is."""
        if self._writer is None:
            return None
        return min((due for due in (self._writer.due_in(), self._retention.due_in()) if due is not None), default=None)

    def _try_to_write(self, batch: list[QueuedRecord], missing: Missing | None) -> bool:
        try:
            self._write_freeing_space(batch, missing)
        except OSError as error:
            self._record_failure(error.strerror or "failure", batch, missing, error)
        except Exception as error:  # noqa: BLE001  if the thread died, every request would wait
            self._record_failure(f"unexpected {type(error).__name__}", batch, missing, error)
            self._abandon_shard()  # its state may differ from the files now
        else:
            return True
        return False

    def _write_freeing_space(self, batch: list[QueuedRecord], missing: Missing | None) -> None:
        """Write a batch; while the disk is full, drop an old segment and write it again."""
        while True:
            try:
                return self._write(batch, missing)
            except OSError as error:
                if error.errno not in DISK_FULL_ERRORS or not self._retention.free_space():
                    raise

    def _write(self, batch: list[QueuedRecord], missing: Missing | None) -> None:
        """Write all of a batch, or raise and write nothing."""
        writer = self._opened_writer()
        writer.append(self._lines_of(batch))
        if missing is not None:
            writer.gap(missing.gap())
        writer.commit()

    def _lines_of(self, batch: list[QueuedRecord]) -> list[bytes]:
        """Make the lines that are not made yet, once; a record that fails is removed and counted as missing."""
        lines, complete = [], []
        for record in batch:
            if record.line is None:
                record.line = self._make_line(record)
            if (line := record.line) is not None:
                lines.append(line)
                complete.append(record)
        batch[:] = complete
        return lines

    def _make_line(self, record: QueuedRecord) -> bytes | None:
        try:
            line = record.make_line()
        except Exception as error:  # noqa: BLE001  the other records must still be written
            # without the error's message, which may contain record data
            logger.error("an audit record cannot be made: %s", type(error).__name__)
        else:
            if is_line(line):
                return line
            logger.error("an audit record cannot be made: invalid line")
        self._queue.miss(is_refused=False)
        return None

    def _answer_tickets(self, batch: list[QueuedRecord]) -> None:
        """Flush and answer the tickets of a batch, whose lines are in the file already and not written again."""
        tickets = [record.ticket for record in batch if record.ticket is not None]
        if not tickets or self._writer is None:
            return
        failure: Exception | None = None
        try:
            self._writer.commit(durable=True)
        except Exception as error:  # noqa: BLE001  the tickets must still be answered
            logger.error("the audit trail cannot be flushed to the disk: %s", type(error).__name__)
            failure = error
        for ticket in tickets:
            ticket.answer(failure)

    def _record_success(self) -> None:
        if self._queue.is_failing:
            logger.warning("the audit trail can be written again")
        self._queue.done()
        self._retry = MIN_RETRY_DELAY

    def _record_failure(
        self, why: str, batch: list[QueuedRecord], missing: Missing | None, error: BaseException
    ) -> None:
        if not self._queue.is_failing:
            logger.error("the audit trail cannot be written: %s", why)
        self._queue.fail(batch, missing, error)

    # --- the shard -----------------------------------------------------------------------------------------------

    def _opened_writer(self) -> SegmentWriter:
        """Return the writer; the first time, recover the shards of killed processes."""
        if self._writer is None:
            place = self._place
            if self._recovered is None:
                place.trail.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._recovered = recover_trail(place.trail, place.key, place.known, region=place.region)
            writer = place.writer()
            try:
                declare_damage(place.trail, writer, self._recovered)
            except OSError:
                writer.abandon()
                raise
            self._recovered = []
            self._writer = writer
        return self._writer

    def _abandon_shard(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.abandon()

    def _end_shard_if_due(self) -> None:
        """End the shard if requested, or if the process terminates and the queue is empty."""
        if self._queue.is_shard_to_end:
            self._queue.shard_ended(is_done=self._end_shard())
        elif (
            self._queue.is_terminating and self._writer is not None and self._remaining_shards and not len(self._queue)
        ):
            self._remaining_shards -= 1
            self._end_shard()

    def _end_shard(self) -> bool:
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except OSError as error:
                logger.error("the audit shard cannot be ended: %s", error.strerror)
                return False
        return True

    def _give_up(self) -> None:
        """Declare the pending records lost, in the reserved space, and end the shard: the process ends."""
        missing = self._queue.give_up()
        if missing is not None:
            logger.error("%d audit records are lost because the trail cannot be written", missing.lost)
            try:
                self._opened_writer().last_gap(missing.gap())
            except Exception as error:  # noqa: BLE001  the thread that terminates waits for this one
                logger.error("lost audit records cannot be declared: %s", type(error).__name__)
        self._queue.shard_ended(is_done=self._end_shard() and missing is None)

    def _end(self) -> None:
        self._retention.stop()
        if len(self._queue):
            self._give_up()
        self._end_shard()
