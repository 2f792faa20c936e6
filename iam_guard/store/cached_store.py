"""A proxy around a store that caches its answers while the epoch stays the same (rules T-1 to T-5, T-9).

The cache polls the epoch on a request when the last poll is `epoch_poll` seconds old. A new epoch clears the cache, so
changes are seen within `epoch_poll`, and an idle guard sends the store no queries. A change made through this proxy
names what it invalidates (`invalidation`): if it is the only one since the last poll, only those answers are dropped.
An answer of a newer epoch clears the cache; one of an older epoch is returned, but not cached. Concurrent requests for
the same answer query the store once.

A store that is down or hangs delays no caller. One poll runs at a time, against a server in a thread (`epoch_polling`):

    state       cached                                        not cached                polls
    reachable   answered; once per `epoch_poll` after a       queried, within the       when due
                poll, waiting a quarter of the store's        store's timeout
                timeout at most
    overdue     answered                                      queried                   the one that is overdue
    failing     answered up to `max_staleness` after the      `StoreUnavailable`        twice a second, until one
                last good poll, then `StoreUnavailable`       at once                   succeeds

The lock is never held during I/O.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, TypeVar

from iam_guard.errors import CacheMiss, StoreUnavailable
from iam_guard.forking import fork_safe_lock, on_fork
from iam_guard.model.credential import AccessKey, ApiKey
from iam_guard.model.principal import Principal
from iam_guard.model.trust import CertificateTrust
from iam_guard.model.usage import CacheUsage
from iam_guard.settings import Settings
from iam_guard.store.cache_regions import ABSENT, CacheRegion, PolicyObjects
from iam_guard.store.epoch_polling import EpochPoller
from iam_guard.store.invalidation import InvalidatedCallers, Invalidation
from iam_guard.store.last_used_rows import Use
from iam_guard.store.protocol import AccountRecord, PrincipalRecord, ResourceRecord, SourceStore
from iam_guard.store.records import Records
from iam_guard.store.store_proxy import StoreProxy

logger = logging.getLogger("iam_guard.store")

KINDS = ("access_key", "api_key", "principal", "account", "resource", "certificate_trust")
"""The cached kinds of answers; each has a cache region."""

_DECISION = "decision"
"""The key of a query that loads answers of several kinds; each is cached under its own kind."""

_SHORT_WAIT_DIVISOR = 4
"""A due poll delays callers for the store's timeout divided by this, while the cached answers are still fresh."""

K = TypeVar("K", bound=Hashable)
A = TypeVar("A")


