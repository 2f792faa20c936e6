"""The cache: no stale answers, one poll per interval, static stability (rules T-1 to T-5, T-9)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import Mock

import pytest

from iam_guard.errors import CacheMiss, StoreUnavailable
from iam_guard.guard.guard import outage_of
from iam_guard.model.credential import AccessKey, ApiKey
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import KINDS, CachedStore
from iam_guard.store.cache.change_feed import ChangesSince, State, Step
from iam_guard.store.cache.generations import are_current
from iam_guard.store.protocol import AccountRecord, ArnsPage, DecisionRecords, PrincipalRecord, ResourceRecord
from tests.audit.pipelines import eventually

ALICE = Principal.from_arn("arn:aws:iam::111122223333:user/alice")


@dataclass
class ScriptedStore:
    """A Store whose epoch and failures the test sets, and that records its queries."""

    now: int = 1
    fails: bool = False
    unknown: set[str] = field(default_factory=set)
    named: dict[int, set[str]] = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)
    before_answer: Callable[[str], None] = lambda query: None
    is_remote: bool = True

    def _query(self, query: str) -> int:
        self.queries.append(query)
        epoch = self.now
        self.before_answer(query)
        if self.fails:
            raise StoreUnavailable("unplugged")
        return epoch

    def epoch(self) -> int:
        return self.now

    def changes(self, since: State | None) -> ChangesSince:
        """Return the names in `named` by epoch; a change without names there invalidates everything."""
        now = self._query("epoch")
        epochs = range(since.epoch + 1, now + 1) if since is not None and since.epoch <= now else ()
        if since is not None and now >= since.epoch and all(epoch in self.named for epoch in epochs):
            return ChangesSince(State(now), frozenset().union(*(self.named[epoch] for epoch in epochs)))
        return ChangesSince(State(now), None, "first" if since is None else "change")

    def listen(self, wake: Callable[[], object]) -> None:
        self.wake = wake

    def access_key(self, access_key_id: str) -> AccessKey | None:
        epoch = self._query(f"key {access_key_id}")
        return None if access_key_id in self.unknown else AccessKey(access_key_id, f"secret {epoch}", True, ALICE)

    def api_key(self, api_key_id: str) -> ApiKey | None:
        self._query(f"api {api_key_id}")
        return None if api_key_id in self.unknown else ApiKey(api_key_id, b"", True, ALICE)

    def principal(self, principal: Principal) -> PrincipalRecord:
        return PrincipalRecord(self._query(f"principal {principal.name}"), True, principal)

    def account(self, account_id: str) -> AccountRecord:
        return AccountRecord(self._query(f"account {account_id}"), account_id, account_id not in self.unknown)

    def resource(self, arn: str) -> ResourceRecord:
        return ResourceRecord(self._query(f"resource {arn}"), arn)

    def decision_records(
        self, principal: Principal | None, account_ids: Collection[str], arn: str | None
    ) -> DecisionRecords:
        epoch = self._query(f"decision {principal and principal.name} {list(account_ids)} {arn}")
        return DecisionRecords(
            None if principal is None else PrincipalRecord(epoch, True, principal),
            {id: AccountRecord(epoch, id, True) for id in account_ids},
            None if arn is None else ResourceRecord(epoch, arn),
        )

    def resource_arns(self, since: State, after: str | None, limit: int) -> ArnsPage:
        """Return a page that can't be used, so that each resource is queried."""
        return ArnsPage(ChangesSince(since, None, "gap"), ())

    def refresh(self) -> None:
        self.queries.append("refresh")

    def close(self) -> None:
        self.queries.append("close")

    def take_queries(self) -> list[str]:
        """Return the queries since the last call, without epoch polls."""
        queries = [query for query in self.queries if query != "epoch"]
        self.queries.clear()
        return queries


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def inner() -> ScriptedStore:
    return ScriptedStore()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cached(inner: ScriptedStore, clock: Clock) -> CachedStore:
    settings = Settings(epoch_poll=1.0, max_staleness=10.0, cache_size=20, store_timeout=20.0)
    return CachedStore(inner, settings, clock=clock)


