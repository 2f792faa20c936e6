"""Where records wait for the writer: a ring with a bound, between the threads of requests and the one that writes.

Strategy. Putting in costs a lock and a comparison. The writer is woken for the first record, then lets others gather
for some milliseconds, so that an ordinary record wakes nobody; it is woken at once for a record whose request waits for
the disk (it has a ticket), and when the ring is half full. A batch that could not be written is put back in front. Of
one with a ticket, the request is told that it failed; the record is put back only where its ticket says that it stays
whatever its request was told, for what it says has happened.

What finds no place is counted here until a gap in the trail declares it. Must not live here: what becomes of a request
(`classes`, `pipeline`), writing (`scribe`).
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

from iam_guard.audit.own_records import Gap

GATHERING = 0.01
"""Seconds for which the writer lets records gather."""
LONGEST_SLEEP = 5.0
_NEVER = sys.maxsize

Line: TypeAlias = bytes | Callable[[], bytes]
"""A line, or what makes it in the thread of the writer: from values that do not change any more."""


class Declare(Protocol):
    """Gives a line that is due, or None."""

    def __call__(self, *, is_last: bool) -> bytes | None: ...


class Ticket:
    """Tells a request that waits how its record fared: on the disk, or not."""

    __slots__ = ("_answered", "error", "is_out", "stays")

    def __init__(self, *, stays: bool = False) -> None:
        self._answered = threading.Event()
        self.stays = stays
        self.error: BaseException | None = None
        self.is_out = False
        """Whether the record is certainly not in the trail, and will not come."""

    def answer(self, error: BaseException | None) -> None:
        self.error = error
        self._answered.set()

    def is_answered_in(self, seconds: float) -> bool:
        return self._answered.wait(seconds)


class Waiting:
    """A record that waits: its line, or what makes it."""

    __slots__ = ("came", "line", "ticket")

    def __init__(self, line: Line, came: float, ticket: Ticket | None) -> None:
        self.line = line
        self.came = came
        self.ticket = ticket


@dataclass(frozen=True, slots=True)
class Missing:
    """Records that are not in the trail: of requests that were answered (`lost`), and of such that were refused."""

    lost: int
    refused: int
    first: datetime
    last: datetime

    def and_then(self, later: Missing) -> Missing:
        return Missing(self.lost + later.lost, self.refused + later.refused, self.first, later.last)

    def gap(self) -> Gap:
        return Gap("NotRecorded", lost=self.lost, refused=self.refused or None, first=self.first, last=self.last)


class Ring:
    """Safe to share between threads; one of them takes out."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.is_closed = False
        self.is_failing = False
        """Whether the last attempt to write failed: then nobody waits for a place."""
        self.dropped = self.refused = 0
        self._lock = threading.RLock()  # a signal handler, or a collected pipeline, may come in while it is held
        self._filled = threading.Condition(self._lock)
        self._emptied = threading.Condition(self._lock)
        self._waiting: deque[Waiting] = deque()
        self._in_hand: list[Waiting] = []
        self._missing: Missing | None = None
        self.declare: Declare | None = None
        """Gives a line that is due, whenever the writer looks for records; at the end, one that would be due later."""
        self._tickets = self._crowd = 0
        self._wakes_at = _NEVER

    def __len__(self) -> int:
        """Count what waits, not what is being written."""
        return len(self._waiting)

    @property
    def is_half_full(self) -> bool:
        return len(self._waiting) * 2 >= self.limit

    def oldest_age(self) -> float:
        """Give the seconds for which the oldest record that is not written waits."""
        with self._lock:
            oldest = next(iter(self._in_hand or self._waiting), None)
        return 0.0 if oldest is None else time.monotonic() - oldest.came

    # --- putting in ----------------------------------------------------------------------------------------------

    def put(self, line: Line, ticket: Ticket | None = None, *, wait: float) -> bool:
        """Add a line; wait so many seconds for a place at most. False where there is none, or the ring is closed."""
        with self._lock:
            waiting = self._waiting
            if len(waiting) >= self.limit and not self._has_place_in(wait):
                return False
            if self.is_closed:
                return False
            waiting.append(Waiting(line, time.monotonic(), ticket))
            if ticket is not None:
                self._tickets += 1
                self._wake()
            elif len(waiting) >= self._wakes_at:
                self._wake()
            return True

    def correct(self, line: Line) -> None:
        """Add a line that says what became of a request whose record is being written, or is written already.

        It finds place where there is none: the ring is full just when the disk hangs, and there is one such line at
        most for each record in the hand of the writer.
        """
        with self._lock:
            self._waiting.append(Waiting(line, time.monotonic(), None))
            if self._wakes_at == 1:
                self._wake()

    def withdraw(self, ticket: Ticket) -> None:
        """Take out the record of a request that waits no longer, unless it is being written. One that stays, stays."""
        with self._lock:
            for each in self._waiting:
                if each.ticket is ticket:
                    self._tickets -= 1
                    if ticket.stays:
                        each.ticket = None
                    else:
                        self._waiting.remove(each)
                        ticket.is_out = True
                    return

    def miss(self, *, is_refused: bool) -> None:
        """Count a record that is not kept; the next batch declares it."""
        now = datetime.now(UTC)
        with self._lock:
            self.dropped += not is_refused
            self.refused += is_refused
            one = Missing(int(not is_refused), int(is_refused), now, now)
            self._missing = one if self._missing is None else self._missing.and_then(one)
            if self._wakes_at == 1:
                self._wake()

    def close(self) -> None:
        """Take nothing more; what waits is written yet."""
        with self._lock:
            self.is_closed = True
            self._filled.notify_all()
            self._emptied.notify_all()

    def _wake(self) -> None:
        self._wakes_at = _NEVER
        self._filled.notify()

    def _has_place_in(self, seconds: float) -> bool:
        if seconds <= 0.0 or self.is_failing:
            return False
        self._crowd += 1
        try:
            return self._emptied.wait_for(
                lambda: self.is_closed or self.is_failing or len(self._waiting) < self.limit, seconds
            ) and (len(self._waiting) < self.limit)
        finally:
            self._crowd -= 1

    # --- taking out: the writer's --------------------------------------------------------------------------------

    def take(self, most: int, timeout: float | None) -> tuple[list[Waiting], Missing | None]:
        """Wait for records, at most `timeout` seconds, let some gather, and take them, the oldest first."""
        with self._lock:
            if not self._waiting and self._missing is None and not self.is_closed:
                self._wakes_at = 1
                self._filled.wait(LONGEST_SLEEP if timeout is None else timeout)
            if self._waiting and not self._tickets and not self.is_half_full and not self.is_closed:
                self._wakes_at = (self.limit + 1) // 2
                self._filled.wait(GATHERING)
            self._wakes_at = _NEVER
            if self.declare is not None and (line := self.declare(is_last=self.is_closed)) is not None:
                self._waiting.append(Waiting(line, time.monotonic(), None))
            count = min(most, len(self._waiting))
            self._in_hand = batch = [self._waiting.popleft() for _ in range(count)]
            self._tickets -= sum(each.ticket is not None for each in batch)
            missing, self._missing = self._missing, None
            if self._crowd:
                self._emptied.notify_all()
            return batch, missing

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
            for each in (*batch, *self._waiting):
                if each.ticket is not None:
                    each.ticket.is_out = not each.ticket.stays
                    each.ticket.answer(error)
                    each.ticket = None if each.ticket.stays else each.ticket
            self._waiting = deque(each for each in (*batch, *self._waiting) if each.ticket is None)
            self._tickets = 0
            if missing is not None:
                self._missing = missing if self._missing is None else missing.and_then(self._missing)
            self._emptied.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait before the next attempt; a request that needs the disk, or the end, has it made at once."""
        with self._lock:
            if not self._tickets and not self.is_closed:
                self._filled.wait(seconds)
