"""The cache: never another answer than the store's, one look per epoch, static stability (rules T-1 to T-5, T-9)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import pytest

from iam_guard.errors import CacheMiss, StoreUnavailable
from iam_guard.model.credential import AccessKey, ApiKey
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.cached_store import KINDS, CachedStore
from iam_guard.store.protocol import AccountRecord, DecisionRecords, PrincipalRecord, ResourceRecord
from tests.audit.pipelines import eventually

ALICE = Principal.from_arn("arn:aws:iam::111122223333:user/alice")


@dataclass
class Scripted:
    """A Store whose epoch and failures the test sets, and that counts what it was asked."""

    now: int = 1
    fails: bool = False
    unknown: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    before_answer: Callable[[str], None] = lambda question: None
    is_remote: bool = True

    def _ask(self, question: str) -> int:
        self.asked.append(question)
        epoch = self.now
        self.before_answer(question)
        if self.fails:
            raise StoreUnavailable("unplugged")
        return epoch

    def epoch(self) -> int:
        return self._ask("epoch")

    def access_key(self, access_key_id: str) -> AccessKey | None:
        epoch = self._ask(f"key {access_key_id}")
        return None if access_key_id in self.unknown else AccessKey(access_key_id, f"secret {epoch}", True, ALICE)

    def api_key(self, api_key_id: str) -> ApiKey | None:
        self._ask(f"api {api_key_id}")
        return None if api_key_id in self.unknown else ApiKey(api_key_id, b"", True, ALICE)

    def principal(self, principal: Principal) -> PrincipalRecord:
        return PrincipalRecord(self._ask(f"principal {principal.name}"), True, principal)

    def account(self, account_id: str) -> AccountRecord:
        return AccountRecord(self._ask(f"account {account_id}"), account_id, account_id not in self.unknown)

    def resource(self, arn: str) -> ResourceRecord:
        return ResourceRecord(self._ask(f"resource {arn}"), arn)

    def decision_records(
        self, principal: Principal | None, account_ids: Collection[str], arn: str | None
    ) -> DecisionRecords:
        epoch = self._ask(f"decision {principal and principal.name} {list(account_ids)} {arn}")
        return DecisionRecords(
            None if principal is None else PrincipalRecord(epoch, True, principal),
            {id: AccountRecord(epoch, id, True) for id in account_ids},
            None if arn is None else ResourceRecord(epoch, arn),
        )

    def refresh(self) -> None:
        self.asked.append("refresh")

    def close(self) -> None:
        self.asked.append("close")

    def questions(self) -> list[str]:
        """What was asked since the last time, without looks at the epoch."""
        asked = [question for question in self.asked if question != "epoch"]
        self.asked.clear()
        return asked


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def inner() -> Scripted:
    return Scripted()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cached(inner: Scripted, clock: Clock) -> CachedStore:
    settings = Settings(epoch_poll=1.0, max_staleness=10.0, cache_size=20, store_timeout=20.0)
    return CachedStore(inner, settings, clock=clock)


def test_asked_once(cached: CachedStore, inner: Scripted) -> None:
    """Each question is put to the store once, the one that finds nothing too."""
    inner.unknown = {"none"}
    for _ in range(3):
        assert cached.access_key("AKIA") is not None
        assert cached.access_key("none") is None
        assert cached.api_key("abcd") is not None
        assert cached.principal(ALICE).exists
        assert cached.account("1").exists
        assert cached.resource("arn").arn == "arn"
    assert inner.asked.count("epoch") == 1
    assert inner.questions() == ["key AKIA", "key none", "api abcd", "principal alice", "account 1", "resource arn"]


def test_change_is_seen_within_epoch_poll(cached: CachedStore, inner: Scripted, clock: Clock) -> None:
    """A new epoch is found at the next look and drops everything; until then the old state is whole (T-1)."""
    assert cached.account("1").epoch == cached.epoch() == 1
    inner.now = 2
    clock.now += 0.9
    assert cached.account("1").epoch == cached.epoch() == 1
    clock.now += 0.2
    assert cached.account("1").epoch == cached.epoch() == 2
    inner.now = 1  # the database was restored
    clock.now += 1
    assert cached.account("1").epoch == 1


def test_refresh_looks_at_once(cached: CachedStore, inner: Scripted) -> None:
    """After `refresh` nothing older is given."""
    cached.account("1")
    inner.now = 2
    cached.refresh()
    assert "refresh" in inner.asked
    assert cached.account("1").epoch == 2


def test_newer_answer_drops_older_ones(cached: CachedStore, inner: Scripted) -> None:
    """An answer of a newer epoch takes the whole cache along, so that one decision is of one epoch (T-9)."""
    assert cached.account("1").epoch == 1
    inner.now = 2
    assert cached.resource("arn").epoch == 2
    assert cached.account("1").epoch == 2
    assert cached.epoch() == 2


@pytest.mark.parametrize("kind", ["account", "key"])
def test_answer_that_was_overtaken_is_not_kept(cached: CachedStore, inner: Scripted, kind: str) -> None:
    """An answer loaded before a change that was seen while it loaded is not remembered beyond it."""

    def change_meanwhile(question: str) -> None:
        if question.startswith(kind):
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


def test_serves_while_the_store_is_away(
    cached: CachedStore, inner: Scripted, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """What is remembered is served up to `max_staleness`, marked as stale; then nothing; then it recovers."""
    assert (cached.stale, cached.staleness()) == (False, float("inf"))
    cached.account("1")
    inner.fails = True
    clock.now += 5
    with caplog.at_level(logging.WARNING, "iam_guard.store"):
        assert cached.account("1").exists
        clock.now += 4
        assert cached.account("1").exists
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert (cached.stale, cached.staleness(), cached.epoch()) == (True, 9.0, 1)
    with pytest.raises(StoreUnavailable, match="the store cannot be reached"):
        cached.account("2")
    clock.now += 2
    for ask in (lambda: cached.account("1"), cached.epoch, lambda: cached.access_key("AKIA")):
        with pytest.raises(StoreUnavailable, match="too old"):
            ask()
    clock.now += 1
    inner.fails = False
    eventually(lambda: not cached.stale)
    assert cached.account("1").exists
    assert (cached.stale, cached.staleness()) == (False, 0.0)


def test_store_that_was_never_there(cached: CachedStore, inner: Scripted) -> None:
    """Without one good look there is nothing to serve."""
    inner.fails = True
    for ask in (cached.epoch, lambda: cached.account("1")):
        with pytest.raises(StoreUnavailable):
            ask()


def test_failing_store_is_asked_once_per_poll(cached: CachedStore, inner: Scripted, clock: Clock) -> None:
    """A store that is away is not asked again with every question."""
    cached.account("1")
    inner.fails = True
    clock.now += 1
    inner.asked.clear()
    for _ in range(50):
        cached.account("1")
    assert inner.asked == ["epoch"]


def test_failed_load_is_not_remembered(cached: CachedStore, inner: Scripted) -> None:
    """An error is given to who asked and not kept."""
    cached.epoch()
    inner.fails = True
    with pytest.raises(StoreUnavailable):
        cached.account("1")
    inner.fails = False
    assert cached.account("1").exists


def test_single_flight(cached: CachedStore, inner: Scripted) -> None:
    """The same question from many threads is put to the store once, and all get its answer; or its error."""
    started, release = threading.Event(), threading.Event()

    def wait(question: str) -> None:
        if question == "account 1":
            started.set()
            assert release.wait(60)

    inner.before_answer = wait
    results: list[object] = []

    def ask() -> None:
        try:
            results.append(cached.account("1").epoch)
        except StoreUnavailable as error:
            results.append(str(error))

    for outcome in (1, "unplugged"):
        results.clear()
        inner.asked.clear()
        started.clear()
        release.clear()
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert started.wait(60)
        time.sleep(0.05)
        inner.fails = outcome == "unplugged"
        release.set()
        for thread in threads:
            thread.join()
        assert results == [outcome] * 8
        assert inner.questions() == ["account 1"]
        inner.now, inner.fails = 2, False
        cached.refresh()


def test_nobody_waits_for_a_store_that_hangs(cached: CachedStore, inner: Scripted, clock: Clock) -> None:
    """While one thread waits for a store known to be away, the others go on with what is remembered."""
    cached.account("1")
    inner.fails = True
    clock.now += 1
    cached.account("1")
    started, release = threading.Event(), threading.Event()

    def hang(question: str) -> None:
        started.set()
        assert release.wait(60)

    inner.before_answer = hang
    clock.now += 1
    thread = threading.Thread(target=lambda: cached.account("1"))
    thread.start()
    assert started.wait(60)
    assert holds(cached, "account", "1")
    assert cached.account("1").exists
    release.set()
    thread.join()


def test_look_that_is_overdue_keeps_nobody_waiting(inner: Scripted, clock: Clock) -> None:
    """What is remembered goes on while a look hangs: at once when the last good one is new, marked stale when not."""
    settings = Settings(epoch_poll=1.0, max_staleness=10.0, store_timeout=0.2)
    cached = CachedStore(inner, settings, clock=clock)
    cached.account("1")
    release = threading.Event()

    def hang(_: str) -> None:
        release.wait(30)

    inner.before_answer = hang
    clock.now += 1
    assert cached.account("1").exists  # it waits for a quarter of the timeout
    assert holds(cached, "account", "1")
    assert not cached.stale
    clock.now += 5
    assert cached.account("1").exists
    assert cached.stale
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        cached.account("2")
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        cached.viewing()
    clock.now += 5
    with pytest.raises(StoreUnavailable, match="too old"):
        cached.account("1")
    release.set()
    eventually(lambda: not cached.stale)
    assert cached.account("2").exists


def test_same_question_waits_no_longer_than_the_timeout(inner: Scripted) -> None:
    """Who waits for another caller's question to a store that hangs is refused, as if asking alone."""
    cached = CachedStore(inner, Settings(store_timeout=0.1))
    cached.epoch()
    started, release = threading.Event(), threading.Event()

    def hang(question: str) -> None:
        if question == "account 1":
            started.set()
            release.wait(30)

    inner.before_answer = hang
    leader = threading.Thread(target=cached.account, args=("1",))
    leader.start()
    assert started.wait(30)
    with pytest.raises(StoreUnavailable, match="another caller's question"):
        cached.account("1")
    release.set()
    leader.join()
    assert cached.account("1").exists


