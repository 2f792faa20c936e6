"""A server that is unreachable for a while: queries and decisions meanwhile (static stability)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from iam_guard import Guard, Principal
from iam_guard.audit.trail import Trail
from iam_guard.errors import StoreUnavailable
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.cache.change_feed import record_change
from iam_guard.store.database.engine import writing
from iam_guard.store.opening import open_database, open_store
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.audit.list_sink import ListSink
from tests.audit.pipelines import eventually
from tests.store.databases import Server

ACME = "111122223333"
ALICE = Principal.from_arn(f"arn:aws:iam::{ACME}:user/staff/alice")
BOB = Principal.from_arn(f"arn:aws:iam::{ACME}:user/bob")
NOTES = f"arn:aws:docs:us-east-1:{ACME}:document/notes"


@pytest.fixture
def store(postgresql: str, settings: Settings, seed_text: str) -> Iterator[SqlStore]:
    store = open_database(postgresql, settings)
    apply_seed(store, load_seed_text(seed_text))
    yield store
    store.close()


def test_terminated_idle_connections_are_replaced(server: Server, postgresql: str, store: SqlStore) -> None:
    """After a restart of the server, the first query uses a new connection."""
    epoch = store.epoch()
    assert server.cut(postgresql) > 0
    assert store.epoch() == epoch


def test_read_cut_off_is_unavailable_without_server_text(server: Server, postgresql: str, store: SqlStore) -> None:
    """The error has no text of the server; the next query works."""

    def read_and_be_cut() -> None:
        with store.at_once():
            assert store.account(ACME).exists
            server.cut(postgresql)
            store.account(ACME)

    with pytest.raises(StoreUnavailable, match=r"the store cannot be used: [A-Za-z]+$"):
        read_and_be_cut()
    assert store.account(ACME).exists


def test_write_cut_off_changes_nothing(server: Server, postgresql: str, store: SqlStore) -> None:
    """A write that was cut off is rolled back, and the next one works."""

    def write_and_be_cut() -> None:
        with writing(store.engine) as connection:
            record_change(connection, ())
            server.cut(postgresql)

    epoch = store.epoch()
    with pytest.raises(StoreUnavailable):
        write_and_be_cut()
    assert store.epoch() == epoch
    with writing(store.engine) as connection:
        assert record_change(connection, ()).after.epoch == epoch + 1


def test_unreachable_server_is_bridged_by_cached_decisions(
    server: Server, postgresql: str, store: SqlStore, settings: Settings
) -> None:
    """Cached callers are decided, marked as stale; others are denied; afterwards the store recovers."""
    with closing(Guard(CachedStore(store, settings), Trail(ListSink()), settings)) as guard:
        assert guard.decide(ALICE, "docs:GetDocument", NOTES).allowed
        server.refuse(postgresql)
        try:
            cached, unknown = (guard.decide(caller, "docs:GetDocument", NOTES) for caller in (ALICE, BOB))
            with pytest.raises(StoreUnavailable):
                store.epoch()
            with pytest.raises(StoreUnavailable):
                open_store(postgresql, settings)
        finally:
            server.accept(postgresql)
        assert (cached.allowed, cached.stale) == (True, True)
        assert (unknown.allowed, unknown.stale, unknown.error is None) == (False, True, False)
        eventually(lambda: guard.decide(BOB, "docs:GetDocument", NOTES).error is None)
        again = guard.decide(ALICE, "docs:GetDocument", NOTES)
        assert (again.allowed, again.stale) == (True, False)
        assert guard.decide(BOB, "docs:GetDocument", NOTES).error is None
