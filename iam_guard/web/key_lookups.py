"""Look-ups of keys that have not signed in before: few at a time in a process, and no long wait for a place.

So neither a flood of invented keys nor a store that answers slowly takes the threads and the database from callers
whose keys are known. A request waits for a place as long as look-ups go on, so that many new callers at once are
served one after the other; it gets 503 where none has come to an end for `MAX_WAIT` seconds, and after `LONGEST_WAIT`
in any case. A look-up that the store did not answer counts for nothing.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from iam_guard.errors import ServerBusy, StoreUnavailable

T = TypeVar("T")

MAX_LOOKUPS: Final = 8
"""Unknown keys that are looked up at the same time."""
MAX_WAIT: Final = 0.8
LONGEST_WAIT: Final = 5.0

_threads: Final[RunVar[anyio.CapacityLimiter]] = RunVar("iam_guard_lookups")
"""The places of an event loop; a process has one."""
_places = threading.BoundedSemaphore(MAX_LOOKUPS)
"""The places where there is no event loop."""


def _begin_in_child() -> None:
    """Make all places free in a forked process: its parent's look-ups end in the parent."""
    global _places
    _places = threading.BoundedSemaphore(MAX_LOOKUPS)


os.register_at_fork(after_in_child=_begin_in_child)


class _Progress:
    """When a look-up last came to an end."""

    last = 0.0


async def look_up(work: Callable[[], T]) -> T:
    """Call `work` in a worker thread, once there is a place. Raises `ServerBusy`."""
    places = _threads.get(None)
    if places is None:
        places = anyio.CapacityLimiter(MAX_LOOKUPS)
        _threads.set(places)
    place, since = object(), time.monotonic()
    while True:
        with anyio.move_on_after(MAX_WAIT) as waiting:
            await places.acquire_on_behalf_of(place)
        if not waiting.cancelled_caught:
            break
        _check_wait(since)
    try:
        return await anyio.to_thread.run_sync(_noted, work, limiter=anyio.CapacityLimiter(1))
    finally:
        places.release_on_behalf_of(place)


def look_up_here(work: Callable[[], T]) -> T:
    """Call `work` in this thread, once there is a place. Raises `ServerBusy`."""
    since, places = time.monotonic(), _places
    while not places.acquire(timeout=MAX_WAIT):
        _check_wait(since)
    try:
        return _noted(work)
    finally:
        places.release()


def _check_wait(since: float) -> None:
    now = time.monotonic()
    if now - _Progress.last >= MAX_WAIT or now - since >= LONGEST_WAIT:
        raise ServerBusy("too many unknown keys are looked up at the moment")


def _noted(work: Callable[[], T]) -> T:
    try:
        found = work()
    except StoreUnavailable:
        raise
    except BaseException:
        _Progress.last = time.monotonic()
        raise
    _Progress.last = time.monotonic()
    return found
