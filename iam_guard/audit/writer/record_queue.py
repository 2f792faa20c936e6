"""The bounded queue between request threads and the writer thread, divided into lanes.

Strategy. Adding a record costs a lock and a comparison. The first record wakes the writer, which then waits some
milliseconds for more, so that an ordinary record wakes no thread; it wakes immediately for a record with a ticket (its
request waits for the disk), and when a lane is half full. A batch that could not be written is put back at the front.
Requests with tickets are answered with the error, and their records are put back only if the ticket requires it
(`is_kept`), because the change they describe has happened.

Each lane (`lanes`) has its own limit. A batch takes the records with tickets, then the oldest of all other lanes, only
a few of them if a request waits; within a batch, records are in order of arrival.

Records that do not fit are counted until a gap record in the trail declares them.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from operator import attrgetter
from time import monotonic
from typing import Protocol

from iam_guard.audit.record.lanes import (
    ALLOWED,
    DURABLE,
    LANES,
    NEVER,
    UNAUTHENTICATED,
    Lane,
    LaneQueue,
    Line,
    LineRecord,
    QueuedRecord,
    Ticket,
)
from iam_guard.audit.verify.trail_events import Gap

BATCH_DELAY = 0.01
"""Seconds for which the writer waits for more records."""
MAX_SLEEP = 5.0
PART_TO_RETRY = 0.8
"""The part of the seconds of a termination in which a failed batch is tried again; the rest is for the last record."""
MAX_NON_DURABLE = 100
"""Maximum number of other records in a batch with tickets."""


class Declare(Protocol):
    """Return a line that is due, or None."""

    def __call__(self, *, is_last: bool) -> bytes | None: ...


_QUEUED_AT = attrgetter("queued_at")


@dataclass(frozen=True, slots=True)
class Missing:
    """Records that are not in the trail, of requests that were answered (`lost`) and refused (`refused`).

    `unauthenticated` of the lost records were from unauthenticated callers.
    """

    lost: int
    refused: int
    unauthenticated: int
    first: datetime
    last: datetime

    def merge(self, later: Missing) -> Missing:
        return Missing(
            self.lost + later.lost,
            self.refused + later.refused,
            self.unauthenticated + later.unauthenticated,
            self.first,
            later.last,
        )

    def gap(self) -> Gap:
        return Gap(
            "NotRecorded",
            lost=self.lost,
            refused=self.refused or None,
            unauthenticated=self.unauthenticated or None,
            first=self.first,
            last=self.last,
        )


class RecordQueue:
    """The queue of one process. Safe to share between threads; only the writer thread takes records."""

    def __init__(self, limit: int) -> None:
        self.lanes = tuple(LaneQueue(lane, limit) for lane in LANES)
        self.allowed = self.lanes[ALLOWED.number]
        self.limit = sum(queue.limit for queue in self.lanes)
        self.is_closed = False
        self.is_failing = False
        """Whether the last attempt to write failed: no request waits for capacity then."""
        self.dropped = self.refused = self.dropped_unauthenticated = 0
        self._lock = threading.RLock()  # reentrant: signal handlers and finalizers may interrupt its owner
        self._filled = threading.Condition(self._lock)
        self._emptied = threading.Condition(self._lock)
        self._shard_ended = threading.Condition(self._lock)
        self._in_flight: list[QueuedRecord] = []
        self._missing: Missing | None = None
        self.declare: Declare | None = None
        """Returns the line that is due when the writer takes records; at the end, also one that would be due later."""
        self._tickets = self._waiters = 0
        self.is_terminating = False
        """Whether the process may end at any moment: set once, by other threads."""
        self._records_before_end: int | None = None
        self._end_by: float | None = None
        """When the writer of a terminating process gives up what it cannot write, by the monotonic clock."""
        self._ended = 0
        self._never = (NEVER,) * len(self.lanes)
        self._at_first = (1,) * len(self.lanes)
        self._at_half = tuple(queue.half for queue in self.lanes)
        self._wake_counts = self._never
        """Number of records in each lane that wakes the writer: one of the three above."""
        self._quiet_places = 0
        """Number of records in the allowed lane below which adding one neither fails nor wakes the writer."""
        self._set_wake_counts(self._never)

    def __len__(self) -> int:
        """Return the number of pending records, without those being written."""
        return sum(len(queue.waiting) for queue in self.lanes)

    @property
    def is_half_full(self) -> bool:
        """Whether any lane is half full."""
        return any(queue.is_half_full for queue in self.lanes)

    def oldest_age(self) -> float:
        """Return the age in seconds of the oldest unwritten record."""
        with self._lock:
            heads = self._in_flight[:1] + [queue.waiting[0] for queue in self.lanes if queue.waiting]
        return monotonic() - min(record.queued_at for record in heads) if heads else 0.0

    # --- request threads -----------------------------------------------------------------------------------------

    def has_capacity(self, lane: Lane, caller: str | None) -> bool:
        """Return whether a record would fit now; checked before one is made for an unauthenticated caller."""
        with self._lock:
            return self.lanes[lane.number].has_capacity(caller)

    def put(
        self,
        line: Line,
        ticket: Ticket | None = None,
        *,
        wait: float,
        lane: Lane = ALLOWED,
        caller: str | None = None,
    ) -> bool:
        """Add a line, waiting at most `wait` seconds for capacity; return False if full or closed."""
        with self._lock:
            queue = self.lanes[lane.number]
            if not queue.has_capacity(caller) and not self._wait_for_capacity(wait, queue, caller):
                return False
            if self.is_closed:
                return False
            queue.add(LineRecord(line, lane, ticket, caller))
            if ticket is not None:
                self._tickets += 1
                self._wake()
            elif len(queue.waiting) >= self._wake_counts[lane.number]:
                self._wake()
            return True

    def put_allowed(self, record: QueuedRecord) -> bool:
        """Add the record of an allowed request without waiting; return False if its lane is full, or all are closed."""
        with self._lock:
            waiting = self.allowed.waiting
            if len(waiting) >= self._quiet_places:
                if self.is_closed or len(waiting) >= self.allowed.limit:
                    return False
                self._wake()  # it takes the lock after this record is added
            record.queued_at = monotonic()
            waiting.append(record)
            return True

    def correct(self, line: Line) -> None:
        """Add a line that reports the outcome of a request whose record is being written, or is written already.

        It ignores the limit: the queue is full just when the disk hangs, and there is at most one such line for each
        record being written.
        """
        with self._lock:
            queue = self.lanes[DURABLE.number]
            queue.add(LineRecord(line, DURABLE))
            if self._wake_counts is self._at_first:
                self._wake()

    def withdraw(self, ticket: Ticket) -> None:
        """Remove the record of a request that no longer waits, unless it is being written or must stay."""
        with self._lock:
            waiting = self.lanes[DURABLE.number].waiting
            for record in waiting:
                if isinstance(record, LineRecord) and record.ticket is ticket:
                    self._tickets -= 1
                    if ticket.is_kept:
                        record.ticket = None
                    else:
                        waiting.remove(record)
                        ticket.is_withdrawn = True
                    return

    def miss(self, *, is_refused: bool, is_unauthenticated: bool = False) -> None:
        """Count a record that is not stored; the next batch declares it."""
        now = datetime.now(UTC)
        unauthenticated = int(is_unauthenticated and not is_refused)
        with self._lock:
            self.dropped += not is_refused
            self.refused += is_refused
            self.dropped_unauthenticated += unauthenticated
            one = Missing(int(not is_refused), int(is_refused), unauthenticated, now, now)
            self._missing = one if self._missing is None else self._missing.merge(one)
            if self._wake_counts is self._at_first:
                self._wake()

    def close(self) -> None:
        """Accept no more records; pending records are still written."""
        with self._lock:
            self.is_closed = True
            self._set_wake_counts(self._wake_counts)
            self._filled.notify_all()
            self._emptied.notify_all()

    def end_shard(self, seconds: float) -> bool:
        """Have pending records written and the shard ended, waiting at most `seconds`; return whether that succeeded.

        A signal handler may call it while its thread has the lock; a condition releases a reentrant lock completely.
        """
        with self._lock:
            if self.is_closed:
                return False
            before, self._records_before_end = self._ended, len(self)
            self._end_by = monotonic() + seconds * PART_TO_RETRY if self.is_terminating else None
            self._filled.notify_all()
            self._shard_ended.wait_for(lambda: self._records_before_end is None or self.is_closed, seconds)
            return self._ended > before

    def _wake(self) -> None:
        self._set_wake_counts(self._never)
        self._filled.notify()

    def _set_wake_counts(self, counts: tuple[int, ...]) -> None:
        self._wake_counts = counts
        self._quiet_places = 0 if self.is_closed else min(self.allowed.limit, counts[ALLOWED.number] - 1)

    def _wait_for_capacity(self, seconds: float, queue: LaneQueue, caller: str | None) -> bool:
        if seconds <= 0.0 or self.is_failing:
            return False
        self._waiters += 1
        try:
            return self._emptied.wait_for(
                lambda: self.is_closed or self.is_failing or queue.has_capacity(caller), seconds
            ) and queue.has_capacity(caller)
        finally:
            self._waiters -= 1

    # --- writer thread -------------------------------------------------------------------------------------------

    def take(self, max_records: int, timeout: float | None) -> tuple[list[QueuedRecord], Missing | None]:
        """Wait at most `timeout` seconds for records, then briefly for more, and return the oldest."""
        with self._lock:
            if not len(self) and self._missing is None and not self._is_draining:
                self._set_wake_counts(self._at_first)
                self._filled.wait(MAX_SLEEP if timeout is None else timeout)
            is_urgent = self._tickets or self.is_half_full or self._is_draining or self.is_terminating
            if len(self) and not is_urgent:
                self._set_wake_counts(self._at_half)
                self._filled.wait(BATCH_DELAY)
            self._set_wake_counts(self._never)
            if self.declare is not None and (line := self.declare(is_last=self._is_draining)) is not None:
                self.allowed.add(LineRecord(line, ALLOWED))
            self._in_flight = batch = self._batch(max_records)
            self._tickets -= sum(record.ticket is not None for record in batch)
            if self._records_before_end is not None:
                self._records_before_end -= len(batch)
            missing, self._missing = self._missing, None
            if self._waiters:
                self._emptied.notify_all()
            return batch, missing

    @property
    def _is_draining(self) -> bool:
        return self.is_closed or self._records_before_end is not None

    @property
    def is_shard_to_end(self) -> bool:
        """Whether the shard should end now: it was requested, and the records pending then have been taken."""
        return self._records_before_end is not None and self._records_before_end <= 0

    @property
    def is_given_up(self) -> bool:
        """Whether a process that terminates has no time left to try again, or the queue is closed."""
        return self.is_closed or (self._end_by is not None and monotonic() >= self._end_by)

    def give_up(self) -> Missing | None:
        """Remove all pending records, and return them with those that are missing already; None if there are none."""
        with self._lock:
            records = [record for queue in self.lanes for record in queue.take(len(queue.waiting))]
            missing, self._missing = self._missing, None
            if not records:
                return missing
            now = datetime.now(UTC)
            first = now - timedelta(seconds=monotonic() - min(record.queued_at for record in records))
            unauthenticated = sum(record.lane is UNAUTHENTICATED for record in records)
            self.dropped += len(records)
            self.dropped_unauthenticated += unauthenticated
            lost = Missing(len(records), 0, unauthenticated, first, now)
            return lost if missing is None else missing.merge(lost)

    def shard_ended(self, *, is_done: bool = True) -> None:
        """Report that the shard has ended, or that it cannot be ended now."""
        with self._lock:
            self._records_before_end = self._end_by = None
            self._ended += is_done
            self._shard_ended.notify_all()

    def _batch(self, max_records: int) -> list[QueuedRecord]:
        """Take the records with tickets, then the oldest of all other lanes, only a few if there are tickets."""
        durable, *others = self.lanes
        batch = durable.take(min(max_records, len(durable.waiting)))
        left = min(max_records - len(batch), MAX_NON_DURABLE) if batch else max_records
        filled = [queue for queue in others if queue.waiting]
        if len(filled) == 1 and not batch:
            return filled[0].take(min(left, len(filled[0].waiting)))
        heads = sorted((record for queue in filled for record in islice(queue.waiting, left)), key=_QUEUED_AT)
        for number, records in Counter(record.lane.number for record in heads[:left]).items():
            batch += self.lanes[number].take(records)
        batch.sort(key=_QUEUED_AT)
        return batch

    def done(self) -> None:
        """Report that the taken records are written."""
        with self._lock:
            self._in_flight = []
            self.is_failing = False

    def fail(self, batch: list[QueuedRecord], missing: Missing | None, error: BaseException) -> None:
        """Put back a batch that cannot be written, and answer all tickets with the error."""
        with self._lock:
            self._in_flight = []
            self.is_failing = True
            for record in reversed(batch):
                self.lanes[record.lane.number].put_back(record)
            durable = self.lanes[DURABLE.number]
            for record in durable.waiting:
                if isinstance(record, LineRecord) and record.ticket is not None:
                    record.ticket.is_withdrawn = not record.ticket.is_kept
                    record.ticket.answer(error)
                    record.ticket = None if record.ticket.is_kept else record.ticket
            durable.waiting = deque(record for record in durable.waiting if record.ticket is None)
            self._tickets = 0
            if missing is not None:
                self._missing = missing if self._missing is None else missing.merge(self._missing)
            self._emptied.notify_all()
            if self._end_by is None:
                self.shard_ended(is_done=False)
            elif self._records_before_end is not None:
                self._records_before_end += len(batch)

    def pause(self, seconds: float) -> None:
        """Wait before the next attempt; a ticket or the end of the queue cuts it short."""
        with self._lock:
            if self._end_by is not None:
                self._filled.wait(max(0.0, min(seconds, self._end_by - monotonic())))
            elif not self._tickets and not self._is_draining:
                self._filled.wait(seconds)
