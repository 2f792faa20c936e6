"""Records: every form of a condition on both kinds of database, with statements that are built once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection

from iam_guard.errors import StoreUnavailable
from iam_guard.store.database import row_statements
from iam_guard.store.database.engine import reading
from iam_guard.store.database.records import PRESENT, Records
from iam_guard.store.schema import accounts, attachments, identities, policies
from iam_guard.store.sql_store import SqlStore

ACCOUNT, OTHER = "111122223333", "444455556666"


@pytest.fixture
def store(empty: SqlStore) -> SqlStore:
    """Users a to e: two have a boundary, two the policy P1, and one is in another account."""
    with empty.write_transaction() as records:
        for account in (ACCOUNT, OTHER):
            records.insert(accounts, id=account, name=account, created=0)
        for id in ("P1", "P2"):
            shared = {"account": ACCOUNT, "path": "/", "description": "", "tags": {}, "created": 0}
            records.insert(policies, id=id, name=id, folded=id.lower(), default_version=1, **shared)
        for name, path, boundary in (
            ("a", "/", None),
            ("b", "/x/", "P1"),
            ("C", "/x/y/", "P2"),
            ("d", "/X/", None),
        ):
            _insert_user(records, ACCOUNT, name, path, boundary)
        _insert_user(records, OTHER, "e", "/x/", None)
        for name in ("a", "C"):
            records.insert(attachments, identity_id=f"ID-{name}", policy_id="P1")
    return empty


def _insert_user(records: Records, account: str, name: str, path: str, boundary: str | None) -> None:
    named = {"id": f"ID-{name}", "account": account, "kind": "user", "path": path, "name": name, "folded": name.lower()}
    records.insert(
        identities, **named, description="", boundary_id=boundary, tags={"n": name}, trust_bindings={}, created=0
    )


def test_wait_for_connection_does_not_block_its_owner(store: SqlStore) -> None:
    """In memory there is one connection: the transaction that has it must be able to end (Python 3.11)."""
    is_waiting, may_continue = threading.Event(), threading.Event()

    def connect() -> Connection:
        is_waiting.set()
        may_continue.wait(timeout=60)
        raise StoreUnavailable("away")

    def wait() -> None:
        with pytest.raises(StoreUnavailable):
            Records(connect, writes=False).one(accounts, id=ACCOUNT)

    with ThreadPoolExecutor(1) as pool, store.write_transaction() as records:
        waiting = pool.submit(wait)
        assert is_waiting.wait(timeout=60)
        assert records.one(accounts, id=ACCOUNT) is not None
        assert not waiting.done()
        may_continue.set()
        waiting.result()


def names(store: SqlStore, **where: Any) -> list[str]:
    with store.read_transaction() as records:
        return [row["name"] for row in records.all(identities, order=("folded",), **where)]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({}, "abCde"),
        ({"account": OTHER}, "e"),
        ({"account": ACCOUNT, "folded": "c"}, "C"),
        ({"name": "c"}, ""),
        ({"created": 0, "path": "/x/"}, "be"),
        ({"boundary_id": None}, "ade"),
        ({"boundary_id": PRESENT}, "bC"),
        ({"boundary_id": PRESENT, "account": OTHER}, ""),
        ({"name": ["a", "e", "z"]}, "ae"),
        ({"name": {"d"}, "account": [ACCOUNT, OTHER]}, "d"),
        ({"name": []}, ""),
        ({"name": "a\0"}, ""),
        ({"name": ["a", "\ud800", "\0"]}, "a"),
    ],
)
def test_each_form_of_a_condition(store: SqlStore, where: dict[str, Any], found: str) -> None:
    """A scalar, None, PRESENT, a collection; unstorable text matches nothing."""
    assert names(store, **where) == list(found)
    with store.read_transaction() as records:
        assert records.count(identities, **where) == len(found)


def test_subqueries_as_conditions(store: SqlStore) -> None:
    """Subqueries can be nested; each value stays with its condition."""
    with store.read_transaction() as records:
        bounding = records.values_of(identities, "boundary_id", account=ACCOUNT, boundary_id=PRESENT)
        by_boundary = records.values_of(attachments, "identity_id", policy_id=bounding)
        only_second = records.values_of(attachments, "identity_id", policy_id=["P2"])
    assert names(store, id=by_boundary) == ["a", "C"]
    assert names(store, account=ACCOUNT, id=by_boundary, path="/x/y/") == ["C"]
    assert names(store, id=only_second, account=ACCOUNT) == []


@pytest.mark.parametrize(
    ("after", "limit", "path_prefix", "found"),
    [
        (None, 2, None, "ab"),
        (("b",), 2, None, "Cd"),
        (("b",), 9, "/x/", "C"),
        (None, 9, "/", "abCd"),
        (None, 9, "/x/", "bC"),
        (None, 9, "/\0", ""),
        (("\0",), 1, "", "a"),
    ],
)
def test_page_starts_after_the_last_row(
    store: SqlStore, after: Sequence[str] | None, limit: int, path_prefix: str | None, found: str
) -> None:
    """Up to `limit` rows, below a path, compared byte by byte."""
    with store.read_transaction() as records:
        rows = records.page(
            identities,
            order=("folded",),
            after=after,
            limit=limit,
            path_prefix=path_prefix,
            account=ACCOUNT,
        )
    assert [row["name"] for row in rows] == list(found)


def test_counts_by_value(store: SqlStore) -> None:
    """A value without rows is left out."""
    with store.read_transaction() as records:
        assert records.counts(identities, "account") == {ACCOUNT: 4, OTHER: 1}
        assert records.counts(identities, "account", boundary_id=PRESENT) == {ACCOUNT: 2}


def test_changes_return_the_number_of_rows(store: SqlStore) -> None:
    """A column can also be a condition of its own update, and be set to NULL."""
    with store.write_transaction() as records:
        assert records.update(identities, {"path": "/z/", "boundary_id": None, "tags": {}}, path="/x/") == 2
        assert records.update(identities, {"path": "/"}, name="nobody") == 0
        assert records.delete(attachments, policy_id="P1", identity_id=["ID-a"]) == 1
    with store.read_transaction() as records:
        changed = records.one(identities, folded="b")
        assert changed is not None
        assert (changed["path"], changed["boundary_id"], changed["tags"]) == ("/z/", None, {})
        assert records.count(attachments) == 1


def test_statement_is_built_once_for_each_form(store: SqlStore) -> None:
    """Other values make no other statement, so the cache does not grow with requests."""
    names(store, name="a", path="/")
    before = row_statements.selected.cache_info()
    for number in range(20):
        names(store, name=f"user{number}", path=f"/{number}/")
    after = row_statements.selected.cache_info()
    assert (after.misses, after.hits) == (before.misses, before.hits + 20)


def test_cached_row_is_read_again_after_a_change(store: SqlStore) -> None:
    """A row is read once in a transaction, but again after a change."""
    with store.write_transaction() as records:
        before = records.one(identities, folded="a")
        assert records.one(identities, folded="a") is before
        records.update(identities, {"path": "/new/"}, folded="a")
        after = records.one(identities, folded="a")
        assert after is not None
        assert after["path"] == "/new/"
        records.delete(attachments, identity_id="ID-a")
        records.delete(identities, folded="a")
        assert records.one(identities, folded="a") is None
        _insert_user(records, ACCOUNT, "A", "/", None)
        assert records.one(identities, folded="a") is not None


def test_read_transaction_refuses_changes(store: SqlStore) -> None:
    """Under `python -O` too, without assert statements."""
    with reading(store.engine) as connection, pytest.raises(RuntimeError, match="opened for writing"):
        Records(lambda: connection, writes=False).delete(accounts, id=ACCOUNT)
