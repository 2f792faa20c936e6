"""Which resources have a record is known, and never wrong about one that has (rule T-9)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.errors import CacheMiss, StoreUnavailable
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.cache.change_feed import ChangesSince, State, Step
from iam_guard.store.cache.followed_changes import FollowedChanges
from iam_guard.store.cache.generations import are_current
from iam_guard.store.policies import stored_arns
from iam_guard.store.policies.arn_loader import ArnLoader
from iam_guard.store.policies.resource_policies import ResourcePolicies
from iam_guard.store.policies.stored_arns import ArnFilter, StoredArns
from iam_guard.store.protocol import ArnsPage, ResourceRecord
from iam_guard.store.schema import accounts, changes, resources
from iam_guard.store.sql_store import SqlStore
from tests.audit.pipelines import eventually

ACME = "111122223333"
POLICY = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Deny", "Principal": "*", "Action": "docs:Get", "Resource": "*"},
}


def arn(number: int) -> str:
    return f"arn:aws:docs:us-east-1:{ACME}:document/{number}"


def put(store: Any, *numbers: int) -> None:
    """Insert resources with one change."""
    with store.write_transaction() as records:
        for number in numbers:
            records.insert(resources, arn=arn(number), account=ACME, tags={"n": str(number)}, bindings={})


class Queries:
    """A store proxy that records which resources are queried, and can act before a page of ARNs is returned."""

    def __init__(self, inner: SqlStore) -> None:
        self.inner = inner
        self.queried: list[str] = []
        self.pages = 0
        self.after_page: Callable[[], None] = lambda: None
        self.before_page: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def resource(self, arn: str) -> ResourceRecord:
        self.queried.append(arn)
        return self.inner.resource(arn)

    def resource_arns(self, since: State, after: str | None, limit: int) -> ArnsPage:
        self.pages += 1
        self.before_page()
        page = self.inner.resource_arns(since, after, limit)
        self.after_page()
        return page


@pytest.fixture
def queries(empty: SqlStore) -> Queries:
    with empty.write_transaction() as records:
        records.insert(accounts, id=ACME, name="acme", created=0)
    return Queries(empty)


@pytest.fixture
def cached(queries: Queries) -> Iterator[CachedStore]:
    store = CachedStore(queries, Settings(epoch_poll=1e9, cache_size=2_000))  # type: ignore[arg-type]
    yield store
    store.close()


def is_known_absent(store: CachedStore, number: int) -> bool:
    return store._arns.absent_for(arn(number)) is not None


def test_resources_without_record_share_one(cached: CachedStore, queries: Queries) -> None:
    """The first query loads all ARNs; the others take none, in any thread."""
    put(queries, 1)
    cached.state()
    absent = cached.resource(arn(2))
    assert (absent.account, absent.tags, absent.policy) == (None, {}, None)
    assert cached.resource(arn(3)) is cached.cache_only.resource(arn(4))
    assert cached.resource(arn(1)).tags == {"n": "1"}
    assert cached.cache_only.resource(arn(1)).tags == {"n": "1"}
    assert (queries.queried, queries.pages) == ([arn(1)], 1)


def test_second_poll_loads_the_arns(cached: CachedStore, queries: Queries) -> None:
    """If a resource was requested: a short process needs none, nor one that has only principals."""
    cached.refresh()
    cached.refresh()
    assert queries.pages == 0
    cached._regions["resource"].misses += 1
    cached.refresh()
    assert is_known_absent(cached, 1)
    assert queries.pages == 1


def test_new_resource_is_known_with_its_change(cached: CachedStore, queries: Queries) -> None:
    """By a change through this store or by another process; and the generation of the shared record ends."""
    cached.state()
    absent = cached.resource(arn(1))
    cached.resource(arn(9))
    held = cached.resource(arn(1)).generations
    put(cached, 1)
    assert not are_current(held)
    assert cached.resource(arn(1)).account == ACME
    put(queries, 2)
    assert is_known_absent(cached, 2)
    cached.refresh()
    with pytest.raises(CacheMiss):
        cached.cache_only.resource(arn(2))
    assert cached.resource(arn(2)).account == ACME
    assert cached.resource(arn(3)).account is absent.account is None
    assert queries.pages == 1


def test_many_resources_with_record_stay_cached(cached: CachedStore, queries: Queries) -> None:
    """A cycle of 1,100 resources with records queries each once; those without record take no room."""
    put(queries, *range(1_100))
    cached.state()
    for _ in range(2):
        for number in range(1_100):
            assert cached.resource(arn(number)).account == ACME
        for number in range(1_100, 21_100):
            assert cached.resource(arn(number)).account is None
    assert len(queries.queried) == 1_100
    assert cached.usage()["resource"].entries == 1_100


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("is_followed", [True, False])
def test_change_while_arns_are_loaded_is_not_lost(
    cached: CachedStore, queries: Queries, when: str, is_followed: bool
) -> None:
    """A resource that is created or deleted between the state and the page, or before the page is used."""
    put(queries, 1)
    cached.state()

    def change() -> None:
        queries.before_page = queries.after_page = lambda: None
        put(queries, 2)
        with queries.write_transaction() as records:
            records.delete(resources, arn=arn(1))
        if is_followed:
            cached.refresh()

    if when == "before":
        queries.before_page = change
    else:
        queries.after_page = change
    state = cached.state()
    cached.resource(arn(3))
    assert cached.is_at(state) == (not is_followed)
    assert is_known_absent(cached, 3)
    assert not is_known_absent(cached, 1)  # it has a record at the state that was known
    assert not (is_known_absent(cached, 2) and is_followed)
    cached.refresh()
    assert cached.resource(arn(2)).account == ACME


@pytest.mark.parametrize("meanwhile", ["everything", "gap"])
def test_arns_are_dropped_with_everything(cached: CachedStore, queries: Queries, meanwhile: str) -> None:
    """Also those that are being loaded; the poll that drops them loads them again, at the new state."""
    cached.state()

    def drop() -> None:
        queries.after_page = lambda: None
        put(queries, 1)
        with queries.write_transaction() as records:
            if meanwhile == "gap":
                records.delete(changes)
            records.update(accounts, {"id": ACME}, id=ACME)
            records.insert(accounts, id="222233334444", name="other", created=0)
            records.delete(accounts, id="222233334444")
        cached.refresh()

    queries.after_page = drop
    cached.resource(arn(3))
    assert (is_known_absent(cached, 3), is_known_absent(cached, 1)) == (True, False)
    assert queries.pages == 2
    with queries.write_transaction() as records:
        records.insert(accounts, id="333344445555", name="third", created=0)
        records.delete(accounts, id="333344445555")
    queries.before_page = fail
    cached.refresh()
    assert not is_known_absent(cached, 3)


def fail() -> None:
    raise StoreUnavailable("unplugged")


def test_page_of_unreachable_store_changes_nothing(cached: CachedStore, queries: Queries) -> None:
    """Each ARN is looked up, until the next state or until the store is reachable again."""
    cached.state()
    queries.before_page = fail
    assert cached.resource(arn(1)).account is None
    assert cached.resource(arn(2)).account is None
    assert (queries.queried, queries.pages) == ([arn(1), arn(2)], 1)
    queries.before_page = lambda: None
    put(cached, 7)
    cached.resource(arn(3))
    assert (is_known_absent(cached, 1), queries.pages) == (True, 2)


def test_large_store_is_loaded_by_a_thread(
    cached: CachedStore, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page into a filter, with changes meanwhile; no caller waits for it."""
    monkeypatch.setattr("iam_guard.store.policies.arn_loader.MAX_EXACT", 20)
    monkeypatch.setattr("iam_guard.store.policies.arn_loader._PAGE", 7)
    monkeypatch.setattr(stored_arns, "MAX_EXACT", 20)
    put(queries, *range(100))
    cached.state()
    go_on = threading.Event()

    def wait() -> None:
        if queries.pages == 3:
            assert go_on.wait(60)

    queries.before_page = wait
    assert cached.resource(arn(200)).account is None
    assert not is_known_absent(cached, 201)
    put(cached, 201)
    put(queries, 202)
    go_on.set()
    eventually(lambda: is_known_absent(cached, 300))
    assert isinstance(cached._arns.may_have, ArnFilter)
    cached.refresh()
    assert [number for number in (*range(100), 201, 202) if is_known_absent(cached, number)] == []
    assert sum(is_known_absent(cached, number) for number in range(1_000, 2_000)) > 990


