"""Deletion of an account: every row of it and no other, in bounded transactions, whatever interrupts it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import select

from iam_guard import Guard, Principal
from iam_guard.errors import AccountStateConflict, EntityAlreadyExists, InvalidInput, NoSuchEntity
from iam_guard.factory import guard_with_store
from iam_guard.model.account import AccountState
from iam_guard.model.request import Resource
from iam_guard.settings import Settings
from iam_guard.store.cache.change_feed import EVERYTHING
from iam_guard.store.cache.invalidation import MAX_NAMES
from iam_guard.store.database.engine import reading, writing
from iam_guard.store.opening import open_database
from iam_guard.store.schema import accounts, changes, deleted_accounts, identities, organizations, resources
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.store.databases import SEALING_KEY, start
from tests.store.owned_rows import OWNED, insert_rows, rows_of

ACME, GLOBEX = "111122223333", "444455556666"
_EMPTY: dict[str, Any] = {"description": "", "tags": {}, "trust_bindings": {}, "created": 0}
DELETER = """
import sys
from iam_guard.factory import guard_with_store
from iam_guard.settings import load_settings
from iam_guard.store.opening import open_database
guard = guard_with_store(open_database(sys.argv[1], load_settings()), load_settings())
def progress(rows):
    print(rows, flush=True)
    if sys.argv[3] == "step":
        sys.stdin.readline()
