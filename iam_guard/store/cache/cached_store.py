"""A proxy around a store that caches its answers and follows the store's changes (rules T-1 to T-5, T-9).

The cache reads the change feed (`change_feed`) on a request when the last poll is `epoch_poll` seconds old, and when
the store sends a notification (`change_listener`). Each answer is valid until a change names what it depends on. The
cache is cleared only if a change names everything, or the feed does not lead from the known state to the present one.
So all cached answers are valid at the known state, and an idle guard sends no queries. An answer that was loaded before
a change that names it is returned, but not cached. Concurrent requests for the same answer query the store once.

A store that is down or hangs delays no caller. One poll runs at a time (`change_poller`); no I/O runs under the lock:

    state       cached                                        not cached                polls
    reachable   answered; once per `epoch_poll` after a       queried, within the       when due
                poll, waiting a quarter of the store's        store's timeout
                timeout at most
    overdue     answered                                      queried                   the one that is overdue
    failing     answered up to `max_staleness` after the      `StoreUnavailable`        twice a second, until one
                last good poll, then `StoreUnavailable`       at once                   succeeds
    lost        `StoreUnavailable`: the file is gone          the same                  the same
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from iam_guard.errors import CacheMiss, StoreUnavailable
from iam_guard.forking import fork_safe_lock, on_fork
from iam_guard.model.credential import AccessKey, ApiKey, BrowserSession
from iam_guard.model.principal import Principal
from iam_guard.model.trust import CertificateTrust
from iam_guard.model.usage import CacheUsage, FeedUsage
from iam_guard.settings import Settings
from iam_guard.store.cache.cache_only_store import CacheOnlyStore
from iam_guard.store.cache.cache_regions import ABSENT, CacheRegion, PolicyObjects, names_of
from iam_guard.store.cache.change_feed import State, Step
from iam_guard.store.cache.change_poller import ChangePoller
from iam_guard.store.cache.followed_changes import FollowedChanges
from iam_guard.store.cache.generations import STALE, Held
from iam_guard.store.credentials.last_used_rows import Use
from iam_guard.store.database.records import Records
from iam_guard.store.database.sqlite import StoreLost
from iam_guard.store.policies.arn_loader import ArnLoader
from iam_guard.store.protocol import AccountRecord, PrincipalRecord, ResourceRecord, SourceStore
from iam_guard.store.store_proxy import StoreProxy

if TYPE_CHECKING:
    from iam_guard.store.cache.change_listener import ChangeListener

logger = logging.getLogger("iam_guard.store")

KINDS = ("access_key", "api_key", "browser_session", "principal", "account", "resource", "certificate_trust")
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
        self._poller = ChangePoller(self._poll, every=settings.epoch_poll, in_background=self.is_remote)
        self._regions = {kind: CacheRegion(settings.cache_size) for kind in (*KINDS, _DECISION)}
        self._policies = PolicyObjects(settings.cache_size)
        self._changes = FollowedChanges(self._regions.values())
        self._arns = self._changes.arns
        self.arn_loader = ArnLoader(self._changes, self._lock, inner.resource_arns)
        self._last_good: float | None = None
        self.begin_in_child()
        on_fork(self)
        self.cache_only = CacheOnlyStore(self._cached_state, self.is_at, self._read_cache, self._regions, self._arns)
        """A view that never blocks: it raises `CacheMiss` instead of querying the store."""

    def begin_in_child(self) -> None:
        """Drop the parent's loads and poll state; cached answers are used again after a poll in this process."""
        self._pending: dict[tuple[State | None, str, Hashable], Future[Any]] = {}
        self._due = -math.inf
        """When the next poll is due; always in the past while polls fail."""
        self._listener: ChangeListener | None = None
        self._is_asked = False
        """Whether the state was requested since the last notification."""
        self.stale = False
        """Whether the last poll failed."""

    # --- the Store -----------------------------------------------------------------------------------------------

    def epoch(self) -> int:
        return self.state().epoch

    def state(self) -> State:
        """Return the present state, after a poll if one is due."""
        if self._clock() >= self._due:
            self._follow()
        self._is_asked = True
        return self._changes.state or self._changes.known_state()

    def is_at(self, state: State) -> bool:
        """Return whether nothing has changed since `state` returned this object."""
        return self._changes.state is state

    def hold(self, names: Iterable[str]) -> Held:
        """Return the generations of names (`invalidation`), before rows of the store are read.

        What is derived from rows that are read after this call is valid as long as they are current.
        """
        with self._lock:
            return self._changes.generations.of(names)

    def access_key(self, access_key_id: str) -> AccessKey | None:
        return self._answer("access_key", access_key_id, self.behind.access_key)

    def api_key(self, api_key_id: str) -> ApiKey | None:
        return self._answer("api_key", api_key_id, self.behind.api_key)

    def browser_session(self, digest: str, *, newest: bool = False) -> BrowserSession | None:
        """Return a session; with `newest`, with its present `seen`, which changes without a change of the cache."""
        if newest:
            with self._lock:
                self._regions["browser_session"].drop(digest)
        return self._answer("browser_session", digest, self.behind.browser_session)

    def principal(self, principal: Principal) -> PrincipalRecord:
        """Return the principal's record; callers that differ only in session keys or credential share an entry."""
        return self._answer("principal", principal, self.behind.principal).of(principal)

    def account(self, account_id: str) -> AccountRecord:
        return self._answer("account", account_id, self.behind.account)

    def resource(self, arn: str) -> ResourceRecord:
        """Return the resource's record; one for all ARNs that have none in the store (`stored_arns`)."""
        if self._clock() >= self._due:
            self._follow()
        return self._arns.absent_for(arn) or self._answer("resource", arn, self._load_resource)

    def _load_resource(self, arn: str) -> ResourceRecord:
        self.arn_loader.load()
        return self._arns.absent_for(arn) or self.behind.resource(arn)

    def load_decision(self, principal: Principal, account_ids: Collection[str], arn: str | None) -> None:
        """Cache what a decision reads, loaded with one query, unless the principal is cached."""
        self.epoch()
        if arn is not None and self._arns.absent_for(arn) is not None:
            arn = None
        with self._lock:
            if self._regions["principal"].get(principal) is not ABSENT:
                return
            missing = tuple(id for id in account_ids if self._regions["account"].get(id) is ABSENT)
            if arn is not None and self._regions["resource"].get(arn) is not ABSENT:
                arn = None
            self._regions["principal"].misses += 1
            self._regions["account"].misses += len(missing)
            self._regions["resource"].misses += arn is not None
        self._answer(_DECISION, (principal, missing, arn), self._load_decision)

    def _load_decision(self, query: tuple[Principal, tuple[str, ...], str | None]) -> None:
        """Load a decision's records and cache each under its own kind."""
        principal, account_ids, arn = query
        history = self._changes.history
        loaded = self.behind.decision_records(principal, account_ids, arn)
        for id in account_ids:
            self._keep("account", id, loaded.accounts[id], history)
        if loaded.principal is not None:
            self._keep("principal", principal, loaded.principal, history)
        if loaded.resource is not None:
            self._keep("resource", arn, loaded.resource, history)

    def certificate_trust(self) -> CertificateTrust:
        return self._answer("certificate_trust", "", lambda _: self.behind.certificate_trust())

    def read_transaction(self) -> AbstractContextManager[Records]:
        self._require_reachable()
        return super().read_transaction()

    @contextmanager
    def write_transaction(self) -> Iterator[Records]:
        """Change rows in one transaction; later reads of this store see the change."""
        self._require_reachable()
        with self.behind.write_transaction() as records:
            yield records
        if records.step is not None:
            self._follow_change(records.step, frozenset(records.invalidation.names))

    def save_uses(self, uses: Sequence[Use]) -> None:
        self._require_reachable()
        super().save_uses(uses)

    def refresh(self) -> None:
        self.behind.refresh()
        if not self._poller.poll_now(self._timeout) and not self.stale:
            self._fail("no answer in time")

    def close(self) -> None:
        self._poller.close(self._timeout)
        if self._listener is not None:  # which the last poll may have started
            self._listener.close()
        self.arn_loader.close(self._timeout)
        self.behind.close()

    # --- state of the cache --------------------------------------------------------------------------------------

    def can_answer_from_cache(self) -> bool:
        """Return whether a request would be answered without a poll."""
        if self._clock() < self._due:
            return True
        return self.stale or (self._is_fresh() and self._poller.is_overdue(self._timeout / _SHORT_WAIT_DIVISOR))

    def usage(self) -> dict[str, CacheUsage]:
        with self._lock:
            return {kind: self._regions[kind].usage() for kind in KINDS}

    def feed_usage(self) -> FeedUsage:
        with self._lock:
            return self._changes.usage(is_notified=bool(self._listener and self._listener.is_listening))

    def staleness(self) -> float:
        """Return the seconds since the last successful poll; infinite before the first."""
        return math.inf if self._last_good is None else max(0.0, self._clock() - self._last_good)

    def _follow(self) -> None:
        """Poll the store if a poll is due; wait only briefly while the cached answers are still fresh."""
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
        self._changes.known_state()
        if self.stale and self.staleness() > self._max_staleness:
            raise StoreUnavailable("the store cannot be reached, and the cached answers are too old")

    def _require_reachable(self) -> None:
        """Raise `StoreUnavailable` at once while polls fail, for calls that only the store can answer."""
        if self.stale:
            raise StoreUnavailable("the store cannot be reached")

    def _read_feed(self) -> None:
        """Read the change feed after a notification: at once if the cache is in use, else on the next request."""
        if self._is_asked or self._poller.is_polling:  # a running poll may have read the feed before the change
            self._is_asked = False
            self._poller.poll_now(self._timeout)
        else:
            self._due = -math.inf

    def _poll(self) -> bool:
        """Read the change feed; return whether the store answered. Called by one thread at a time."""
        started, known = self._clock(), self._changes.state
        try:
            changes = self.behind.changes(known)
        except Exception as error:  # noqa: BLE001  any failed poll must start the `max_staleness` limit
            reason = str(error) if isinstance(error, StoreUnavailable) else f"unexpected {type(error).__name__}"
            self._fail(reason, is_lost=isinstance(error, StoreLost))
            return False
        with self._lock:
            now = self._changes.state  # which a change made through this proxy during the poll may have overtaken
            if now is known or now is None or changes.state.epoch > now.epoch:
                self._changes.follow(changes)
        needs_listener = self._listener is None or self._listener.is_replaceable
        if self._last_good is not None:  # from the second poll: short processes need neither
            if self.is_remote and needs_listener:
                self._listener = self.behind.listen(self._read_feed)
            if self._regions["resource"].misses:
                self.arn_loader.load()
        if self.stale:
            logger.warning("store reachable again")
            self._arns.retry()
        self._last_good = started
        self._due = self._clock() + self._poll_every
        self.stale = False
        return True

    def _fail(self, reason: str, *, is_lost: bool = False) -> None:
        if is_lost and self._changes.state is not None:
            with self._lock:
                self._changes.lose()
            logger.error("store lost, denying all requests: %s", reason)
        elif not self.stale:
            logger.warning("store unreachable, using cached answers: %s", reason)
        self.stale = True
        self._due = -math.inf
        self._poller.keep_polling()

    def _follow_change(self, step: Step, names: frozenset[str]) -> None:
        """Invalidate what a change through this proxy names, or read the feed if other changes precede it."""
        with self._lock:
            if self._changes.follow_step(step, names):
                self._last_good = self._clock()
                if not self.stale:
                    self._due = self._last_good + self._poll_every
                return
        self.refresh()

    # --- answering -----------------------------------------------------------------------------------------------

    def _read_cache(self, region: CacheRegion, key: Hashable) -> Any:
        """Return a cached answer. Raises `CacheMiss` where a query or a poll would be needed."""
        if self._clock() >= self._due:
            self._follow_from_cache()
        with self._lock:
            answer = region.get(key)
            if answer is ABSENT:
                raise CacheMiss
            region.hits += 1
        return answer

    def _cached_state(self) -> State:
        if self._clock() >= self._due:
            self._follow_from_cache()
        self._is_asked = True
        return self._changes.state or self._changes.known_state()

    def _follow_from_cache(self) -> None:
        """Use the cache while the store fails or is slow to answer. Raises `CacheMiss` if a poll is due."""
        if not self.can_answer_from_cache():
            raise CacheMiss
        self._require_usable()

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
            name = self._changes.state, kind, key
            pending = self._pending.get(name)
            leads = pending is None
            if pending is None:
                self._require_reachable()
                pending = self._pending[name] = Future()
        if leads:
            self._load(pending, name, lambda: load(key))
        try:
            return pending.result(self._timeout)  # type: ignore[no-any-return]
        except TimeoutError:
            raise StoreUnavailable("the store did not answer another caller's query in time") from None

    def _load(self, pending: Future[Any], name: tuple[State | None, str, Hashable], load: Callable[[], A]) -> None:
        """Query the store, for all threads that wait for the answer."""
        state, kind, key = name
        history = self._changes.history
        try:
            answer: Any = load()
            if kind != _DECISION:
                answer = self._keep(kind, key, answer, history, state.epoch if state else 0)
        except BaseException as error:  # noqa: BLE001  the waiting threads must get the error too
            with self._lock:
                self._pending.pop(name, None)
            pending.set_exception(error)
            if isinstance(error, StoreUnavailable):
                self._poller.start_unless_recent()
            return
        with self._lock:
            self._pending.pop(name, None)
        pending.set_result(answer)

    def _keep(self, kind: str, key: Hashable, answer: Any, history: int, since: int = 0) -> Any:
        """Return an answer with its generations, and cache it unless a change since it was loaded names it.

        It was loaded at its epoch or, if it has none, at epoch `since` or later.
        """
        epoch, state = getattr(answer, "epoch", None) or since, self._changes.state
        if state is not None and epoch > state.epoch:
            self._poller.poll_now(self._timeout)  # the changes up to it must be followed first
        names = names_of(kind, key, answer)
        with self._lock:
            held = self._changes.hold(names, history=history, since=epoch)
            if isinstance(answer, PrincipalRecord):
                answer = self._policies.with_shared_policies(answer)
            if isinstance(answer, PrincipalRecord | AccountRecord | ResourceRecord):
                answer = replace(answer, generations=held)
            if held is not STALE:
                self._regions[kind].put(key, answer, held)
        return answer
