"""A server that goes away and comes back: what becomes of questions and decisions meanwhile (static stability)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from iam_guard import Guard, Principal
from iam_guard.audit.sinks import ListSink
from iam_guard.audit.trail import Trail
from iam_guard.errors import StoreUnavailable
from iam_guard.settings import Settings
from iam_guard.store.cached_store import CachedStore
from iam_guard.store.engine import bump_epoch, writing
from iam_guard.store.open_store import open_database, open_store
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
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


def test_idle_connections_that_were_cut_are_not_noticed(server: Server, postgresql: str, store: SqlStore) -> None:
    """After a restart of the server, the first question is answered over a new connection."""
    epoch = store.epoch()
    assert server.cut(postgresql) > 0
    assert store.epoch() == epoch


def test_cut_while_reading(server: Server, postgresql: str, store: SqlStore) -> None:
    """Who was just reading hears that the store is unavailable, without a word of the server; then all is well."""

    def read_and_be_cut() -> None:
        with store.at_once():
            assert store.account(ACME).exists
            server.cut(postgresql)
            store.account(ACME)

    with pytest.raises(StoreUnavailable, match=r"the store cannot be used: [A-Za-z]+$"):
        read_and_be_cut()
    assert store.account(ACME).exists


def test_cut_while_writing(server: Server, postgresql: str, store: SqlStore) -> None:
    """A write that was cut off leaves nothing behind, and the next one is made."""

    def write_and_be_cut() -> None:
        with writing(store.engine) as connection:
            bump_epoch(connection)
            server.cut(postgresql)

    epoch = store.epoch()
    with pytest.raises(StoreUnavailable):
        write_and_be_cut()
    assert store.epoch() == epoch
    with writing(store.engine) as connection:
        assert bump_epoch(connection) == epoch + 1


def test_decisions_while_the_server_is_away(
    server: Server, postgresql: str, store: SqlStore, settings: Settings
) -> None:
    """What is remembered goes on deciding, marked as stale; what is not is denied; afterwards all is as before."""
    with closing(Guard(CachedStore(store, settings), Trail(ListSink()), settings)) as guard:
        assert guard.decide(ALICE, "docs:GetDocument", NOTES).allowed
        server.refuse(postgresql)
        try:
            bridged, unknown = (guard.decide(each, "docs:GetDocument", NOTES) for each in (ALICE, BOB))
            with pytest.raises(StoreUnavailable):
                store.epoch()
            with pytest.raises(StoreUnavailable):
                open_store(postgresql, settings)
        finally:
            server.accept(postgresql)
        assert (bridged.allowed, bridged.stale) == (True, True)
        assert (unknown.allowed, unknown.stale, unknown.error is None) == (False, True, False)
        eventually(lambda: guard.decide(BOB, "docs:GetDocument", NOTES).error is None)
        again = guard.decide(ALICE, "docs:GetDocument", NOTES)
        assert (again.allowed, again.stale) == (True, False)
        assert guard.decide(BOB, "docs:GetDocument", NOTES).error is None
