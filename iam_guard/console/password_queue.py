"""The queue of forms that hash a password, so that a crowd of them delays no other page.

    a form  ->  the line of its client's network  ->  the line of all networks  ->  a thread

A network has only as many places in the second line as there are threads, so networks take turns, however many forms
one sends. Waiting takes no thread. All of it belongs to one event loop; a line exists while it has forms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from iam_guard.authn.people.passwords.passwords import default_parallel
from iam_guard.errors import ServerBusy

T = TypeVar("T")

THREADS_OF_HASH: Final = 2
"""Threads for each hash that is computed at a time: while one waits for the hash, the other reads and writes."""
MAX_WAIT: Final = 50.0
"""Seconds that a form waits for a thread: less than the minute after which most proxies give up."""
MAX_FORMS: Final = 1000
MAX_FORMS_OF_NETWORK: Final = 250
"""Forms that wait or are answered, of all clients and of one network. Further ones are refused at once."""


@dataclass(slots=True)
class _Line:
    """The forms of a network."""

    places: anyio.CapacityLimiter
    """Those that the network has in the line of all networks."""
    forms: int = 0


@dataclass(slots=True)
class _Queue:
    """All forms; `threads` are the places in which they are answered."""

    threads: anyio.CapacityLimiter
    lines: dict[str, _Line] = field(default_factory=dict)
    forms: int = 0

    @contextmanager
    def line_of(self, network: str) -> Iterator[_Line]:
        """Count a form in the line of its network. Raises `ServerBusy` if the line is full, or the whole queue."""
        line = self.lines.get(network) or _Line(anyio.CapacityLimiter(self.threads.total_tokens))
        if line.forms >= MAX_FORMS_OF_NETWORK or self.forms >= MAX_FORMS:
            raise ServerBusy("too many people are signing in")
        self.lines[network] = line
        line.forms, self.forms = line.forms + 1, self.forms + 1
        try:
            yield line
        finally:
            line.forms, self.forms = line.forms - 1, self.forms - 1
            if not line.forms:
                del self.lines[network]


_queues: Final[RunVar[dict[int, _Queue]]] = RunVar("iam_guard_password_queues")
"""Those of an event loop, by the number of hashes at a time."""


async def in_password_worker(hashes: int, network: str, work: Callable[[], T]) -> T:
    """Call `work`, which hashes a password, in a thread when it is the turn of the client's network.

    `hashes` is the setting `password_hashes`. Raises `ServerBusy` if the queue is full, or it is not its turn in time.
    """
    queue = _queue_of(hashes)
    with queue.line_of(network) as line, anyio.move_on_after(MAX_WAIT) as waiting:
        async with line.places, queue.threads:
            waiting.deadline = math.inf
            return await anyio.to_thread.run_sync(work, limiter=anyio.CapacityLimiter(1))
    raise ServerBusy("too many people are signing in")


def _queue_of(hashes: int) -> _Queue:
    queues = _queues.get(None)
    if queues is None:
        queues = {}
        _queues.set(queues)
    if hashes not in queues:
        queues[hashes] = _Queue(anyio.CapacityLimiter(THREADS_OF_HASH * (hashes or default_parallel())))
    return queues[hashes]