def test_look_that_was_overtaken_is_no_way_back(cached: CachedStore, inner: Scripted) -> None:
    """A look that was on its way while a newer epoch was seen does not bring the older one back."""
    assert cached.account("1").epoch == 1

    def change_meanwhile(question: str) -> None:
        inner.before_answer = lambda _: None
        inner.now = 2
        assert cached.account("2").epoch == 2

    inner.before_answer = change_meanwhile
    cached.refresh()
    assert cached.account("1").epoch == cached.epoch() == 2


def test_failed_question_has_the_store_looked_at(inner: Scripted, clock: Clock) -> None:
    """A store that fails between two looks is found to by the first question, and others need not try."""
    cached = CachedStore(inner, Settings(epoch_poll=1000.0, max_staleness=10_000.0), clock=clock)
    cached.account("1")
    inner.fails = True
    time.sleep(0.5)  # looks are not made more often than that
    with pytest.raises(StoreUnavailable, match="unplugged"):
        cached.account("2")
    eventually(lambda: cached.stale)
    assert cached.account("1").exists


def holds(cached: CachedStore, kind: str, key: object) -> bool:
    """Return whether an answer is at hand."""
    try:
        getattr(cached.cache_only, kind)(key)
    except CacheMiss:
        return False
    return True


def test_what_is_at_hand(cached: CachedStore, inner: Scripted, clock: Clock) -> None:
    """It is what needs no look at the store, and finding that out is no look either."""
    with pytest.raises(CacheMiss):
        cached.cache_only.epoch()
    assert not holds(cached, "account", "1")
    assert inner.asked == []
    cached.account("1")
    cached.principal(ALICE)
    assert holds(cached, "account", "1")
    assert holds(cached, "principal", ALICE)
    assert not holds(cached, "account", "2")
    assert not holds(cached, "resource", "1")
    assert cached.cache_only.epoch() == cached.epoch()
    inner.asked.clear()
    clock.now += 1
    assert not holds(cached, "account", "1")
    with pytest.raises(CacheMiss):
        cached.cache_only.epoch()
    assert inner.asked == []


