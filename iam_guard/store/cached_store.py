"""A proxy around a store that caches its answers while the epoch stays the same (rules T-1 to T-5, T-9).

The cache polls the epoch when it is asked for an answer and the last poll is `epoch_poll` seconds old. A new epoch
clears the cache, so changes are seen within `epoch_poll`, and an idle guard sends the store no queries. A change made
through this proxy names what it invalidates (`invalidation`): if it is the only one since the last poll, only those
answers are dropped. An answer of a newer epoch clears the cache; one of an older epoch is returned, but not cached.
Concurrent requests for the same answer query the store once.

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
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from iam_guard.errors import CacheMiss, StoreUnavailable
from iam_guard.forking import fork_safe_lock, on_fork
from iam_guard.model.credential import AccessKey, ApiKey
from iam_guard.model.principal import Principal
from iam_guard.model.trust import CertificateTrust
from iam_guard.model.usage import CacheUsage
from iam_guard.settings import Settings
from iam_guard.store.cache_only import CacheOnlyStore
from iam_guard.store.cache_regions import ABSENT, CacheRegion, PolicyObjects
from iam_guard.store.epoch_polling import EpochPoller
from iam_guard.store.invalidation import InvalidatedCallers, Invalidation
from iam_guard.store.last_used_rows import Use
from iam_guard.store.protocol import AccountRecord, PrincipalRecord, ResourceRecord, SourceStore
from iam_guard.store.records import Records
from iam_guard.store.store_proxy import StoreProxy

logger = logging.getLogger("iam_guard.store")

KINDS = ("access_key", "api_key", "principal", "account", "resource", "certificate_trust")
"""What is remembered; each has room of its own."""

_DECISION = "decision"
"""Several of these loaded with one query; each is remembered as what it is."""

_SHORT_SHARE = 4
"""The share of the store's timeout for which a look that is due is waited for, where what is remembered is good."""

K = TypeVar("K", bound=Hashable)
A = TypeVar("A")


