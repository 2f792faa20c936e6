"""A limited number of worker threads for one kind of work, apart from those that an application's handlers use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")


class WorkerSlots:
    """The slots of an event loop; a process has one loop. `purpose` distinguishes kinds of work."""

    def __init__(self, purpose: str, number: int) -> None:
        self._limiter: RunVar[anyio.CapacityLimiter] = RunVar(f"iam_guard_{purpose}")
        self._number = number

    async def acquire(self, seconds: float) -> object | None:
        """Return a slot once one is free, which `run` frees; None if none was for this time."""
        slot, slots = object(), self._slots()
        with anyio.move_on_after(seconds) as waiting:
            await slots.acquire_on_behalf_of(slot)
        return None if waiting.cancelled_caught else slot

    async def run(self, slot: object, work: Callable[[], T]) -> T:
        """Call `work` in a worker thread, and free the slot."""
        try:
            return await anyio.to_thread.run_sync(work, limiter=anyio.CapacityLimiter(1))
        finally:
            self.release(slot)

    def release(self, slot: object) -> None:
        """Free a slot."""
        self._slots().release_on_behalf_of(slot)

    def _slots(self) -> anyio.CapacityLimiter:
        slots = self._limiter.get(None)
        if slots is None:
            slots = anyio.CapacityLimiter(self._number)
            self._limiter.set(slots)
        return slots


@dataclass(slots=True)
class _Share:
    """The slots of one owner, as long as a request has or awaits one."""

    limiter: anyio.CapacityLimiter
    requests: int = 0


class OwnerSlots:
    """A number of slots for each owner, such as an account or a client, in an event loop."""

    def __init__(self, purpose: str, number: int) -> None:
        self._shares: RunVar[dict[str, _Share]] = RunVar(f"iam_guard_{purpose}")
        self._number = number

    @asynccontextmanager
    async def slot(self, owner: str, seconds: float) -> AsyncIterator[bool]:
        """Hold a slot of an owner inside the block, once one is free; False if none was for this time."""
        shares = self._shares.get(None)
        if shares is None:
            shares = {}
            self._shares.set(shares)
        share = shares.setdefault(owner, _Share(anyio.CapacityLimiter(self._number)))
        share.requests += 1
        slot = object()
        try:
            with anyio.move_on_after(seconds) as waiting:
                await share.limiter.acquire_on_behalf_of(slot)
            if waiting.cancelled_caught:
                yield False
                return
            try:
                yield True
            finally:
                share.limiter.release_on_behalf_of(slot)
        finally:
            share.requests -= 1
            if not share.requests:
                del shares[owner]