def test_rooms_are_bounded(cached: CachedStore, inner: Scripted) -> None:
    """A cache has no more entries than `cache_size`, and questions about nothing don't push out the others."""
    cached.account("1")
    inner.unknown = {f"x{number}" for number in range(100)}
    for name in inner.unknown:
        cached.account(name)
    assert holds(cached, "account", "1")
    assert sum(holds(cached, "account", name) for name in inner.unknown) == 2
    for number in range(100):
        cached.account(f"y{number}")
    assert sum(holds(cached, "account", f"y{number}") for number in range(100)) == 20


def test_smallest_cache() -> None:
    """A size of 0 still answers."""
    cached = CachedStore(Scripted(), Settings(cache_size=0))
    assert cached.account("1").exists
    assert set(KINDS) == {"access_key", "api_key", "principal", "account", "resource", "certificate_trust"}


def test_tags_and_session_policies_tell_callers_apart(cached: CachedStore, inner: Scripted) -> None:
    """Callers that differ in tags or session policies never share an entry (S-21, S-41)."""
    cached.principal(ALICE)
    for other in ({"tags": {"a": "b"}}, {"session_policies": ("{}",)}, {"userid": "AIDA"}):
        cached.principal(Principal.from_arn(ALICE.arn, **other))  # type: ignore[arg-type]
    assert inner.questions() == ["principal alice"] * 4


