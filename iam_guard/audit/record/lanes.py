"""The lanes of the queue before the writer: which there are, what each holds, and what a caller may have of it.

A lane that is full takes no place from another, so that no flood of requests keeps out the records of others: callers
that are not signed in cannot fill the lane of administration, nor a caller's refusals those of the next. In a lane that
is shared fairly, a caller may have only as many places as are still free: one that floods gets half of the lane, two
that do get a third each, and there is room for the next.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Call

Line: TypeAlias = bytes | Callable[[], bytes]
"""A line, or what makes it in the thread of the writer: from values that do not change any more."""
NEVER = sys.maxsize


@dataclass(frozen=True, slots=True)
class Lane:
    """One row: the lane has one of `part` parts of the setting `audit_queue_size`."""

    name: str
    number: int
    holds: str
    part: int = 1
    is_fair: bool = False
    """Whether a caller may have only as many places as are free."""
    waits: bool = True
    """Whether a request waits for a place."""


DURABLE = Lane("durable", 0, "`admin` and `change`")
ALLOWED = Lane("allowed", 1, "`write` and `read` of callers that are signed in")
DENIED = Lane("denied", 2, "`denial` of callers that are signed in", part=2, is_fair=True)
UNAUTHENTICATED = Lane(
    "unauthenticated", 3, "all of callers that are not signed in, by their address", part=4, is_fair=True, waits=False
)

LANES = (DURABLE, ALLOWED, DENIED, UNAUTHENTICATED)


def is_known(principal: Principal | None) -> bool:
    """Return whether a caller is signed in."""
    return principal is not None and principal.type is not PrincipalType.ANONYMOUS


def caller_of(principal: Principal | None, call: Call | None) -> str | None:
    """Return who shares a fair lane: the user or role behind a session; without one, the address."""
    if principal is None or principal.type is PrincipalType.ANONYMOUS:
        return None if call is None else call.source_ip
    return principal.user_arn or principal.role_arn or principal.arn


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

    __slots__ = ("caller", "came", "line", "queue", "ticket")

    def __init__(
        self, line: Line, came: float, ticket: Ticket | None, queue: LaneQueue, caller: str | None = None
    ) -> None:
        self.line = line
        self.came = came
        self.ticket = ticket
        self.queue = queue
        self.caller = caller


class LaneQueue:
    """The records of one lane, the oldest first. Its ring has the lock."""

    __slots__ = ("callers", "limit", "waiting", "wakes_at")

    def __init__(self, lane: Lane, places: int) -> None:
        self.limit = max(1, places // lane.part)
        self.waiting: deque[Waiting] = deque()
        self.wakes_at = NEVER
        """How many records wake the writer."""
        self.callers: dict[str | None, int] | None = {} if lane.is_fair else None
        """How many records each caller has here, where that counts."""

    @property
    def is_half_full(self) -> bool:
        return len(self.waiting) * 2 >= self.limit

    def has_place(self, caller: str | None) -> bool:
        """Return whether another record of the caller has a place."""
        free = self.limit - len(self.waiting)
        return free > (0 if self.callers is None else self.callers.get(caller, 0))

    def add(self, record: Waiting) -> None:
        """Add the newest record."""
        self.waiting.append(record)
        if self.callers is not None:
            self.callers[record.caller] = self.callers.get(record.caller, 0) + 1

    def take(self, count: int) -> list[Waiting]:
        """Take the oldest records."""
        taken = [self.waiting.popleft() for _ in range(count)]
        if self.callers is not None:
            for record in taken:
                self._subtract(self.callers, record.caller)
        return taken

    def put_back(self, record: Waiting) -> None:
        """Add the oldest record."""
        self.waiting.appendleft(record)
        if self.callers is not None:
            self.callers[record.caller] = self.callers.get(record.caller, 0) + 1

    @staticmethod
    def _subtract(callers: dict[str | None, int], caller: str | None) -> None:
        left = callers[caller] - 1
        if left:
            callers[caller] = left
        else:
            del callers[caller]
