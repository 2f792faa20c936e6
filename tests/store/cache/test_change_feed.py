"""The change feed in both databases: what a process reads from it, and when everything is invalid (T-9)."""

from __future__ import annotations

import gc
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import psycopg
import pytest
from sqlalchemy import make_url, text

from iam_guard.settings import Settings
from iam_guard.store.cache import change_feed
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.cache.change_feed import ChangesSince, State
from iam_guard.store.database.engine import writing
from iam_guard.store.opening import open_database
from iam_guard.store.schema import access_keys, accounts, api_keys, changes, identities, meta
from iam_guard.store.sql_store import SqlStore, access_key_context
from tests.audit.pipelines import eventually
from tests.tables import table

Open = Callable[[str], SqlStore]


@pytest.fixture
def change(empty: SqlStore) -> Callable[[str], State]:
    """Return a function that creates an account in a transaction, and returns the state after it."""

    def create(account_id: str) -> State:
        with empty.write_transaction() as records:
            records.insert(accounts, id=account_id, name="new", created=0)
        assert records.step is not None
        return records.step.after

    return create


def named(*account_ids: str) -> frozenset[str]:
    return frozenset(name for id in account_ids for name in (f"account:{id}", f"callers:{id}"))


def test_changes_since_a_state_are_named(empty: SqlStore, change: Callable[[str], State]) -> None:
    """Each transaction adds its names; a transaction that changes nothing adds none."""
    began = empty.changes(None)
    assert (began.names, began.reason, began.committed) == (None, "first", None)
    assert empty.changes(began.state) == ChangesSince(began.state)
    first, second = change("111111111111"), change("222222222222")
    with empty.write_transaction() as records:
        assert not records.update(accounts, {"name": "x"}, id="333333333333")
        records.changed = False
    assert (first.epoch, second.epoch) == (began.state.epoch + 1, began.state.epoch + 2)
    found = empty.changes(began.state)
    assert (found.state, found.names, found.reason) == (second, named("111111111111", "222222222222"), None)
    assert found.committed == pytest.approx(time.time(), abs=3600)
    assert empty.changes(first).names == named("222222222222")


def test_transaction_knows_the_state_before_it(empty: SqlStore, change: Callable[[str], State]) -> None:
    """So that a process follows its own change only if it has followed all earlier ones."""
    first = change("111111111111")
    with empty.write_transaction() as records:
        records.insert(accounts, id="222222222222", name="new", created=0)
    assert records.step is not None
    assert records.step.before == first
    assert records.step.after == empty.changes(None).state


def test_missing_rows_invalidate_everything(empty: SqlStore, change: Callable[[str], State]) -> None:
    """A version without the feed may write to the store as well."""
    before = change("111111111111")
    with writing(empty.engine) as connection:
        connection.execute(meta.update().values(epoch=meta.c.epoch + 1))
    for _ in range(2):
        found = empty.changes(before)
        assert (found.names, found.reason) == (None, "gap")
    lost = found.state
    assert lost.mark is None
    change("222222222222")
    assert empty.changes(before).reason == empty.changes(lost).reason == "gap"


