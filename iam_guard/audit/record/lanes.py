"""The lanes of the record queue: which records each contains, its size, and the share of one caller.

A full lane takes no capacity from another, so a flood of requests cannot displace other records: unauthenticated
callers cannot fill the lane of administrative calls, and one caller's denials cannot displace those of the next. In a
fair lane, a caller may use only as many places as are still free: one flooding caller gets half of the lane, two get a
third each, and the next caller still finds a place.
"""

from __future__ import annotations

import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Call

Line: TypeAlias = bytes | Callable[[], bytes]
"""A line, or a function that makes it in the writer thread from values that no longer change."""
NEVER = sys.maxsize


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane; its capacity is the setting `audit_queue_size` divided by `part`."""

    name: str
    number: int
    description: str
    part: int = 1
    is_fair: bool = False
    """Whether a caller may use only as many places as are free."""
    waits: bool = True
    """Whether a request waits for capacity."""


DURABLE = Lane("durable", 0, "`admin` and `change`")
ALLOWED = Lane("allowed", 1, "`write` and `read` of authenticated callers")
DENIED = Lane("denied", 2, "`denial` of authenticated callers", part=2, is_fair=True)
UNAUTHENTICATED = Lane(
    "unauthenticated", 3, "all records of unauthenticated callers, by their address", part=4, is_fair=True, waits=False
)

LANES = (DURABLE, ALLOWED, DENIED, UNAUTHENTICATED)


def caller_of(principal: Principal | None, call: Call | None) -> str | None:
    """Return the key that shares a fair lane: the user or role behind a session; without one, the source address."""
    if principal is None or principal.type is PrincipalType.ANONYMOUS:
        return None if call is None else call.source_ip
    return principal.user_arn or principal.role_arn or principal.arn


class Ticket:
    """The pending result of a durable record, for the request that waits for it."""

    __slots__ = ("_answered", "error", "is_kept", "is_withdrawn")

    def __init__(self, *, is_kept: bool = False) -> None:
        self._answered = threading.Event()
        self.is_kept = is_kept
        self.error: BaseException | None = None
        self.is_withdrawn = False
        """Whether the record is certainly not in the trail, and will not be written."""

    def answer(self, error: BaseException | None) -> None:
        self.error = error
        self._answered.set()

    def wait(self, seconds: float) -> bool:
        return self._answered.wait(seconds)


class QueuedRecord(ABC):
    """A record in the queue. If its request did not make the line, the writer thread does."""

    __slots__ = ("line", "queued_at")

    line: bytes | None
    """The line; None until the writer thread makes it."""
    queued_at: float
    lane: Lane = ALLOWED
    ticket: Ticket | None = None
    caller: str | None = None

    @abstractmethod
    def make_line(self) -> bytes:
        """Make the line, from values that no longer change; called once, in the writer thread."""


class LineRecord(QueuedRecord):
    """A record whose line, or a function that makes it, was passed to the queue."""

    __slots__ = ("_make", "caller", "lane", "ticket")

    def __init__(self, line: Line, lane: Lane, ticket: Ticket | None = None, caller: str | None = None) -> None:
        if isinstance(line, bytes):
            self.line = line
        else:
            self.line, self._make = None, line
        self.lane = lane
        self.ticket = ticket
        self.caller = caller

    def make_line(self) -> bytes:
        line = self._make()
        del self._make  # with the values that it refers to
        return line


class LaneQueue:
    """The records of one lane, oldest first. Guarded by the lock of its `RecordQueue`."""

    __slots__ = ("callers", "half", "limit", "waiting")

    def __init__(self, lane: Lane, places: int) -> None:
        self.limit = max(1, places // lane.part)
        self.half = (self.limit + 1) // 2
        self.waiting: deque[QueuedRecord] = deque()
        self.callers: dict[str | None, int] | None = {} if lane.is_fair else None
        """Number of records of each caller; None if the lane is not fair."""

    @property
    def is_half_full(self) -> bool:
        return len(self.waiting) >= self.half

    def has_capacity(self, caller: str | None) -> bool:
        """Return whether the lane has capacity for another record of the caller."""
        free = self.limit - len(self.waiting)
        return free > (0 if self.callers is None else self.callers.get(caller, 0))

    def add(self, record: QueuedRecord) -> None:
        record.queued_at = time.monotonic()
        self.waiting.append(record)
        if self.callers is not None:
            self.callers[record.caller] = self.callers.get(record.caller, 0) + 1

    def take(self, count: int) -> list[QueuedRecord]:
        """Remove and return the oldest records."""
        taken = [self.waiting.popleft() for _ in range(count)]
        if self.callers is not None:
            for record in taken:
                self.callers[record.caller] -= 1
                if not self.callers[record.caller]:
                    del self.callers[record.caller]
        return taken

    def put_back(self, record: QueuedRecord) -> None:
        """Prepend a record, as the oldest."""
        self.waiting.appendleft(record)
        if self.callers is not None:
            self.callers[record.caller] = self.callers.get(record.caller, 0) + 1
