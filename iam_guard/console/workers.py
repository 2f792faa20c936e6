"""The threads of the pages, apart from those of the application: a crowd that signs in must not delay its handlers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from iam_guard.errors import ServerBusy
from iam_guard.web.shared_workers import MAX_WAIT
from iam_guard.web.worker_slots import WorkerSlots

T = TypeVar("T")

MAX_WORKERS: Final = 8
_slots: Final = WorkerSlots("pages", MAX_WORKERS)


async def in_page_worker(work: Callable[..., T], *arguments: object) -> T:
    """Call `work` in a thread of the pages. Raises `ServerBusy` if none becomes free in time."""
    slot = await _slots.acquire(MAX_WAIT)
    if slot is None:
        raise ServerBusy("too many people are using the pages")
    return await _slots.run(slot, partial(work, *arguments))