def test_too_many_arns_are_not_kept(cached: CachedStore, queries: Queries, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then each ARN is looked up, and no page is read again."""
    monkeypatch.setattr(stored_arns, "MAX_FILTERED", 5)
    put(queries, *range(6))
    cached.state()
    for number in range(10):
        assert cached.resource(arn(number)).account == (ACME if number < 6 else None)
    put(cached, 50)
    cached.resource(arn(11))
    assert queries.pages == 1


def test_added_arns_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """After many changes the ARNs are dropped, to be loaded again without those that were deleted."""
    monkeypatch.setattr(stored_arns, "MAX_EXACT", 5)
    arns = StoredArns()
    load = arns.begin(State(1, "a"))
    assert load is not None
    arns.finish(load)
    for number in range(10):
        arns.add([f"resource:{number}"])
        assert arns.absent_for("other") is not None
    arns.add(["resource:10"])
    assert arns.absent_for("other") is None
    assert arns.is_wanted(State(2, "b"))


def test_deny_of_a_new_policy_counts(cached: CachedStore) -> None:
    """A resource-based policy that is put through the cache is found by the next look-up."""
    cached.state()
    assert cached.resource(arn(1)).policy is None
    assert cached.resource(arn(2)).policy is None
    ResourcePolicies(cached).put(arn(1), POLICY)
    assert cached.resource(arn(1)).policy is not None
    ResourcePolicies(cached).delete(arn(1))
    assert cached.resource(arn(1)).policy is None


@given(st.lists(st.text(), max_size=200))
@settings(max_examples=30, deadline=None)
def test_filter_has_all_its_arns(arns: list[str]) -> None:
    """A filter is never wrong about an ARN that was added."""
    found = ArnFilter()
    found.update(arns)
    assert all(arn in found for arn in arns)


# --- law: histories, a cache, and pages in any order -----------------------------------------------------------------


class Histories:
    """Stores with a common past: a primary, and replicas that may become the primary. The feed is always complete.

    A history is a list of states; each has the numbers of the resources with a record, and the change that led to it.
    """

    def __init__(self) -> None:
        self.marks = 0
        self.line = [(State(0, "0"), frozenset({0, 1}), frozenset[str]())]
        self.records: dict[State, frozenset[int]] = {State(0, "0"): frozenset({0, 1})}

    def change(self, number: int) -> None:
        """Create the resource, or delete it."""
        self.marks += 1
        state = State(self.line[-1][0].epoch + 1, f"{self.marks}")
        self.line.append((state, self.line[-1][1] ^ {number}, frozenset({f"resource:{arn(number)}", "account:1"})))
        self.records[state] = self.line[-1][1]

    def everything(self) -> None:
        """Change everything: all records are deleted, and those of 0 to 2 are created."""
        self.marks += 1
        state = State(self.line[-1][0].epoch + 1, f"{self.marks}")
        self.line.append((state, frozenset({0, 1, 2}), frozenset({"*"})))
        self.records[state] = self.line[-1][1]

    def lose(self, count: int) -> None:
        """Fail over to a replica that lacks the last changes."""
        del self.line[max(1, len(self.line) - count) :]

    def changes(self, since: State | None) -> ChangesSince:
        present = self.line[-1][0]
        states = [state for state, _, _ in self.line]
        if since is None:
            return ChangesSince(present, None, "first")
        if since not in states:
            return ChangesSince(present, None, "history")
        names = frozenset[str]().union(*(names for _, _, names in self.line[states.index(since) + 1 :]))
        return ChangesSince(present, None if "*" in names else names, "change" if "*" in names else None)

    def resource_arns(self, since: State, after: str | None, limit: int) -> ArnsPage:
        arns = sorted(arn(number) for number in self.line[-1][1])
        return ArnsPage(self.changes(since), [arn for arn in arns if after is None or arn > after][:limit])


ACTIONS = st.tuples(
    st.sampled_from(
        ["change"] * 4
        + ["own"] * 3
        + ["poll"] * 3
        + ["begin poll", "lose", "everything"]
        + ["begin"] * 3
        + ["page"] * 5
    ),
    st.integers(0, 5),
)


@settings(max_examples=300, deadline=None)
@given(actions=st.lists(ACTIONS, min_size=5, max_size=60), max_exact=st.sampled_from([2, 100]))
def test_no_record_is_never_wrong(actions: list[tuple[str, int]], max_exact: int) -> None:
    """Whatever is not among the ARNs has no record at the state of the cache: with changes, polls that are late, and
    fail-overs between any two pages."""
    histories, lock = Histories(), threading.Lock()
    followed = FollowedChanges(())
    meanwhile: list[int] = []

    def read(since: State, after: str | None, limit: int) -> ArnsPage:
        """Read a page; before it is used, something or everything may change, and the cache may follow that."""
        page = histories.resource_arns(since, after, limit)
        while meanwhile:
            number = meanwhile.pop()
            histories.change(number) if number else histories.everything()
            followed.follow(histories.changes(followed.state))
        return page

    loader = ArnLoader(followed, lock, read)
    followed.follow(histories.changes(None))
    load, poll = None, None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_arns, "MAX_EXACT", max_exact)
        for action, number in actions:
            match action:
                case "change":
                    histories.change(number)
                case "own":
                    before = histories.line[-1][0]
                    histories.change(number)
                    followed.follow_step(Step(before, histories.line[-1][0]), histories.line[-1][2])
                case "everything":
                    histories.everything()
                case "lose":
                    histories.lose(number % 3 + 1)
                case "meanwhile":
                    meanwhile.append(number)
                case "begin poll":
                    poll = followed.state, histories.changes(followed.state)
                case "poll":
                    known, found = poll or (followed.state, histories.changes(followed.state))
                    poll, now = None, followed.state
                    assert now is not None
                    if now is known or found.state.epoch > now.epoch:  # as `CachedStore._poll`
                        followed.follow(found)
                case "begin":
                    load = followed.arns.begin(followed.state) or load
                case "page" if load is not None and followed.arns.is_loading(load):
                    loader.read_page(load, 1 + number * 2)
            assert followed.state is not None
            for recorded in histories.records[followed.state]:
                assert followed.arns.absent_for(arn(recorded)) is None, (action, recorded)