def test_closing(cached: CachedStore, inner: Scripted) -> None:
    """Closing closes the store behind."""
    cached.close()
    assert inner.asked == ["close"]


# --- a decision's records at once ------------------------------------------------------------------------------------


def test_decision_records_are_cached_as_single_answers(cached: CachedStore, inner: Scripted) -> None:
    """One query, after which each of them is known; what is known already is not asked for again."""
    assert cached.account("1").exists
    cached.load_decision(ALICE, ("1", "2"), "arn")
    assert cached.principal(ALICE).exists
    assert cached.account("2").exists
    assert cached.resource("arn").arn == "arn"
    cached.load_decision(ALICE, ("3",), "another")
    assert inner.questions() == ["account 1", "decision alice ['2'] arn"]
    assert {kind: cached.usage()[kind].misses for kind in ("principal", "account", "resource")} == {
        "principal": 1,
        "account": 2,
        "resource": 1,
    }
    assert set(cached.usage()) == set(KINDS)


def test_decision_records_of_newer_epoch_clear_the_cache(cached: CachedStore, inner: Scripted) -> None:
    """All answers are of one epoch (T-9)."""
    assert cached.account("1").epoch == 1
    inner.now = 2
    cached.load_decision(ALICE, (), None)
    assert [cached.principal(ALICE).epoch, cached.account("1").epoch, cached.epoch()] == [2, 2, 2]


def test_decision_records_of_older_epoch_are_not_cached(cached: CachedStore, inner: Scripted) -> None:
    """A write that was seen while they were loaded makes them be loaded again."""

    def write(question: str) -> None:
        if question.startswith("decision"):
            inner.now = 2
            cached.refresh()

    inner.before_answer = write
    cached.load_decision(ALICE, ("1",), "arn")
    assert [cached.principal(ALICE).epoch, cached.account("1").epoch, cached.resource("arn").epoch] == [2, 2, 2]


def test_decision_records_of_unreachable_store_are_unavailable(cached: CachedStore, inner: Scripted) -> None:
    """Nothing is cached, and the next one asks again."""
    assert cached.epoch() == 1
    inner.fails = True
    with pytest.raises(StoreUnavailable):
        cached.load_decision(ALICE, ("1",), "arn")
    inner.fails = False
    cached.load_decision(ALICE, ("1",), "arn")
    assert inner.questions() == ["decision alice ['1'] arn"] * 2
