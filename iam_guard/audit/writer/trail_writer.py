"""The one thread of a process that writes its shard: takes from the ring, commits in groups, signs, tries again.

A line that the request did not make is made here, from values that do not change any more; nothing of the application
is called.

A batch is written with one commit; where a request of it waits for the disk, one sync follows, for all of them. A batch
that fails is put back and tried again, at first after a tenth of a second, then ever more slowly up to a second, until
it can be written; meanwhile the ring fills and the classes say what becomes of requests. At the end what waits is
written and signed; what cannot be is lost, and said in the log, and the next start finds the shard unfinished and
declares the gap.

Before the first record, what killed processes left is recovered; between batches, what is too old is dropped, and at
once where the disk is full (`retention_schedule`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from iam_guard.audit.append_file import NO_ROOM
from iam_guard.audit.record.lanes import Waiting
from iam_guard.audit.verify.shard import is_line
from iam_guard.audit.verify.signed_note import KeyRing, SignerKey
from iam_guard.audit.writer.record_queue import Missing, RecordQueue
from iam_guard.audit.writer.recovery import Recovered, declare, recover
from iam_guard.audit.writer.retention import RetentionRule
from iam_guard.audit.writer.retention_schedule import Sweeping
from iam_guard.audit.writer.segment_limits import SegmentLimits
from iam_guard.audit.writer.segment_writer import SegmentWriter

logger = logging.getLogger("iam_guard.audit")

BATCH = 1000
FIRST_RETRY, LONGEST_RETRY = 0.1, 1.0
MAX_LAST_SHARDS = 16
"""Shards that are ended while the process terminates, each when nothing more waits; the one after that is left open."""


@dataclass(frozen=True, slots=True)
class TrailPlace:
    """Where a trail is written, and under whose name."""

    trail: Path
    key: SignerKey
    known: KeyRing
    service: str = "iam-guard"
    region: str = "us-east-1"
    limits: SegmentLimits = field(default_factory=SegmentLimits)
    retention: RetentionRule | None = None
    """How long lines are kept; for ever without."""

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
    """Lives in its thread; others only read `checkpoint_age`."""

    def __init__(self, place: TrailPlace, ring: RecordQueue) -> None:
        self._place = place
        self._ring = ring
        self._writer: SegmentWriter | None = None
        self._found: list[Recovered] | None = None
        self._retry = FIRST_RETRY
        self._sweeping = Sweeping(place.trail, place.retention, self._begun)
        self._last_shards = MAX_LAST_SHARDS

    def run(self) -> None:
        """Write until the ring is closed and empty."""
        while self._step():
            pass
        self._end()

    def checkpoint_age(self) -> float | None:
        """Return the seconds since the last checkpoint was written; None before the first."""
        writer = self._writer
        return None if writer is None or writer.checkpointed is None else time.monotonic() - writer.checkpointed

    # --- one batch -----------------------------------------------------------------------------------------------

    def _step(self) -> bool:
        """Write what waits; False when nothing will come any more, or what is left cannot be written."""
        batch, missing = self._ring.take(BATCH, self._due_in())
        is_last = self._ring.is_closed and not batch and missing is None
        if not self._attempt(lambda: self._write(batch, missing), batch, missing):
            if self._ring.is_closed:
                return False
            self._ring.pause(self._retry)
            self._retry = min(self._retry * 2, LONGEST_RETRY)
            return True
        self._tell(batch)
        self._went_well()
        self._end_shard_if_due()
        if self._writer is not None and not self._ring.is_half_full and not self._ring.is_closed:
            self._sweeping.step()
        return not is_last

    def _due_in(self) -> float | None:
        """Return the seconds until there is something to do though no record comes."""
        if self._writer is None:
            return None
        return min((due for due in (self._writer.due_in(), self._sweeping.due_in()) if due is not None), default=None)

    def _attempt(self, act: Callable[[], None], batch: list[Waiting], missing: Missing | None) -> bool:
        try:
            self._act_where_there_is_room(act)
        except OSError as error:
            self._went_wrong(error.strerror or "failure", batch, missing, error)
        except Exception as error:  # noqa: BLE001  a thread that dies would leave every request waiting
            self._went_wrong(f"unexpected {type(error).__name__}", batch, missing, error)
            self._leave_shard()  # what it believes and what is in the files may differ now
        else:
            return True
        return False

    def _act_where_there_is_room(self, act: Callable[[], None]) -> None:
        """Do something; as often as the disk is full, drop what is too old and do it again, while requests wait."""
        while True:
            try:
                return act()
            except OSError as error:
                if error.errno not in NO_ROOM or not self._sweeping.free_room():
                    raise

    def _write(self, batch: list[Waiting], missing: Missing | None) -> None:
        """Keep all of a batch, or raise and keep nothing."""
        writer = self._begun()
        writer.append(self._lines_of(batch))
        if missing is not None:
            writer.gap(missing.gap())
        writer.commit()

    def _lines_of(self, batch: list[Waiting]) -> list[bytes]:
        """Make the lines that are not made yet, once; one that cannot be made is missing, and the next gap says so."""
        lines = []
        for each in list(batch):
            line = each.line if isinstance(each.line, bytes) else self._made(each.line)
            if line is None:
                batch.remove(each)
            else:
                each.line = line
                lines.append(line)
        return lines

    def _made(self, make: Callable[[], bytes]) -> bytes | None:
        try:
            line = make()
        except Exception as error:  # noqa: BLE001  whatever it is, the others are written
            logger.error("an audit record cannot be made: %s", type(error).__name__)  # its text may hold a part of it
        else:
            if is_line(line):
                return line
            logger.error("an audit record cannot be made: it is no line")
        self._ring.miss(is_refused=False)
        return None

    def _tell(self, batch: list[Waiting]) -> None:
        """Wait for the disk where somebody does. The lines stand in the file, so that no failure writes them again."""
        tickets = [each.ticket for each in batch if each.ticket is not None]
        if not tickets or self._writer is None:
            return
        failure: Exception | None = None
        try:
            self._writer.commit(durable=True)
        except Exception as error:  # noqa: BLE001  whatever it is, the requests are not left to wait
            logger.error("the audit trail does not get to the disk: %s", type(error).__name__)
            failure = error
        for ticket in tickets:
            ticket.answer(failure)

    def _went_well(self) -> None:
        if self._ring.is_failing:
            logger.warning("the audit trail is written again")
        self._ring.done()
        self._retry = FIRST_RETRY

    def _went_wrong(self, why: str, batch: list[Waiting], missing: Missing | None, error: BaseException) -> None:
        if not self._ring.is_failing:
            logger.error("the audit trail cannot be written: %s", why)
        self._ring.fail(batch, missing, error)

    # --- the shard -----------------------------------------------------------------------------------------------

    def _begun(self) -> SegmentWriter:
        """Return the writer; the first time, see to what others left."""
        if self._writer is None:
            place = self._place
            if self._found is None:
                place.trail.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._found = recover(place.trail, place.key, place.known, region=place.region)
            writer = place.writer()
            try:
                declare(place.trail, writer, self._found)
            except OSError:
                writer.abandon()
                raise
            self._found = []
            self._writer = writer
        return self._writer

    def _leave_shard(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.abandon()

    def _end_shard_if_due(self) -> None:
        """End the shard where that was asked for, or where the process terminates and nothing waits."""
        if self._ring.is_shard_to_end:
            self._ring.shard_ended(is_done=self._end_shard())
        elif self._ring.is_terminating and self._writer is not None and self._last_shards and not len(self._ring):
            self._last_shards -= 1
            self._end_shard()

    def _end_shard(self) -> bool:
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except OSError as error:
                logger.error("the audit trail cannot be ended: %s", error.strerror)
                return False
        return True

    def _end(self) -> None:
        self._sweeping.stop()
        if left := len(self._ring):
            logger.error("%d audit records are lost, for the trail cannot be written", left)
        self._end_shard()
