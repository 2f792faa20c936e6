"""Threads for work that any client can cause: SAML responses, and what waits for OIDC providers.

They are apart from the threads of handlers, pages and calls. A process has few of them for each kind of work, and a
client or an account has a share of these, so that one that has much to do, or whose provider hangs, does not delay
the others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from iam_guard.errors import ServerBusy
from iam_guard.web.worker_slots import OwnerSlots, WorkerSlots

T = TypeVar("T")

MAX_WAIT: Final = 10.0
"""Seconds that a request waits for a thread."""

MAX_SAML_WORKERS: Final = 1
"""Threads for SAML responses, which any client can send: with two, a crowd of them delays other pages tenfold."""
MAX_SAML_WORKERS_OF_CLIENT: Final = 1
"""Responses of a client that wait for these threads at a time; its further ones wait for them."""

MAX_PROVIDER_WORKERS: Final = 32
MAX_WORKERS_OF_ACCOUNT: Final = 4
"""Threads for requests to OIDC providers: those of an account, which may hang, leave others to the other accounts."""

_saml_slots: Final = WorkerSlots("saml", MAX_SAML_WORKERS)
_client_slots: Final = OwnerSlots("saml_clients", MAX_SAML_WORKERS_OF_CLIENT)
_provider_slots: Final = WorkerSlots("providers", MAX_PROVIDER_WORKERS)
_account_slots: Final = OwnerSlots("provider_accounts", MAX_WORKERS_OF_ACCOUNT)


async def in_saml_worker(client: str, work: Callable[..., T], *arguments: object) -> T:
    """Call `work` in a thread for SAML responses of a client. Raises `ServerBusy` if none becomes free in time."""
    busy = "too many SAML responses are waiting"
    return await _run_shared(_client_slots, client, _saml_slots, busy, partial(work, *arguments))


async def in_provider_worker(account: str, work: Callable[..., T], *arguments: object) -> T:
    """Call `work`, which may wait for an OIDC provider of an account, in a thread for that.

    Raises `ServerBusy` if none becomes free in time.
    """
    busy = "too many requests wait for an identity provider of the account"
    return await _run_shared(_account_slots, account, _provider_slots, busy, partial(work, *arguments))


async def _run_shared(shares: OwnerSlots, owner: str, slots: WorkerSlots, busy: str, work: Callable[[], T]) -> T:
    async with shares.slot(owner, MAX_WAIT) as is_free:
        slot = await slots.acquire(MAX_WAIT) if is_free else None
        if slot is None:
            raise ServerBusy(busy)
        return await slots.run(slot, work)