def test_feed_is_trimmed(empty: SqlStore, change: Callable[[str], State], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is further behind invalidates everything."""
    monkeypatch.setattr(change_feed, "KEPT", 3)
    monkeypatch.setattr(change_feed, "_TRIM_EVERY", 1)
    states = [change(f"{number:012}") for number in range(6)]
    with empty.read_transaction() as records:
        assert [row["epoch"] for row in records.all(changes, order=("epoch",))] == [state.epoch for state in states[3:]]
    assert [empty.changes(state).reason for state in states] == ["gap"] * 3 + [None] * 3


def test_other_history_invalidates_everything(empty: SqlStore, change: Callable[[str], State]) -> None:
    """A restored backup, or a replica that is behind: before, at and after the known epoch."""
    first, known = change("111111111111"), change("222222222222")
    with writing(empty.engine) as connection:
        connection.execute(changes.delete().where(changes.c.epoch == known.epoch))
        connection.execute(meta.update().values(epoch=first.epoch))
    assert empty.changes(known)[:3] == (first, None, "history")
    assert empty.changes(first).names == frozenset()
    other = change("333333333333")
    assert other.epoch == known.epoch
    assert empty.changes(known).reason == "history"
    change("444444444444")
    assert empty.changes(known).reason == "history"
    assert empty.changes(other).names == named("444444444444")


@table("names", ["account:1", {"account:1": 1}, ["account:1", None], [["account:1"]], None, 7])
def test_names_of_an_unknown_form_invalidate_everything(
    empty: SqlStore, change: Callable[[str], State], names: object
) -> None:
    """They may name anything: no row of the feed is ignored."""
    known = change(secrets.token_hex(6))
    change(secrets.token_hex(6))
    with writing(empty.engine) as connection:
        connection.execute(changes.update().where(changes.c.epoch > known.epoch).values(names=names))
    found = empty.changes(known)
    assert (found.names, found.reason) == (None, "change")


def test_rows_after_the_present_epoch_fill_no_gap(empty: SqlStore, change: Callable[[str], State]) -> None:
    """A missing row counts, even if the feed has as many rows as there were changes."""
    known = change("111111111111")
    second = change("222222222222")
    with writing(empty.engine) as connection:
        connection.execute(changes.update().where(changes.c.epoch == second.epoch).values(epoch=second.epoch + 1))
    found = empty.changes(known)
    assert (found.names, found.reason) == (None, "gap")


@table("kind", ["access_key", "api_key"])
def test_key_of_a_lost_change_is_not_kept(empty: SqlStore, change: Callable[[str], State], kind: str) -> None:
    """A process that has loaded it before it read the change follows the feed of the restored backup without a gap."""
    account = f"{secrets.randbelow(10**12):012}"
    change(account)
    cached = CachedStore(empty, Settings(), clock=lambda: 0.0)
    known = cached.state()
    with empty.write_transaction() as records:
        user = f"AIDA{account}"
        shared = {"account": account, "created": 0}
        named = {"kind": "user", "path": "/", "name": "a", "folded": "a", "description": ""}
        records.insert(identities, id=user, **named, **shared, tags={}, trust_bindings={})
        sealed = empty.sealer.seal(b"secret", access_key_context(account))
        records.insert(access_keys, id=account, user_id=user, sealed=sealed, status="Active", **shared)
        records.insert(api_keys, id=account, identity_id=user, digest=b"", status="Active", created=0)
    load = getattr(cached, kind)
    assert load(account) is not None
    with writing(empty.engine) as connection:
        connection.execute(identities.delete().where(identities.c.id == user))
        connection.execute(changes.delete().where(changes.c.epoch > known.epoch))
        connection.execute(meta.update().values(epoch=known.epoch))
    cached.refresh()
    assert cached.epoch() == known.epoch
    assert load(account) is None
    cached._poller.close(1.0)


@pytest.fixture
def open_store(settings: Settings) -> Iterator[Open]:
    stores: list[SqlStore] = []

    def opened(url: str) -> SqlStore:
        stores.append(open_database(url, settings))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def listening(postgresql: str, open_store: Open) -> Iterator[CachedStore]:
    """Return a cache that polls once a day, and is notified."""
    cached = CachedStore(open_store(postgresql), Settings(epoch_poll=0.01, max_staleness=200_000, store_timeout=20.0))
    eventually(lambda: cached.epoch() > 0 and cached.feed_usage().is_notified)
    cached._poll_every = 86_400.0
    cached.refresh()
    yield cached
    cached.close()
    eventually(lambda: not is_running("iam-guard-changes"))


def is_running(name: str) -> bool:
    return any(thread.name == name for thread in threading.enumerate())


def test_notified_process_sees_a_change_without_a_poll(
    listening: CachedStore, postgresql: str, open_store: Open
) -> None:
    assert not listening.account("111111111111").exists
    with open_store(postgresql).write_transaction() as records:
        records.insert(accounts, id="111111111111", name="new", created=0)
    eventually(lambda: listening.account("111111111111").exists)
    usage = listening.feed_usage()
    assert usage.followed >= 1
    assert usage.cleared == {}
    assert usage.lag is not None


def test_burst_of_changes_is_notified_once_in_an_interval(
    listening: CachedStore, postgresql: str, open_store: Open
) -> None:
    """The last change of a burst is used too, although a notification of its own may be missing."""
    store = open_store(postgresql)
    dsn = make_url(postgresql).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"LISTEN {change_feed.CHANNEL}")
        before = store.epoch()
        for number in range(60):
            with store.write_transaction() as records:
                records.insert(accounts, id=f"{number:012}", name="new", created=0)
        eventually(lambda: listening.account("000000000059").exists)
        received = sum(1 for _ in connection.notifies(timeout=0.5))
    with store.read_transaction() as records:
        rows = sorted(records.all(changes), key=lambda row: row["epoch"])
    intervals = [row["time"] // change_feed.NOTIFY_MILLISECONDS for row in rows if row["epoch"] >= before]
    assert received == sum(later != earlier for earlier, later in pairwise(intervals))


def test_listener_connects_again(
    listening: CachedStore, postgresql: str, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the store is polled, after its connection was closed by the server."""
    monkeypatch.setattr("iam_guard.store.cache.change_listener.RETRY_SECONDS", 0.05)
    listening._poll_every = 0.05
    listening.refresh()
    store = open_store(postgresql)
    others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    with writing(store.engine) as connection:
        found = connection.execute(text(f"SELECT pg_terminate_backend(pid) {others}")).scalars().all()
    assert True in found  # one of the pool may have ended by itself since it was listed
    with store.write_transaction() as records:
        records.insert(accounts, id="111111111111", name="new", created=0)
    eventually(lambda: listening.account("111111111111").exists)
    eventually(lambda: listening.epoch() > 0 and listening.feed_usage().is_notified)


def test_cache_without_owner_leaves_no_listener(postgresql: str, open_store: Open) -> None:
    caches = [CachedStore(open_store(postgresql), Settings(epoch_poll=0.01))]
    eventually(lambda: caches[0].epoch() > 0 and caches[0].feed_usage().is_notified)
    caches.clear()
    eventually(lambda: gc.collect() >= 0 and not is_running("iam-guard-changes"))