def test_repeated_question_queries_store_once(cached: CachedStore, inner: ScriptedStore) -> None:
    """Each query reaches the store once, also one without a result."""
    inner.unknown = {"none"}
    for _ in range(3):
        assert cached.access_key("AKIA") is not None
        assert cached.access_key("none") is None
        assert cached.api_key("abcd") is not None
        assert cached.principal(ALICE).exists
        assert cached.account("1").exists
        assert cached.resource("arn").arn == "arn"
    assert inner.queries.count("epoch") == 1
    assert inner.take_queries() == ["key AKIA", "key none", "api abcd", "principal alice", "account 1", "resource arn"]


def test_change_is_seen_within_epoch_poll(cached: CachedStore, inner: ScriptedStore, clock: Clock) -> None:
    """A new epoch is found by the next poll and clears the cache; until then, all answers are of the old one (T-1)."""
    assert cached.account("1").epoch == cached.epoch() == 1
    inner.now = 2
    clock.now += 0.9
    assert cached.account("1").epoch == cached.epoch() == 1
    clock.now += 0.2
    assert cached.account("1").epoch == cached.epoch() == 2
    inner.now = 1  # the database was restored
    clock.now += 1
    assert cached.account("1").epoch == 1


def test_refresh_polls_at_once(cached: CachedStore, inner: ScriptedStore) -> None:
    """After `refresh`, no older answer is returned."""
    cached.account("1")
    inner.now = 2
    cached.refresh()
    assert "refresh" in inner.queries
    assert cached.account("1").epoch == 2


def test_answer_after_an_unknown_change_clears_cache(cached: CachedStore, inner: ScriptedStore) -> None:
    """So that all answers for a decision are of one epoch (T-9)."""
    assert cached.account("1").epoch == 1
    inner.now = 2
    assert cached.resource("arn").epoch == 2
    assert cached.account("1").epoch == 2
    assert cached.epoch() == 2


@pytest.mark.parametrize("kind", ["account", "key"])
def test_answer_loaded_before_change_is_not_cached(cached: CachedStore, inner: ScriptedStore, kind: str) -> None:
    """An answer is not cached if a change was seen while it was loaded."""

    def change_meanwhile(query: str) -> None:
        if query.startswith(kind):
            inner.before_answer = lambda _: None
            inner.now = 2
            cached.refresh()

    cached.epoch()
    inner.before_answer = change_meanwhile
    if kind == "account":
        assert (cached.account("1").epoch, cached.account("1").epoch) == (1, 2)
    else:
        first, second = cached.access_key("AKIA"), cached.access_key("AKIA")
        assert first is not None
        assert second is not None
        assert (first.secret, second.secret) == ("secret 1", "secret 2")


