"""The threads of the pages, apart from those of the application: a crowd that signs in must not delay its handlers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final, TypeVar

from iam_guard.errors import ServerBusy
from iam_guard.web.worker_slots import WorkerSlots

T = TypeVar("T")

MAX_WORKERS: Final = 8
MAX_WAIT: Final = 10.0
"""Seconds that a request waits for a thread."""

MAX_SAML_WORKERS: Final = 1
"""Threads for SAML responses, which any client can send: with two, a crowd of them delays other pages tenfold."""

MAX_PROVIDER_WORKERS: Final = 32
MAX_WORKERS_OF_ACCOUNT: Final = 4
"""Threads for requests to OIDC providers: those of an account, which may hang, leave others to the other accounts."""

_slots: Final = WorkerSlots("pages", MAX_WORKERS)
_saml_slots: Final = WorkerSlots("saml", MAX_SAML_WORKERS)
_provider_slots: Final = WorkerSlots("providers", MAX_PROVIDER_WORKERS)


async def in_page_worker(work: Callable[..., T], *arguments: object) -> T:
    """Call `work` in a thread of the pages. Raises `ServerBusy` if none becomes free in time."""
    return await _run(_slots, partial(work, *arguments))


async def in_saml_worker(work: Callable[..., T], *arguments: object) -> T:
    """Call `work` in a thread for SAML responses. Raises `ServerBusy` if none becomes free in time."""
    return await _run(_saml_slots, partial(work, *arguments))


async def in_provider_worker(account: str, work: Callable[..., T], *arguments: object) -> T:
    """Call `work`, which may wait for an OIDC provider of an account, in a thread for that.

    Raises `ServerBusy` if none becomes free in time.
    """
    slots = _slots_of(account)
    own = await slots.acquire(MAX_WAIT)
    if own is None:
        raise ServerBusy("too many people wait for an identity provider of the account")
    try:
        return await _run(_provider_slots, partial(work, *arguments))
    finally:
        slots.release(own)


@lru_cache(1000)
def _slots_of(account: str) -> WorkerSlots:
    return WorkerSlots(f"providers_{account}", MAX_WORKERS_OF_ACCOUNT)


async def _run(slots: WorkerSlots, work: Callable[[], T]) -> T:
    slot = await slots.acquire(MAX_WAIT)
    if slot is None:
        raise ServerBusy("too many people are using the pages")
    return await slots.run(slot, work)
