"""Limit the concurrent lookups of unknown keys in a process, and the time that requests wait for a free slot.

This protects callers with known keys from a flood of invented keys and from a slow store. A request waits for a slot as
long as lookups finish, so that many new callers are served one after the other. It gets 503 if no lookup has finished
for `MAX_WAIT` seconds, and after `MAX_TOTAL_WAIT` seconds in any case. Lookups that fail with `StoreUnavailable` don't
count as finished.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import anyio.to_thread

from iam_guard.errors import CacheMiss, ServerBusy, StoreUnavailable
from iam_guard.web.worker_slots import WorkerSlots

T = TypeVar("T")

MAX_LOOKUPS: Final = 8
"""Maximum number of concurrent lookups of unknown keys."""
MAX_WAIT: Final = 0.8
MAX_TOTAL_WAIT: Final = 5.0

_async_slots: Final = WorkerSlots("lookups", MAX_LOOKUPS)
_slots = threading.BoundedSemaphore(MAX_LOOKUPS)
"""The slots without an event loop."""


def _reset_in_child() -> None:
    """Free all slots in a forked process: the parent's lookups end in the parent."""
    global _slots
    _slots = threading.BoundedSemaphore(MAX_LOOKUPS)


os.register_at_fork(after_in_child=_reset_in_child)


class _Progress:
    """The monotonic time at which a lookup last finished."""

    last = 0.0


async def look_up_async(work: Callable[..., T], is_known: Callable[[], bool] | None = None) -> T:
    """Call `work` with `cache_only`, or on a miss in a worker thread, once a slot is free unless the key is known.

    Raises `ServerBusy`.
    """
    try:
        return work(cache_only=True)
    except CacheMiss:
        if is_known is not None and is_known():
            return await anyio.to_thread.run_sync(work)
    since = time.monotonic()
    while (slot := await _async_slots.acquire(MAX_WAIT)) is None:
        _check_wait(since)
    return await _async_slots.run(slot, partial(_record_progress, work))


def look_up_sync(work: Callable[..., T], is_known: Callable[[], bool] | None = None) -> T:
    """Call `work` as `look_up_async` does, but wait in this thread. Raises `ServerBusy`."""
    try:
        return work(cache_only=True)
    except CacheMiss:
        if is_known is not None and is_known():
            return work()
    since, slots = time.monotonic(), _slots
    while not slots.acquire(timeout=MAX_WAIT):
        _check_wait(since)
    try:
        return _record_progress(work)
    finally:
        slots.release()


def _check_wait(since: float) -> None:
    now = time.monotonic()
    if now - _Progress.last >= MAX_WAIT or now - since >= MAX_TOTAL_WAIT:
        raise ServerBusy("too many concurrent lookups of unknown keys")


def _record_progress(work: Callable[[], T]) -> T:
    try:
        found = work()
    except StoreUnavailable:
        raise
    except BaseException:
        _Progress.last = time.monotonic()
        raise
    _Progress.last = time.monotonic()
    return found
