"""The threads in which calls are performed, and the places of those that may write, in an event loop.

The API over HTTP and the asynchronous clients of the process share those of a guard.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from iam_guard.api.call import Verified
from iam_guard.api.protocol.operation_call import OperationCall
from iam_guard.api.protocol.own_app import WORKERS
from iam_guard.authn.people.passwords.failed_attempts import network_of
from iam_guard.errors import StoreUnavailable
from iam_guard.guard.guard import Guard
from iam_guard.model.arn import account_of
from iam_guard.store.database.time_limits import queued_for
from iam_guard.web.shared_workers import in_provider_worker, in_saml_worker

T = TypeVar("T")

WRITERS: Final = 4
"""Calls in worker threads that may write. Writers wait for each other and for other processes; the remaining threads
serve calls that only read."""
MAX_WRITER_WAIT: Final = 5.0
"""Seconds that a call waits for a writer slot; they count towards its wait for the store's write lock."""


class ApiWorkers:
    """The threads of one event loop for one guard."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(WORKERS)
        self._writers = anyio.Semaphore(WRITERS)

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Run what only reads. Cancellation waits for it."""
        return await anyio.to_thread.run_sync(work, *arguments, limiter=self._limiter)

    async def run_call(self, call: OperationCall, work: Callable[[Verified | None], T]) -> T:
        """Run `work`, which performs a call with what identifies its caller.

        Raises `StoreUnavailable` if no writer slot becomes free in time, and what the verification and `work` raise.
        """
        in_verifier = _verifier_of(call)
        verified = await in_verifier(call.verify) if in_verifier is not None else None
        return await (self._run_writer if call.changes else self.run)(work, verified)

    async def _run_writer(self, work: Callable[..., T], *arguments: object) -> T:
        since = time.monotonic()
        try:
            with anyio.fail_after(MAX_WRITER_WAIT):
                await self._writers.acquire()
        except TimeoutError:
            raise StoreUnavailable("too many writes are waiting for the store") from None
        try:
            return await self.run(_after_waiting, time.monotonic() - since, work, *arguments)
        finally:
            self._writers.release()


_of_guards: Final[RunVar[WeakKeyDictionary[Guard, ApiWorkers]]] = RunVar("iam_guard_api_workers")


def workers_of(guard: Guard) -> ApiWorkers:
    """Return the threads of the running event loop for a guard."""
    of_guards = _of_guards.get(None)
    if of_guards is None:
        of_guards = WeakKeyDictionary()
        _of_guards.set(of_guards)
    return of_guards.setdefault(guard, ApiWorkers())


def _after_waiting(seconds: float, work: Callable[..., T], *arguments: object) -> T:
    with queued_for(seconds):
        return work(*arguments)


def _verifier_of(call: OperationCall) -> Callable[..., Awaitable[Verified | None]] | None:
    """Return how to run the verification of an identity provider's statement, apart from other calls; None without."""
    if "SAMLAssertion" in call.parameters:
        return partial(in_saml_worker, network_of(call.facts.source_ip))
    if "WebIdentityToken" in call.parameters:
        return partial(in_provider_worker, account_of(call.parameters.get("RoleArn", "")) or "")
    return None
