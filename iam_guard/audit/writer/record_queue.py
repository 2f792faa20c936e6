"""Where records wait for the writer: lanes with a bound, between the threads of requests and the one that writes.

Strategy. Putting in costs a lock and a comparison. The writer is woken for the first record, then lets others gather
for some milliseconds, so that an ordinary record wakes nobody; it is woken at once for a record whose request waits for
the disk (it has a ticket), and when a lane is half full. A batch that could not be written is put back in front. Of one
with a ticket, the request is told that it failed; the record is put back only where its ticket says that it stays
whatever its request was told, for what it says has happened.

Each lane (`lanes`) has a bound of its own. A batch takes what requests wait for, then the oldest of all other lanes,
few of them where a request waits; inside of it the order is that in which the records came.

What finds no place is counted here until a gap in the trail declares it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from operator import attrgetter
from typing import Protocol

from iam_guard.audit.record.lanes import ALLOWED, DURABLE, LANES, NEVER, Lane, LaneQueue, Line, Ticket, Waiting
from iam_guard.audit.verify.trail_events import Gap

GATHERING = 0.01
"""Seconds for which the writer lets records gather."""
LONGEST_SLEEP = 5.0
MAX_BESIDE = 100
"""Other records in a batch for which a request waits."""


class Declare(Protocol):
    """Returns a line that is due, or None."""

    def __call__(self, *, is_last: bool) -> bytes | None: ...


_CAME = attrgetter("came")


@dataclass(frozen=True, slots=True)
class Missing:
    """Records that are not in the trail: of requests that were answered (`lost`), and of such that were refused.

    `unauthenticated` of those that are lost were of callers that were not signed in.
    """

    lost: int
    refused: int
    unauthenticated: int
    first: datetime
    last: datetime

    def and_then(self, later: Missing) -> Missing:
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
    """Safe to share between threads; one of them takes out."""

    def __init__(self, limit: int) -> None:
        self._queues = tuple(LaneQueue(lane, limit) for lane in LANES)
        self.limit = sum(queue.limit for queue in self._queues)
        self.is_closed = False
        self.is_failing = False
        """Whether the last attempt to write failed: then nobody waits for a place."""
        self.dropped = self.refused = self.dropped_unauthenticated = 0
        self._lock = threading.RLock()  # a signal handler, or a collected pipeline, may come in while it is held
        self._filled = threading.Condition(self._lock)
        self._emptied = threading.Condition(self._lock)
        self._shard_ended = threading.Condition(self._lock)
        self._in_hand: list[Waiting] = []
        self._missing: Missing | None = None
        self.declare: Declare | None = None
        """Returns the line that is due when the writer takes records; at the end, one that would be due later."""
        self._tickets = self._crowd = 0
        self.is_terminating = False
        """Whether the process may end any moment: set by others, once."""
        self._before_end: int | None = None
        self._ended = 0

    def __len__(self) -> int:
        """Count what waits, not what is being written."""
        return sum(len(queue.waiting) for queue in self._queues)

    @property
    def is_half_full(self) -> bool:
        """Whether any lane is."""
        return any(queue.is_half_full for queue in self._queues)

    def is_lane_half_full(self, lane: Lane) -> bool:
        return self._queues[lane.number].is_half_full

    def oldest_age(self) -> float:
        """Return the seconds for which the oldest record that is not written waits."""
        with self._lock:
            heads = self._in_hand[:1] + [queue.waiting[0] for queue in self._queues if queue.waiting]
        return time.monotonic() - min(record.came for record in heads) if heads else 0.0

    # --- putting in ----------------------------------------------------------------------------------------------

    def has_place(self, lane: Lane, caller: str | None) -> bool:
        """Return whether a record would find a place now, so that none is made that finds none."""
        with self._lock:
            return self._queues[lane.number].has_place(caller)

    def put(
        self,
        line: Line,
        ticket: Ticket | None = None,
        *,
        wait: float,
        lane: Lane = ALLOWED,
        caller: str | None = None,
    ) -> bool:
        """Add a line; wait so many seconds for a place at most. False where there is none, or the ring is closed."""
        with self._lock:
            queue = self._queues[lane.number]
            is_fair = queue.callers is not None
            has_place = queue.has_place(caller) if is_fair else len(queue.waiting) < queue.limit
            if not has_place and not self._has_place_in(wait, queue, caller):
                return False
            if self.is_closed:
                return False
            record = Waiting(line, time.monotonic(), ticket, queue, caller)
            if is_fair:
                queue.add(record)
            else:
                queue.waiting.append(record)
            if ticket is not None:
                self._tickets += 1
                self._wake()
            elif len(queue.waiting) >= queue.wakes_at:
                self._wake()
            return True

    def correct(self, line: Line) -> None:
        """Add a line that says what became of a request whose record is being written, or is written already.

        It finds place where there is none: the ring is full just when the disk hangs, and there is one such line at
        most for each record in the hand of the writer.
        """
        with self._lock:
            queue = self._queues[DURABLE.number]
            queue.add(Waiting(line, time.monotonic(), None, queue))
            if queue.wakes_at == 1:
                self._wake()

    def withdraw(self, ticket: Ticket) -> None:
        """Take out the record of a request that waits no longer, unless it is being written. One that stays, stays."""
        with self._lock:
            waiting = self._queues[DURABLE.number].waiting
            for record in waiting:
                if record.ticket is ticket:
                    self._tickets -= 1
                    if ticket.stays:
                        record.ticket = None
                    else:
                        waiting.remove(record)
                        ticket.is_out = True
                    return

    def miss(self, *, is_refused: bool, is_unauthenticated: bool = False) -> None:
        """Count a record that is not kept; the next batch declares it."""
        now = datetime.now(UTC)
        unauthenticated = int(is_unauthenticated and not is_refused)
        with self._lock:
            self.dropped += not is_refused
            self.refused += is_refused
            self.dropped_unauthenticated += unauthenticated
            one = Missing(int(not is_refused), int(is_refused), unauthenticated, now, now)
            self._missing = one if self._missing is None else self._missing.and_then(one)
            if self._queues[0].wakes_at == 1:
                self._wake()

    def close(self) -> None:
        """Take nothing more; what waits is written yet."""
        with self._lock:
            self.is_closed = True
            self._filled.notify_all()
            self._emptied.notify_all()

    def end_shard(self, seconds: float) -> bool:
        """Have what waits written and the shard ended; wait so long at most. Tell whether that was done.

        A signal handler may ask for it while its thread holds the lock, which a condition lets go of as a whole.
        """
        with self._lock:
            if self.is_closed:
                return False
            before, self._before_end = self._ended, len(self)
            self._filled.notify_all()
            self._shard_ended.wait_for(lambda: self._before_end is None or self.is_closed, seconds)
            return self._ended > before

    def _wake(self) -> None:
        self._wake_at(lambda queue: NEVER)
        self._filled.notify()

    def _wake_at(self, count: Callable[[LaneQueue], int]) -> None:
        for queue in self._queues:
            queue.wakes_at = count(queue)

    def _has_place_in(self, seconds: float, queue: LaneQueue, caller: str | None) -> bool:
        if seconds <= 0.0 or self.is_failing:
            return False
        self._crowd += 1
        try:
            return self._emptied.wait_for(
                lambda: self.is_closed or self.is_failing or queue.has_place(caller), seconds
            ) and queue.has_place(caller)
        finally:
            self._crowd -= 1

    # --- taking out: the writer's --------------------------------------------------------------------------------

    def take(self, most: int, timeout: float | None) -> tuple[list[Waiting], Missing | None]:
        """Wait for records, at most `timeout` seconds, let some gather, and take them, the oldest first."""
        with self._lock:
            if not len(self) and self._missing is None and not self._is_leaving:
                self._wake_at(lambda queue: 1)
                self._filled.wait(LONGEST_SLEEP if timeout is None else timeout)
            is_urgent = self._tickets or self.is_half_full or self._is_leaving or self.is_terminating
            if len(self) and not is_urgent:
                self._wake_at(lambda queue: (queue.limit + 1) // 2)
                self._filled.wait(GATHERING)
            self._wake_at(lambda queue: NEVER)
            if self.declare is not None and (line := self.declare(is_last=self._is_leaving)) is not None:
                queue = self._queues[ALLOWED.number]
                queue.add(Waiting(line, time.monotonic(), None, queue))
            self._in_hand = batch = self._batch(most)
            self._tickets -= sum(record.ticket is not None for record in batch)
            if self._before_end is not None:
                self._before_end -= len(batch)
            missing, self._missing = self._missing, None
            if self._crowd:
                self._emptied.notify_all()
            return batch, missing

    @property
    def _is_leaving(self) -> bool:
        return self.is_closed or self._before_end is not None

    @property
    def is_shard_to_end(self) -> bool:
        """Whether the shard is to be ended, and what waited for that is taken."""
        return self._before_end is not None and self._before_end <= 0

    def shard_ended(self, *, is_done: bool = True) -> None:
        """Say that the shard is ended, or that it cannot be now."""
        with self._lock:
            self._before_end = None
            self._ended += is_done
            self._shard_ended.notify_all()

    def _batch(self, most: int) -> list[Waiting]:
        """Take what requests wait for, then the oldest of all other lanes; few of these where a request waits."""
        durable, *others = self._queues
        batch = durable.take(min(most, len(durable.waiting)))
        left = min(most - len(batch), MAX_BESIDE) if batch else most
        filled = [queue for queue in others if queue.waiting]
        if len(filled) == 1 and not batch:
            return filled[0].take(min(left, len(filled[0].waiting)))
        heads = sorted((record for queue in filled for record in islice(queue.waiting, left)), key=_CAME)
        for queue, records in Counter(record.queue for record in heads[:left]).items():
            batch += queue.take(records)
        batch.sort(key=_CAME)
        return batch

    def done(self) -> None:
        """Say that what was taken is written."""
        with self._lock:
            self._in_hand = []
            self.is_failing = False

    def fail(self, batch: list[Waiting], missing: Missing | None, error: BaseException) -> None:
        """Put a batch back that cannot be written, and tell all that wait for the disk that it is not to be had."""
        with self._lock:
            self._in_hand = []
            self.is_failing = True
            for record in reversed(batch):
                record.queue.put_back(record)
            durable = self._queues[DURABLE.number]
            for record in durable.waiting:
                if record.ticket is not None:
                    record.ticket.is_out = not record.ticket.stays
                    record.ticket.answer(error)
                    record.ticket = None if record.ticket.stays else record.ticket
            durable.waiting = deque(record for record in durable.waiting if record.ticket is None)
            self._tickets = 0
            if missing is not None:
                self._missing = missing if self._missing is None else missing.and_then(self._missing)
            self._emptied.notify_all()
            self.shard_ended(is_done=False)

    def pause(self, seconds: float) -> None:
        """Wait before the next attempt; a request that needs the disk, or the end, has it made at once."""
        with self._lock:
            if not self._tickets and not self._is_leaving:
                self._filled.wait(seconds)