class CachedStore(StoreProxy):
    """Caches the answers of `inner`. `clock` returns monotonic seconds."""

    def __init__(self, inner: SourceStore, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(inner)
        self._poll_every = settings.epoch_poll
        self._max_staleness = settings.max_staleness
        self._timeout = settings.store_timeout
        self._clock = clock
        self._lock = fork_safe_lock()
        self._poller = EpochPoller(self._poll, every=settings.epoch_poll, in_background=self.is_remote)
        self._invalidated = InvalidatedCallers()
        self._regions = {kind: CacheRegion(settings.cache_size, self._invalidated) for kind in (*KINDS, _DECISION)}
        self._policies = PolicyObjects(settings.cache_size)
        self._generation = 0
        self.cached_epoch: int | None = None
        """The epoch of the cached answers; None before the first poll."""
        self._last_good: float | None = None
        self.begin_in_child()
        on_fork(self)
        self.cache_only = CacheOnlyStore(self)
        """A view that never blocks: it raises `CacheMiss` instead of querying the store."""

    def begin_in_child(self) -> None:
        """Drop the parent's loads and poll state; cached answers are used again after a poll in this process."""
        self._pending: dict[tuple[int, str, Hashable], Future[Any]] = {}
        self._due = -math.inf
        """When the epoch is to be polled next; always over while polls fail."""
        self.stale = False
        """Whether the last poll failed."""

    # --- the Store -----------------------------------------------------------------------------------------------

    def epoch(self) -> int:
        if self._clock() >= self._due:
            self._follow()
        if self.cached_epoch is None:
            raise StoreUnavailable("the store has not been reached yet")
        return self.cached_epoch

    def access_key(self, access_key_id: str) -> AccessKey | None:
        return self._answer("access_key", access_key_id, self.behind.access_key)

    def api_key(self, api_key_id: str) -> ApiKey | None:
        return self._answer("api_key", api_key_id, self.behind.api_key)

    def principal(self, principal: Principal) -> PrincipalRecord:
        """Return the principal's record; callers that differ only in session keys or credential share an entry."""
        return self._answer("principal", principal, self._load_principal).of(principal)

    def _load_principal(self, principal: Principal) -> PrincipalRecord:
        record = self.behind.principal(principal)
        with self._lock:
            return self._policies.with_shared_policies(record)

    def account(self, account_id: str) -> AccountRecord:
        return self._answer("account", account_id, self.behind.account)

    def resource(self, arn: str) -> ResourceRecord:
        return self._answer("resource", arn, self.behind.resource)

    def load_decision(self, principal: Principal, account_ids: Collection[str], arn: str | None) -> None:
        """Cache what a decision reads, loaded with one query, unless the principal is cached."""
        self.epoch()
        with self._lock:
            if self._regions["principal"].get(principal) is not ABSENT:
                return
            missing = tuple(id for id in account_ids if self._regions["account"].get(id) is ABSENT)
            if arn is not None and self._regions["resource"].get(arn) is not ABSENT:
                arn = None
        self._answer(_DECISION, (principal, missing, arn), self._load_decision)

    def _load_decision(self, query: tuple[Principal, tuple[str, ...], str | None]) -> None:
        """Load a decision's records and cache each under its own kind."""
        principal, account_ids, arn = query
        loaded = self.behind.decision_records(principal, account_ids, arn)
        with self._lock:
            answers: list[tuple[str, Hashable, Any]] = [("account", id, loaded.accounts[id]) for id in account_ids]
            if loaded.principal is not None:
                answers.append(("principal", principal, self._policies.with_shared_policies(loaded.principal)))
            if arn is not None:
                answers.append(("resource", arn, loaded.resource))
            for kind, key, answer in answers:
                self._regions[kind].misses += 1
                self._store_answer((self._generation, kind, key), answer)

    def certificate_trust(self) -> CertificateTrust:
        return self._answer("certificate_trust", "", lambda _: self.behind.certificate_trust())

    # --- rows ----------------------------------------------------------------------------------------------------

    def read_transaction(self) -> AbstractContextManager[Records]:
        self._require_reachable()
        return super().read_transaction()

    @contextmanager
    def write_transaction(self) -> Iterator[Records]:
        """Change rows in one transaction; later reads of this store see the change."""
        self._require_reachable()
        with self.behind.write_transaction() as records:
            yield records
        if records.epoch is not None:
            self._follow_change(records.epoch, records.invalidation)

    def save_uses(self, uses: Sequence[Use]) -> None:
        self._require_reachable()
        super().save_uses(uses)

    def refresh(self) -> None:
        self.behind.refresh()
        if not self._poller.poll_now(self._timeout) and not self.stale:
            self._fail("no answer in time")

    def close(self) -> None:
        self._poller.close(self._timeout)
        self.behind.close()

    # --- state of the cache --------------------------------------------------------------------------------------

    def can_answer_from_cache(self) -> bool:
        """Return whether a request would be answered without an epoch poll."""
        if self._clock() < self._due:
            return True
        return self.stale or (self._is_fresh() and self._poller.is_overdue(self._timeout / _SHORT_WAIT_DIVISOR))

    def usage(self) -> dict[str, CacheUsage]:
        with self._lock:
            return {kind: self._regions[kind].usage() for kind in KINDS}

    def staleness(self) -> float:
        """Return the seconds since the last successful poll; infinite before the first."""
        return math.inf if self._last_good is None else max(0.0, self._clock() - self._last_good)

    # --- following the epoch -------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Poll the epoch if a poll is due; wait only briefly while the cached answers are still fresh."""
        if not self.stale and self._clock() >= self._due:
            is_fresh = self._is_fresh()
            is_over = self._poller.wait(self._timeout / _SHORT_WAIT_DIVISOR if is_fresh else self._timeout)
            if not is_over and not is_fresh:
                self._fail("no answer in time")
        self._require_usable()

    def _is_fresh(self) -> bool:
        """Return whether the last successful poll is recent enough to answer from the cache without another one."""
        return self.staleness() < min(self._poll_every + self._timeout, self._max_staleness)

    def _require_usable(self) -> None:
        if self.stale and self._last_good is None:
            raise StoreUnavailable("the store has not been reached yet")
        if self.stale and self.staleness() > self._max_staleness:
            raise StoreUnavailable("the store cannot be reached, and the cached answers are too old")

    def _require_reachable(self) -> None:
        """Raise `StoreUnavailable` at once while polls fail, for calls that only the store can answer."""
        if self.stale:
            raise StoreUnavailable("the store cannot be reached")

    def _poll(self) -> bool:
        """Poll the epoch; return whether the store answered. Called by one thread at a time."""
        started, generation = self._clock(), self._generation
        try:
            epoch = self.behind.epoch()
        except Exception as error:  # noqa: BLE001  any failed poll must start the `max_staleness` limit
            self._fail(str(error) if isinstance(error, StoreUnavailable) else f"unexpected {type(error).__name__}")
            return False
        with self._lock:
            before = self.cached_epoch
            is_overtaken = generation != self._generation and before is not None and epoch < before
            if not is_overtaken:  # by a change made through this proxy during the poll
                self._adopt(epoch)
        if self.stale:
            logger.warning("store reachable again")
        self._last_good = started
        self._due = self._clock() + self._poll_every
        self.stale = False
        return True

    def _fail(self, reason: str) -> None:
        if not self.stale:
            logger.warning("store unreachable, using cached answers: %s", reason)
        self.stale = True
        self._due = -math.inf
        self._poller.keep_polling()

    def _adopt(self, epoch: int) -> None:
        """Clear the cache if the epoch is a new one. The caller must hold the lock."""
        if epoch != self.cached_epoch:
            self.cached_epoch = epoch
            self._generation += 1
            self._invalidated.clear()
            for region in self._regions.values():
                region.clear()
                region.epoch = epoch

    def _follow_change(self, epoch: int, invalidation: Invalidation) -> None:
        """Invalidate what a change made through this proxy affects, and adopt its epoch."""
        with self._lock:
            if self.cached_epoch is None or epoch > self.cached_epoch:
                if epoch - 1 == self.cached_epoch and not invalidation.all_callers and not self._invalidated.is_full:
                    self._invalidate(epoch, invalidation)
                else:
                    self._adopt(epoch)
                self._last_good = self._clock()
                if not self.stale:
                    self._due = self._last_good + self._poll_every
                return
        self.refresh()  # there were later changes, or the store was restored to an earlier state

    def _invalidate(self, epoch: int, invalidation: Invalidation) -> None:
        """Drop the answers that the only change since the previous epoch affects. The caller must hold the lock."""
        self.cached_epoch = epoch
        self._generation += 1
        self._invalidated.add(invalidation.identities, epoch)
        for region in self._regions.values():
            region.epoch = epoch
            if invalidation.new_rows:
                region.clear_negative()

    # --- answering from the cache only ---------------------------------------------------------------------------

    def _read_cache(self, region: CacheRegion, key: Hashable) -> Any:
        """Return a cached answer. Raises `CacheMiss` where a query or an epoch poll would be needed."""
        if self._clock() >= self._due:
            self._follow_from_cache()
        with self._lock:
            answer = region.get(key)
            if answer is ABSENT:
                raise CacheMiss
            region.hits += 1
        return answer

    def _cached_epoch(self) -> int:
        epoch = self.cached_epoch
        if self._clock() >= self._due:
            self._follow_from_cache()
        if epoch is None:
            raise CacheMiss
        return epoch

    def _follow_from_cache(self) -> None:
        """Use the cache while the store fails or is slow to answer. Raises `CacheMiss` if a poll is due."""
        if not self.can_answer_from_cache():
            raise CacheMiss
        self._require_usable()

    # --- answering -----------------------------------------------------------------------------------------------

    def _answer(self, kind: str, key: K, load: Callable[[K], A]) -> A:
        if self._clock() >= self._due:
            self._follow()
        region = self._regions[kind]
        with self._lock:
            answer = region.get(key)
            if answer is not ABSENT:
                region.hits += 1
                return answer  # type: ignore[no-any-return]
            region.misses += 1
            generation = self._generation
            pending = self._pending.get((generation, kind, key))
            leads = pending is None
            if pending is None:
                self._require_reachable()
                pending = self._pending[generation, kind, key] = Future()
        if leads:
            self._load(pending, (generation, kind, key), lambda: load(key))
        try:
            return pending.result(self._timeout)  # type: ignore[no-any-return]
        except TimeoutError:
            raise StoreUnavailable("the store did not answer another caller's query in time") from None

    def _load(self, pending: Future[Any], name: tuple[int, str, Hashable], load: Callable[[], A]) -> None:
        """Query the store, for all threads that wait for the answer."""
        try:
            answer = load()
        except BaseException as error:  # noqa: BLE001  the waiting threads must get the error too
            with self._lock:
                self._pending.pop(name, None)
            pending.set_exception(error)
            if isinstance(error, StoreUnavailable):
                self._poller.start_unless_recent()
            return
        with self._lock:
            self._pending.pop(name, None)
            self._store_answer(name, answer)
        pending.set_result(answer)

    def _store_answer(self, name: tuple[int, str, Hashable], answer: object) -> None:
        """Cache an answer if it is of the current epoch. The caller must hold the lock."""
        generation, kind, key = name
        if kind == _DECISION:
            return
        epoch = getattr(answer, "epoch", None)
        if epoch is not None and self.cached_epoch is not None and epoch > self.cached_epoch:
            self._adopt(epoch)
        elif epoch != self.cached_epoch if epoch is not None else generation != self._generation:
            return  # loaded before a change that has been adopted since
        self._regions[kind].put(key, answer)


class CacheOnlyStore:
    """The cached answers of a store, for callers that must not block, such as an event loop.

    Every method raises `CacheMiss`, before anything has happened, where the store would have to be queried.
    """

    def __init__(self, cached: CachedStore) -> None:
        read, regions = cached._read_cache, cached._regions
        self.epoch = cached._cached_epoch
        self.access_key: Callable[[str], AccessKey | None] = partial(read, regions["access_key"])
        self.api_key: Callable[[str], ApiKey | None] = partial(read, regions["api_key"])
        self.account: Callable[[str], AccountRecord] = partial(read, regions["account"])
        self.resource: Callable[[str], ResourceRecord] = partial(read, regions["resource"])
        self.certificate_trust: Callable[[], CertificateTrust] = partial(read, regions["certificate_trust"], "")
        self._principal: Callable[[Principal], PrincipalRecord] = partial(read, regions["principal"])

    def principal(self, principal: Principal) -> PrincipalRecord:
        return self._principal(principal).of(principal)