guard.accounts.delete(sys.argv[2], batch=7, progress=progress)
print("done", flush=True)
guard.close()
"""


@contextmanager
def opened(url: str) -> Iterator[tuple[Guard, SqlStore]]:
    settings = Settings(epoch_poll=0.0, sealing_keys=(SEALING_KEY,))
    store = open_database(url, settings)
    guard = guard_with_store(store, settings)
    try:
        yield guard, store
    finally:
        guard.close()


def many_users(store: SqlStore, account: str, count: int) -> None:
    """Store an account with users who have API keys and memberships, resources, and a policy."""
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:*", "Resource": "*"}]}
    seed = {
        "id": account,
        "name": f"tenant-{account}",
        "policies": [{"name": "All", "document": allowed}],
        "groups": [{"name": "staff", "attached": ["All"]}],
        "users": [
            {
                "name": f"user{number}",
                "groups": ["staff"],
                "boundary": "All",
                "api_keys": [{"id": f"key{account}{number}", "digest": f"{number:064x}"}],
            }
            for number in range(count)
        ],
        "resources": [{"arn": f"arn:aws:docs:us-east-1:{account}:document/{n}", "tags": {}} for n in range(count)],
    }
    apply_seed(store, load_seed_text(json.dumps({"version": 1, "accounts": [seed]})))


def test_every_row_of_the_account_is_deleted_and_no_other(database: str) -> None:
    """In each table of the schema that has rows of accounts, found by its columns and foreign keys."""
    with opened(database) as (guard, store):
        with writing(store.engine) as connection:
            insert_rows(connection, ACME)
            insert_rows(connection, GLOBEX)
        with reading(store.engine) as connection:
            before = {account: rows_of(connection, account) for account in (ACME, GLOBEX)}
        assert before[ACME].keys() == {table.name for table in OWNED}
        guard.refresh()
        guard.accounts.close(ACME)
        guard.accounts.delete(ACME, batch=3)
        with reading(store.engine) as connection:
            assert rows_of(connection, ACME) == {}
            assert rows_of(connection, GLOBEX) == before[GLOBEX]
            assert connection.execute(select(deleted_accounts.c.id)).scalars().all() == [ACME]


def test_transactions_of_a_deletion_are_bounded(database: str) -> None:
    """No more rows than the batch, and no more names than a change may have: never everything."""
    with opened(database) as (guard, store):
        many_users(store, ACME, 260)
        guard.refresh()
        guard.accounts.close(ACME)
        begun, found = store.epoch(), list[int]()
        guard.accounts.delete(ACME, batch=250, progress=found.append)
        with reading(store.engine) as connection:
            names = connection.execute(select(changes.c.names).where(changes.c.epoch > begun)).scalars().all()
        assert max(found) <= 250
        assert sum(found) == 1 + 1 + 1 + 1 + 260 * 4 + 1  # group, attachment, policy, version, users, the account
        assert all(EVERYTHING not in row and len(row) <= MAX_NAMES for row in names)


def test_interrupted_deletion_goes_on(database: str) -> None:
    """A process that is killed between two batches leaves an account that nothing can be done with but delete."""
    with opened(database) as (guard, store):
        many_users(store, ACME, 20)
        many_users(store, GLOBEX, 2)
        guard.refresh()
        guard.accounts.close(ACME)
        process = start(DELETER, database, ACME, "step")
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        process.kill()
        process.communicate(timeout=60)
        guard.refresh()
        assert guard.accounts.get(ACME).state is AccountState.DELETING
        for change in (guard.accounts.resume, guard.accounts.suspend, guard.accounts.close):
            with pytest.raises(AccountStateConflict):
                change(ACME)
        arn = f"arn:aws:docs:us-east-1:{ACME}:document/new"
        public = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*"}]}
        with pytest.raises(AccountStateConflict, match="being deleted"):
            guard.resource_policies.put(arn, public)
        guard.accounts.delete(ACME)
        with pytest.raises(NoSuchEntity):
            guard.accounts.get(ACME)
        guard.accounts.delete(ACME)  # nothing happens
        with reading(store.engine) as connection:
            assert rows_of(connection, ACME) == {}
            assert rows_of(connection, GLOBEX)["api_keys"] == 2


def test_two_processes_that_delete_at_once_both_end(database: str) -> None:
    """They share the rows; one of them deletes the last one."""
    with opened(database) as (guard, store):
        many_users(store, ACME, 60)
        guard.refresh()
        guard.accounts.close(ACME)
        processes = [start(DELETER, database, ACME, "run") for _ in range(2)]
        answers = [process.communicate(timeout=300)[0].split() for process in processes]
        assert [process.returncode for process in processes] == [0, 0]
        assert [answer[-1] for answer in answers] == ["done", "done"]
        with reading(store.engine) as connection:
            assert rows_of(connection, ACME) == {}


def test_rows_that_are_added_during_the_deletion_are_deleted(database: str) -> None:
    """The last transaction ends only if no row is left."""
    with opened(database) as (guard, store):
        many_users(store, ACME, 3)
        guard.refresh()
        guard.accounts.close(ACME)
        added = list[str]()

        def add(_: int) -> None:
            if len(added) < 5:
                added.append(f"AIDALATE{len(added)}")
                row = {"id": added[-1], "account": ACME, "kind": "user", "path": "/", "name": added[-1]}
                with store.write_transaction() as records:
                    records.insert(identities, **row, folded=added[-1].lower(), **_EMPTY)

        guard.accounts.delete(ACME, progress=add)
        assert added
        with reading(store.engine) as connection:
            assert rows_of(connection, ACME) == {}


def test_deleted_resources_are_denied_in_another_process(database: str) -> None:
    """Also those that were cached there, with a policy that shares them."""
    arn = f"arn:aws:docs:us-east-1:{ACME}:document/0"
    eve = Principal.from_arn(f"arn:aws:iam::{GLOBEX}:user/user0")
    shared = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
    }
    with opened(database) as (guard, store), opened(database) as (other, _):
        many_users(store, ACME, 1)
        many_users(store, GLOBEX, 1)
        guard.refresh()
        guard.resource_policies.put(arn, shared)
        other.refresh()
        callers = (eve, Principal.anonymous(), Principal.service("queue"))
        assert [other.decide(caller, "docs:Get", arn).allowed for caller in callers] == [True] * 3
        guard.accounts.close(ACME)
        assert [other.decide(caller, "docs:Get", arn).allowed for caller in callers] == [False] * 3
        guard.accounts.delete(ACME)
        assert [other.decide(caller, "docs:Get", arn).allowed for caller in callers] == [False] * 3
        assert other.decide(eve, "docs:Get", arn).reasons[0].note == "the account of the resource is deleted"
        known = Resource(arn, account=ACME, policy=shared)  # the application has kept it
        assert [other.decide(caller, "docs:Get", known).allowed for caller in callers] == [False] * 3
        with store.read_transaction() as records:
            assert records.count(resources, account=ACME) == 0
        with pytest.raises(EntityAlreadyExists):
            guard.accounts.create("tenant-again", id=ACME)


REFUSED: dict[str, tuple[Any, type[Exception]]] = {
    "active": (lambda guard: guard.accounts.delete(ACME), AccountStateConflict),
    "unknown": (lambda guard: guard.accounts.delete("123412341234"), NoSuchEntity),
    "no rows": (lambda guard: guard.accounts.delete(ACME, batch=0), InvalidInput),
    "too many rows": (lambda guard: guard.accounts.delete(ACME, batch=10_001), InvalidInput),
}


@pytest.mark.parametrize("case", REFUSED)
def test_deletion_that_is_not_possible_is_refused(database: str, case: str) -> None:
    """Nothing is deleted."""
    delete, error = REFUSED[case]
    with opened(database) as (guard, store):
        many_users(store, ACME, 1)
        guard.refresh()
        with pytest.raises(error):
            delete(guard)
        assert guard.accounts.get(ACME).state is AccountState.ACTIVE
        with reading(store.engine) as connection:
            assert connection.execute(select(accounts.c.id)).scalars().all() == [ACME]


def test_management_account_is_neither_closed_nor_deleted(database: str) -> None:
    """It can be suspended; an account that became one after it was closed is not deleted."""
    organization = {"id": "o-exampleorg", "scps_enabled": True, "rcps_enabled": True, "management_account": ACME}
    with opened(database) as (guard, store):
        many_users(store, ACME, 1)
        guard.refresh()
        guard.accounts.close(ACME)
        with store.write_transaction() as records:
            records.insert(organizations, **organization)
        with pytest.raises(AccountStateConflict, match="management account"):
            guard.accounts.delete(ACME)
        guard.accounts.resume(ACME)
        guard.accounts.suspend(ACME)
        with pytest.raises(AccountStateConflict, match="management account"):
            guard.accounts.close(ACME)


def test_changes_of_one_account_at_once_happen_one_after_the_other(database: str) -> None:
    """Of two that exclude each other, one is refused."""
    with opened(database) as (guard, store):
        many_users(store, ACME, 1)
        guard.refresh()
        outcomes = list[str]()
        barrier = threading.Barrier(4)

        def suspend() -> None:
            barrier.wait()
            try:
                outcomes.append(guard.accounts.suspend(ACME).state)
            except AccountStateConflict:
                outcomes.append("refused")

        threads = [threading.Thread(target=suspend) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["refused", "refused", "refused", "suspended"]
