"""The threads of the pages, apart from those of the application: a crowd that signs in must not delay its handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from iam_guard.errors import ServerBusy

T = TypeVar("T")

MAX_WORKERS: Final = 8
MAX_WAIT: Final = 10.0
"""Seconds that a request waits for a thread."""

_slots: Final[RunVar[anyio.CapacityLimiter]] = RunVar("iam_guard_pages")
"""The slots of an event loop; a process has one loop."""


async def in_page_worker(work: Callable[..., T], *arguments: object) -> T:
    """Call `work` in a thread of the pages. Raises `ServerBusy` if none becomes free in time."""
    slots = _slots.get(None)
    if slots is None:
        slots = anyio.CapacityLimiter(MAX_WORKERS)
        _slots.set(slots)
    slot = object()
    try:
        with anyio.fail_after(MAX_WAIT):
            await slots.acquire_on_behalf_of(slot)
    except TimeoutError:
        raise ServerBusy("too many people are using the pages") from None
    try:
        return await anyio.to_thread.run_sync(work, *arguments, limiter=anyio.CapacityLimiter(1))
    finally:
        slots.release_on_behalf_of(slot)