class CachedStore(StoreProxy):
    """`clock` gives seconds that never go back."""

    def __init__(self, inner: SourceStore, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(inner)
        self._poll_every = settings.epoch_poll
        self._max_staleness = settings.max_staleness
        self._timeout = settings.store_timeout
        self._clock = clock
        self._lock = fork_safe_lock()
        self._poller = EpochPoller(self._look, every=settings.epoch_poll, in_background=self.is_remote)
        self._regions = {kind: CacheRegion(settings.cache_size) for kind in (*KINDS, _DECISION)}
        self._policies = PolicyObjects(settings.cache_size)
        self._generation = 0
        self._epoch: int | None = None
        self._last_good: float | None = None
        self._invalidated = InvalidatedCallers()
        self.begin_in_child()
        on_fork(self)
        self.cache_only = CacheOnlyStore(self._cached_epoch, self._recall, self._regions)
        """The same answers for whoever must not wait."""

    def begin_in_child(self) -> None:
        """Leave the loading and the looks to the parent's threads; what is remembered holds after a look of its own."""
        self._flights: dict[tuple[int, str, Hashable], Future[Any]] = {}
        self._last_look: float | None = None
        self._failing = False

    # --- the Store -----------------------------------------------------------------------------------------------

    def epoch(self) -> int:
        looked = self._last_look
        if looked is None or self._failing or self._clock() - looked >= self._poll_every:
            self._follow()
        if self._epoch is None:
            raise StoreUnavailable("the store has not been reached yet")
        return self._epoch

    def access_key(self, access_key_id: str) -> AccessKey | None:
        return self._answer("access_key", access_key_id, self._inner.access_key)

    def api_key(self, api_key_id: str) -> ApiKey | None:
        return self._answer("api_key", api_key_id, self._inner.api_key)

    def principal(self, principal: Principal) -> PrincipalRecord:
        """Answer as the store behind does; callers that differ in session keys or credential only share an entry."""
        return self._answer("principal", principal, self._load_principal).of(principal)

    def _load_principal(self, principal: Principal) -> PrincipalRecord:
        record = self._inner.principal(principal)
        with self._lock:
            return self._policies.in_record(record)

    def account(self, account_id: str) -> AccountRecord:
        return self._answer("account", account_id, self._inner.account)

    def resource(self, arn: str) -> ResourceRecord:
        return self._answer("resource", arn, self._inner.resource)

    def load_decision(self, principal: Principal, account_ids: Collection[str], arn: str | None) -> None:
        """Cache what a decision is going to ask for, loaded with one query, unless the principal is cached."""
        self.epoch()
        with self._lock:
            if self._is_remembered("principal", principal):
                return
            missing = tuple(id for id in account_ids if not self._is_remembered("account", id))
            if arn is not None and self._is_remembered("resource", arn):
                arn = None
        self._answer(_DECISION, (principal, missing, arn), self._load_decision)

    def _is_remembered(self, kind: str, key: Hashable) -> bool:
        """Return whether an answer is cached that holds at the present epoch; the lock is held."""
        answer = self._regions[kind].get(key)
        return answer is not ABSENT and self._up_to_date(answer) is not ABSENT

    def _load_decision(self, wanted: tuple[Principal, tuple[str, ...], str | None]) -> None:
        """Load a decision's records and cache each as the answer that it is."""
        principal, account_ids, arn = wanted
        found = self._inner.decision_records(principal, account_ids, arn)
        with self._lock:
            answers: list[tuple[str, Hashable, Any]] = [("account", id, found.accounts[id]) for id in account_ids]
            if found.principal is not None:
                answers.append(("principal", principal, self._policies.in_record(found.principal)))
            if arn is not None:
                answers.append(("resource", arn, found.resource))
            for kind, key, answer in answers:
                self._regions[kind].misses += 1
                self._keep((self._generation, kind, key), answer)

    def certificate_trust(self) -> CertificateTrust:
        return self._answer("certificate_trust", "", lambda _: self._inner.certificate_trust())

    # --- rows ----------------------------------------------------------------------------------------------------

    def viewing(self) -> AbstractContextManager[Records]:
        self._require_reachable()
        return super().viewing()

    @contextmanager
    def changing(self) -> Iterator[Records]:
        """Change rows; whoever asks this store afterwards reads the change."""
        self._require_reachable()
        with self._inner.changing() as records:
            yield records
        if records.epoch is not None:
            self._follow_change(records.epoch, records.invalidation)

    def keep_uses(self, uses: Sequence[Use]) -> None:
        self._require_reachable()
        super().keep_uses(uses)

    def refresh(self) -> None:
        self._inner.refresh()
        if not self._poller.make_now(self._timeout) and not self._failing:
            self._fail("it did not answer in time")

    def close(self) -> None:
        self._poller.close(self._timeout)
        self._inner.close()

    # --- what a cache can tell besides ---------------------------------------------------------------------------

    def is_at_rest(self) -> bool:
        """Return whether a question would be answered without a look at the epoch behind."""
        looked = self._last_look
        if looked is not None and self._clock() - looked < self._poll_every:
            return True
        return self._failing or (self._is_bridged() and self._poller.is_overdue(self._timeout / _SHORT_SHARE))

    @property
    def known_epoch(self) -> int | None:
        """The epoch of what is remembered; None before the first look."""
        return self._epoch

    def usage(self) -> dict[str, CacheUsage]:
        """Return how the rooms are used."""
        with self._lock:
            return {kind: self._regions[kind].usage() for kind in KINDS}

    @property
    def behind(self) -> SourceStore:
        """The store that is remembered here, for questions that must not be answered from memory."""
        return self._inner

    @property
    def stale(self) -> bool:
        """Whether the store could not be reached at the last look."""
        return self._failing

    def staleness(self) -> float:
        """Return the seconds since the last good look; infinite before the first."""
        return float("inf") if self._last_good is None else max(0.0, self._clock() - self._last_good)

    # --- following the epoch -------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Look at the epoch if that is due, and wait for it, shortly where what is remembered is good without."""
        looked = self._last_look
        if not self._failing and (looked is None or self._clock() - looked >= self._poll_every):
            is_bridged = self._is_bridged()
            is_over = self._poller.wait(self._timeout / _SHORT_SHARE if is_bridged else self._timeout)
            if not is_over and not is_bridged:
                self._fail("it did not answer in time")
        self._require_fresh()

    def _is_bridged(self) -> bool:
        """Return whether the last good look is so new that an answer from memory needs no other one yet."""
        return self.staleness() < min(self._poll_every + self._timeout, self._max_staleness)

    def _require_fresh(self) -> None:
        if self._failing and self._last_good is None:
            raise StoreUnavailable("the store has not been reached yet")
        if self._failing and self.staleness() > self._max_staleness:
            raise StoreUnavailable("the store cannot be reached, and what is remembered of it is too old")

    def _require_reachable(self) -> None:
        """Refuse at once what only the store could answer, while it is known to fail."""
        if self._failing:
            raise StoreUnavailable("the store cannot be reached")

    def _look(self) -> bool:
        """Look at the epoch; tell whether the store answered. One thread at a time does."""
        asked, generation = self._clock(), self._generation
        try:
            epoch = self._inner.epoch()
        except Exception as error:  # noqa: BLE001  without a good look, decisions must not go on for ever
            self._fail(str(error) if isinstance(error, StoreUnavailable) else f"unexpected {type(error).__name__}")
            return False
        with self._lock:
            is_overtaken = generation != self._generation and self._epoch is not None and epoch < self._epoch
            if not is_overtaken:  # by a change that was made through here meanwhile
                self._adopt(epoch)
        if self._failing:
            logger.warning("the store can be reached again")
        self._last_good = asked
        self._failing = False
        self._last_look = self._clock()
        return True

    def _fail(self, reason: str) -> None:
        if not self._failing:
            logger.warning("the store cannot be reached, deciding with what is remembered: %s", reason)
        self._last_look = self._clock()
        self._failing = True
        self._poller.go_on()

    def _adopt(self, epoch: int) -> None:
        """Forget everything if the epoch is another one; the lock is held."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._generation += 1
            self._invalidated.clear()
            for room in self._regions.values():
                room.clear()

    def _follow_change(self, epoch: int, invalidation: Invalidation) -> None:
        """Forget what a change that was made through here has made untrue, and be at its epoch."""
        with self._lock:
            if self._epoch is None or epoch > self._epoch:
                if epoch - 1 == self._epoch and not invalidation.everybody and not self._invalidated.is_full:
                    self._forget(epoch, invalidation)
                else:
                    self._adopt(epoch)
                self._last_look = self._last_good = self._clock()
                return
        self.refresh()  # somebody has changed more since, or the store was put back to an earlier state

    def _forget(self, epoch: int, invalidation: Invalidation) -> None:
        """Forget the answers that a change concerns, the only one since the epoch before; the lock is held."""
        self._epoch = epoch
        self._generation += 1
        self._invalidated.add(invalidation.identities, epoch)
        if invalidation.newcomers:
            for room in self._regions.values():
                room.forget_unknown()

    def _up_to_date(self, answer: Any) -> Any:
        """Return a remembered answer as one of the present epoch; `ABSENT` where a change concerned it (T-9)."""
        epoch: int | None = getattr(answer, "epoch", None)
        if epoch is None or epoch == self._epoch:
            return answer
        if isinstance(answer, PrincipalRecord) and self._invalidated.last_epoch(answer.principal) > epoch:
            return ABSENT
        return replace(answer, epoch=self._epoch)

    # --- at hand -------------------------------------------------------------------------------------------------

    def _recall(self, room: CacheRegion, key: Hashable) -> Any:
        """Return a remembered answer. Raises `CacheMiss` where the store behind would be asked, be it for its epoch."""
        looked = self._last_look
        if looked is None or self._failing or self._clock() - looked >= self._poll_every:
            self._follow_from_cache()
        with self._lock:
            answer = self._remembered(room, key)
        if answer is ABSENT:
            raise CacheMiss
        return answer

    def _cached_epoch(self) -> int:
        looked, epoch = self._last_look, self._epoch
        if looked is None or self._failing or self._clock() - looked >= self._poll_every:
            self._follow_from_cache()
        if epoch is None:
            raise CacheMiss
        return epoch

    def _follow_from_cache(self) -> None:
        """Go on with what is remembered while the store fails or is slow to answer; otherwise a look is due."""
        if not self.is_at_rest():
            raise CacheMiss
        self._require_fresh()

    # --- answering -----------------------------------------------------------------------------------------------

    def _answer(self, kind: str, key: K, load: Callable[[K], A]) -> A:
        looked = self._last_look  # as in `_follow`, which nearly never has anything to do
        if looked is None or self._failing or self._clock() - looked >= self._poll_every:
            self._follow()
        room = self._regions[kind]
        with self._lock:
            answer = self._remembered(room, key)
            if answer is not ABSENT:
                return answer  # type: ignore[no-any-return]
            room.misses += 1
            generation = self._generation
            flight = self._flights.get((generation, kind, key))
            leads = flight is None
            if flight is None:
                self._require_reachable()
                flight = self._flights[generation, kind, key] = Future()
        if leads:
            self._load(flight, (generation, kind, key), lambda: load(key))
        try:
            return flight.result(self._timeout)  # type: ignore[no-any-return]
        except TimeoutError:
            raise StoreUnavailable("the store did not answer another caller's question in time") from None

    def _remembered(self, room: CacheRegion, key: Hashable) -> Any:
        """Return the answer that is here and holds at the present epoch, else `ABSENT`; the lock is held."""
        answer = room.get(key)
        if answer is ABSENT:
            return ABSENT
        if getattr(answer, "epoch", self._epoch) != self._epoch:
            answer = self._up_to_date(answer)
            if answer is ABSENT:
                return ABSENT
            room.put(key, answer)
        room.hits += 1
        return answer

    def _load(self, flight: Future[Any], name: tuple[int, str, Hashable], load: Callable[[], A]) -> None:
        """Put a question to the store, for all who wait for its answer."""
        try:
            answer = load()
        except BaseException as error:  # noqa: BLE001  whoever waits for the answer must hear of it too
            with self._lock:
                self._flights.pop(name, None)
            flight.set_exception(error)
            if isinstance(error, StoreUnavailable):
                self._poller.begin_unless_recent()
            return
        with self._lock:
            self._flights.pop(name, None)
            self._keep(name, answer)
        flight.set_result(answer)

    def _keep(self, name: tuple[int, str, Hashable], answer: object) -> None:
        """Remember an answer if it is of the present epoch; the lock is held."""
        generation, kind, key = name
        if kind == _DECISION:
            return
        epoch = getattr(answer, "epoch", None)
        if epoch is not None and self._epoch is not None and epoch > self._epoch:
            self._adopt(epoch)
        elif epoch != self._epoch if epoch is not None else generation != self._generation:
            return  # loaded before a change that has been seen since
        self._regions[kind].put(key, answer)