def test_unreachable_store_is_bridged_up_to_max_staleness(
    cached: CachedStore, inner: ScriptedStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Cached answers are used up to `max_staleness`, marked as stale; then none; then the store recovers."""
    assert (cached.stale, cached.staleness(), outage_of(cached)) == (False, float("inf"), 0.0)
    cached.account("1")
    inner.fails = True
    clock.now += 5
    with caplog.at_level(logging.WARNING, "iam_guard.store"):
        assert cached.account("1").exists
        clock.now += 4
        assert cached.account("1").exists
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert (cached.stale, cached.staleness(), outage_of(cached), cached.epoch()) == (True, 9.0, 9.0, 1)
    with pytest.raises(StoreUnavailable, match="the store cannot be reached"):
        cached.account("2")
    clock.now += 2
    for call in (lambda: cached.account("1"), cached.epoch, lambda: cached.access_key("AKIA")):
        with pytest.raises(StoreUnavailable, match="too old"):
            call()
    clock.now += 1
    inner.fails = False
    eventually(lambda: not cached.stale)
    assert cached.account("1").exists
    assert (cached.stale, cached.staleness()) == (False, 0.0)


def test_idle_process_reports_no_outage(cached: CachedStore, clock: Clock) -> None:
    """It does not poll, so the age of its last poll says nothing about the store."""
    cached.account("1")
    clock.now += 1000
    assert (cached.staleness(), outage_of(cached)) == (1000.0, 0.0)


def test_store_never_reached_is_unavailable(cached: CachedStore, inner: ScriptedStore) -> None:
    """Without one successful poll, there is nothing to answer from."""
    inner.fails = True
    for call in (cached.epoch, lambda: cached.account("1")):
        with pytest.raises(StoreUnavailable):
            call()


def test_failing_store_is_polled_once_per_interval(cached: CachedStore, inner: ScriptedStore, clock: Clock) -> None:
    """A store that fails is not queried again for each request."""
    cached.account("1")
    inner.fails = True
    clock.now += 1
    inner.queries.clear()
    for _ in range(50):
        cached.account("1")
    assert inner.queries == ["epoch"]


def test_failed_load_is_not_cached(cached: CachedStore, inner: ScriptedStore) -> None:
    """The caller gets the error, and the next one queries again."""
    cached.epoch()
    inner.fails = True
    with pytest.raises(StoreUnavailable):
        cached.account("1")
    inner.fails = False
    assert cached.account("1").exists


def test_concurrent_equal_queries_reach_store_once(cached: CachedStore, inner: ScriptedStore) -> None:
    """The same query from many threads reaches the store once, and all get its answer or its error."""
    started, release = threading.Event(), threading.Event()

    def wait(query: str) -> None:
        if query == "account 1":
            started.set()
            assert release.wait(60)

    inner.before_answer = wait
    results: list[object] = []

    def call() -> None:
        try:
            results.append(cached.account("1").epoch)
        except StoreUnavailable as error:
            results.append(str(error))

    for outcome in (1, "unplugged"):
        results.clear()
        inner.queries.clear()
        started.clear()
        release.clear()
        threads = [threading.Thread(target=call) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert started.wait(60)
        time.sleep(0.05)
        inner.fails = outcome == "unplugged"
        release.set()
        for thread in threads:
            thread.join()
        assert results == [outcome] * 8
        assert inner.take_queries() == ["account 1"]
        inner.now, inner.fails = 2, False
        cached.refresh()


def test_cached_answers_do_not_wait_for_hanging_store(cached: CachedStore, inner: ScriptedStore, clock: Clock) -> None:
    """While one thread waits for a store that is known to fail, others use cached answers."""
    cached.account("1")
    inner.fails = True
    clock.now += 1
    cached.account("1")
    started, release = threading.Event(), threading.Event()

    def hang(query: str) -> None:
        started.set()
        assert release.wait(60)

    inner.before_answer = hang
    clock.now += 1
    thread = threading.Thread(target=lambda: cached.account("1"))
    thread.start()
    assert started.wait(60)
    assert is_cached(cached, "account", "1")
    assert cached.account("1").exists
    release.set()
    thread.join()


def test_overdue_poll_does_not_block_cached_answers(inner: ScriptedStore, clock: Clock) -> None:
    """Cached answers are used while a poll hangs, and marked as stale when the last good poll is too old."""
    settings = Settings(epoch_poll=1.0, max_staleness=10.0, store_timeout=0.2)
    cached = CachedStore(inner, settings, clock=clock)
    cached.account("1")
    release = threading.Event()

    def hang(_: str) -> None:
        release.wait(30)

    inner.before_answer = hang
    clock.now += 1
    assert cached.account("1").exists  # it waits for a quarter of the timeout
    assert is_cached(cached, "account", "1")
    assert not cached.stale
    clock.now += 5
    assert cached.account("1").exists
    assert cached.stale
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        cached.account("2")
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        cached.read_transaction()
    clock.now += 5
    with pytest.raises(StoreUnavailable, match="too old"):
        cached.account("1")
    release.set()
    eventually(lambda: not cached.stale)
    assert cached.account("2").exists


def test_wait_for_another_callers_query_is_limited(inner: ScriptedStore) -> None:
    """A caller that waits for another caller's query to a hanging store is refused after the timeout."""
    cached = CachedStore(inner, Settings(store_timeout=0.1))
    cached.epoch()
    started, release = threading.Event(), threading.Event()

    def hang(query: str) -> None:
        if query == "account 1":
            started.set()
            release.wait(30)

    inner.before_answer = hang
    leader = threading.Thread(target=cached.account, args=("1",))
    leader.start()
    assert started.wait(30)
    with pytest.raises(StoreUnavailable, match="another caller's query"):
        cached.account("1")
    release.set()
    leader.join()
    assert cached.account("1").exists


def test_poll_overtaken_by_own_change_is_ignored(cached: CachedStore, inner: ScriptedStore) -> None:
    """A poll that was running during a change through this cache does not restore the state before it."""
    assert cached.account("1").epoch == 1

    def change_meanwhile(query: str) -> None:
        inner.before_answer = lambda _: None
        inner.now = 2
        cached._follow_change(Step(State(1), State(2)), frozenset({"account:1"}))

    inner.before_answer = change_meanwhile
    cached.refresh()
    assert cached.account("1").epoch == cached.epoch() == 2


# --- following the changes -------------------------------------------------------------------------------------------


def test_change_drops_what_it_names(cached: CachedStore, inner: ScriptedStore) -> None:
    """All other answers stay, and are valid at the new state."""
    for account_id in "123":
        cached.account(account_id)
    first, state = cached.account("1"), cached.state()
    inner.now, inner.named = 3, {2: {"account:2"}, 3: {"account:3", "resource:x"}}
    inner.take_queries()
    cached.refresh()
    assert not cached.is_at(state)
    assert cached.epoch() == 3
    assert cached.account("1") is first
    assert [cached.account(id).epoch for id in "23"] == [3, 3]
    assert inner.take_queries() == ["refresh", "account 2", "account 3"]
    assert cached.usage()["account"].dropped == 2
    usage = cached.feed_usage()
    assert (usage.epoch, usage.followed, usage.cleared, usage.is_notified) == (3, 1, {}, False)


def test_answer_of_a_later_state_is_cached_after_following(cached: CachedStore, inner: ScriptedStore) -> None:
    """Loading what is newer than the cached answers reads the changes up to it, and drops only those."""
    first = cached.account("1")
    cached.account("2")
    inner.now, inner.named = 2, {2: {"account:2"}}
    assert cached.account("3").epoch == 2
    assert cached.epoch() == 2
    assert cached.account("1") is first
    assert is_cached(cached, "account", "3")
    assert not is_cached(cached, "account", "2")


@pytest.mark.parametrize(("named", "kept"), [("account:1", False), ("account:2", True)])
def test_change_during_a_load_counts_if_it_names_the_answer(
    cached: CachedStore, inner: ScriptedStore, named: str, kept: bool
) -> None:
    """The answer is of the state before; it is returned to who asked before the change."""

    def change_meanwhile(query: str) -> None:
        if query == "account 1":
            inner.before_answer = lambda _: None
            inner.now, inner.named = 2, {2: {named}}
            cached.refresh()

    cached.epoch()
    inner.before_answer = change_meanwhile
    record = cached.account("1")
    assert (record.epoch, cached.epoch()) == (1, 2)
    assert are_current(record.generations) == kept
    assert is_cached(cached, "account", "1") == kept


def test_held_names_end_with_a_change(cached: CachedStore, inner: ScriptedStore) -> None:
    """What is derived from rows lives as long as the names that were held before reading."""
    cached.epoch()
    held = cached.hold(["trust:1", "trust"])
    inner.now, inner.named = 3, {2: {"trust:2"}, 3: {"trust"}}
    inner.now = 2
    cached.refresh()
    assert are_current(held)
    inner.now = 3
    cached.refresh()
    assert not are_current(held)


@pytest.mark.parametrize("reason", ["gap", "history"])
def test_unknown_changes_drop_everything_once(
    cached: CachedStore,
    inner: ScriptedStore,
    reason: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With one warning, and counted."""
    cached.account("1")
    held = cached.hold(["trust"])
    inner.now = 7
    monkeypatch.setattr(inner, "changes", lambda _since: ChangesSince(State(7), None, reason))
    with caplog.at_level(logging.INFO, "iam_guard.store"):
        cached.refresh()
        cached.refresh()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "(epoch 1, now 7)" in caplog.text
    assert not are_current(held)
    assert not is_cached(cached, "account", "1")
    assert cached.feed_usage().cleared == {reason: 1}


def test_notification_is_followed_at_once_by_a_cache_in_use(
    cached: CachedStore, inner: ScriptedStore, clock: Clock
) -> None:
    """An idle cache reads the feed at its next request."""
    cached.epoch()
    clock.now += 1
    cached.epoch()
    eventually(lambda: cached._listener is None and hasattr(inner, "wake"))
    inner.now, inner.named = 2, {2: {"account:2"}, 3: set()}
    inner.wake()
    assert cached._changes.state == State(2)
    inner.now = 3
    inner.wake()
    assert cached._changes.state == State(2)
    with pytest.raises(CacheMiss):
        cached.cache_only.state()
    assert cached.epoch() == 3


def test_notification_during_a_poll_is_followed(cached: CachedStore, inner: ScriptedStore, clock: Clock) -> None:
    """That poll may have read the feed before the change."""
    cached.epoch()
    clock.now += 1
    cached.epoch()
    eventually(lambda: hasattr(inner, "wake"))
    inner.wake()
    notified = threading.Thread(target=inner.wake)

    def change_meanwhile(_: str) -> None:
        inner.before_answer = lambda _: None
        inner.now, inner.named = 2, {2: set()}
        notified.start()
        notified.join(0.1)

    inner.before_answer = change_meanwhile
    clock.now += 1
    cached.epoch()
    notified.join()
    assert cached.epoch() == 2


def test_failed_query_triggers_poll(inner: ScriptedStore, clock: Clock) -> None:
    """A store that fails between two polls is detected by the first failed query."""
    cached = CachedStore(inner, Settings(epoch_poll=1000.0, max_staleness=10_000.0), clock=clock)
    cached.account("1")
    inner.fails = True
    time.sleep(0.5)  # polls are not made more often than that
    with pytest.raises(StoreUnavailable, match="unplugged"):
        cached.account("2")
    eventually(lambda: cached.stale)
    assert cached.account("1").exists


def is_cached(cached: CachedStore, kind: str, key: object) -> bool:
    """Return whether an answer is cached."""
    try:
        getattr(cached.cache_only, kind)(key)
    except CacheMiss:
        return False
    return True


def test_cache_only_store_never_queries(cached: CachedStore, inner: ScriptedStore, clock: Clock) -> None:
    """It returns what needs no poll, and does not poll to find out."""
    with pytest.raises(CacheMiss):
        cached.cache_only.state()
    assert not is_cached(cached, "account", "1")
    assert inner.queries == []
    cached.account("1")
    cached.principal(ALICE)
    assert is_cached(cached, "account", "1")
    assert is_cached(cached, "principal", ALICE)
    assert not is_cached(cached, "account", "2")
    assert not is_cached(cached, "resource", "1")
    assert cached.cache_only.state() is cached.state()
    inner.queries.clear()
    clock.now += 1
    assert not is_cached(cached, "account", "1")
    with pytest.raises(CacheMiss):
        cached.cache_only.state()
    assert inner.queries == []


def test_cache_size_is_bounded(cached: CachedStore, inner: ScriptedStore) -> None:
    """A cache has at most `cache_size` entries, and negative answers don't evict positive ones."""
    cached.account("1")
    inner.unknown = {f"x{number}" for number in range(100)}
    for name in inner.unknown:
        cached.account(name)
    assert is_cached(cached, "account", "1")
    assert sum(is_cached(cached, "account", name) for name in inner.unknown) == 2
    for number in range(100):
        cached.account(f"y{number}")
    assert sum(is_cached(cached, "account", f"y{number}") for number in range(100)) == 20


def test_cache_of_size_zero_still_answers() -> None:
    """The size 0 is raised to 1."""
    cached = CachedStore(ScriptedStore(), Settings(cache_size=0))
    assert cached.account("1").exists
    kinds = {"access_key", "api_key", "browser_session", "principal", "account", "resource", "certificate_trust"}
    assert set(KINDS) == kinds


def test_callers_with_other_tags_or_policies_share_no_entry(cached: CachedStore, inner: ScriptedStore) -> None:
    """Callers that differ in tags or session policies have separate entries (S-21, S-41)."""
    cached.principal(ALICE)
    for other in ({"tags": {"a": "b"}}, {"session_policies": ("{}",)}, {"userid": "AIDA"}):
        cached.principal(Principal.from_arn(ALICE.arn, **other))  # type: ignore[arg-type]
    assert inner.take_queries() == ["principal alice"] * 4


def test_close_closes_wrapped_store(cached: CachedStore, inner: ScriptedStore) -> None:
    """Closing the cache closes the wrapped store."""
    cached.close()
    assert inner.queries == ["close"]


def test_close_ends_a_listener_of_the_last_poll(cached: CachedStore, inner: ScriptedStore, clock: Clock) -> None:
    """A poll that is running when the cache is closed may still start one."""
    cached.epoch()
    started, listener = threading.Event(), Mock(is_listening=True, is_replaceable=False)

    def listen(_wake: Callable[[], object]) -> Any:
        started.set()
        eventually(lambda: cached._poller._is_closed)
        return listener

    inner.listen = listen  # type: ignore[method-assign,assignment]
    polling = threading.Thread(target=cached.refresh)
    polling.start()
    assert started.wait(60)
    cached.close()
    polling.join()
    listener.close.assert_called_once()


# --- the records of a decision ---------------------------------------------------------------------------------------


def test_decision_records_are_cached_as_single_answers(cached: CachedStore, inner: ScriptedStore) -> None:
    """One query fills the cache of each kind; cached records are not queried again."""
    assert cached.account("1").exists
    cached.load_decision(ALICE, ("1", "2"), "arn")
    assert cached.principal(ALICE).exists
    assert cached.account("2").exists
    assert cached.resource("arn").arn == "arn"
    cached.load_decision(ALICE, ("3",), "another")
    assert inner.take_queries() == ["account 1", "decision alice ['2'] arn"]
    assert {kind: cached.usage()[kind].misses for kind in ("principal", "account", "resource")} == {
        "principal": 1,
        "account": 2,
        "resource": 1,
    }
    assert set(cached.usage()) == set(KINDS)


def test_decision_records_after_unknown_change_clear_cache(cached: CachedStore, inner: ScriptedStore) -> None:
    """All answers are of one epoch (T-9)."""
    assert cached.account("1").epoch == 1
    inner.now = 2
    cached.load_decision(ALICE, (), None)
    assert [cached.principal(ALICE).epoch, cached.account("1").epoch, cached.epoch()] == [2, 2, 2]


def test_decision_records_of_older_epoch_are_not_cached(cached: CachedStore, inner: ScriptedStore) -> None:
    """They are loaded again after a write that was seen meanwhile."""

    def write(query: str) -> None:
        if query.startswith("decision"):
            inner.now = 2
            cached.refresh()

    inner.before_answer = write
    cached.load_decision(ALICE, ("1",), "arn")
    assert [cached.principal(ALICE).epoch, cached.account("1").epoch, cached.resource("arn").epoch] == [2, 2, 2]


def test_decision_records_of_unreachable_store_are_unavailable(cached: CachedStore, inner: ScriptedStore) -> None:
    """Nothing is cached, and the next call queries again."""
    assert cached.epoch() == 1
    inner.fails = True
    with pytest.raises(StoreUnavailable):
        cached.load_decision(ALICE, ("1",), "arn")
    inner.fails = False
    cached.load_decision(ALICE, ("1",), "arn")
    assert inner.take_queries() == ["decision alice ['1'] arn"] * 2
