"""The rows of accounts: ids that are never given twice, and unique names and addresses, also of seeds."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest

from iam_guard.errors import EntityAlreadyExists, SeedError
from iam_guard.model.account import AccountState
from iam_guard.store import schema
from iam_guard.store.accounts.account_rows import checked_new_email, find_account, insert_account, new_account_id
from iam_guard.store.accounts.first_account import FirstAccount, create_first_account
from iam_guard.store.accounts.root_email import set_root_email
from iam_guard.store.database.records import Records
from iam_guard.store.schema import accounts, deleted_accounts
from iam_guard.store.seed import Changes, apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.tables import table

ACME, GLOBEX, THIRD = "111122223333", "444455556666", "777788889999"


def insert(records: Records, id: str, name: str, email: str | None = None) -> None:
    insert_account(records, id=id, name=name, email=email, now=1)


def apply(store: SqlStore, *declared: dict[str, Any], **options: bool) -> Changes:
    return apply_seed(store, load_seed_text(json.dumps({"version": 1, "accounts": declared})), **options)


def add_equal(store: SqlStore) -> None:
    """Store two accounts of one name and address, as earlier versions did."""
    with store.write_transaction() as records:
        for id in (ACME, GLOBEX):
            records.insert(accounts, id=id, name="acme", folded="acme", email="root@acme.example", created=1)


# --- ids -----------------------------------------------------------------------------------------------------------


@table("place", ["accounts", "deleted_accounts", "policies", "organizations"])
def test_random_id_is_one_that_was_never_used(place: str, monkeypatch: pytest.MonkeyPatch, empty: SqlStore) -> None:
    """Neither by an account nor by a deleted one; nor does a policy or an organization belong to it."""
    drawn = iter([int(ACME) - 10**11, int(GLOBEX) - 10**11])
    monkeypatch.setattr(secrets, "randbelow", lambda _: next(drawn))
    rows: dict[str, dict[str, Any]] = {
        "accounts": {"id": ACME, "name": "acme", "folded": "acme", "created": 1},
        "deleted_accounts": {"id": ACME, "deleted": 1},
        "policies": {"id": "ANPA1", "account": ACME, "path": "/", "name": "P", "folded": "p", "description": ""}
        | {"default_version": 1, "tags": {}, "created": 1},
        "organizations": {"id": "o-1", "management_account": ACME, "scps_enabled": True, "rcps_enabled": True},
    }
    with empty.write_transaction() as records:
        records.insert(schema.metadata.tables[place], **rows[place])
        assert new_account_id(records) == GLOBEX
        records.delete(schema.metadata.tables[place], id=rows[place]["id"])


def test_id_of_a_deleted_account_is_never_given_again(empty: SqlStore) -> None:
    """Not to a new account, a seed or the first account."""
    with empty.write_transaction() as records:
        records.insert(deleted_accounts, id=ACME, deleted=1)
        with pytest.raises(EntityAlreadyExists, match="was deleted, and its id can't be used again"):
            insert(records, ACME, "acme")
    with pytest.raises(EntityAlreadyExists, match="was deleted"):
        create_first_account(empty, FirstAccount(ACME, "AKIAROOT", "secret"))
    with pytest.raises(SeedError, match=f"seed:1: the account {ACME} was deleted, and its id can't be used again"):
        apply(empty, {"id": ACME, "name": "acme"})
    with empty.read_transaction() as records:
        assert records.count(accounts) == 0


# --- names and addresses -------------------------------------------------------------------------------------------


@table(
    "text, email",
    [
        (" Root@ACME.example ", "root@acme.example"),
        ("a@b.cd", "a@b.cd"),
        ("a+b.c@x-y.example", "a+b.c@x-y.example"),
        ("a" * 54 + "@b.example", "a" * 54 + "@b.example"),
    ],
)
def test_address_is_stored_in_lower_case(text: str, email: str) -> None:
    assert checked_new_email(text) == email


def test_addresses_are_compared_in_any_case(empty: SqlStore) -> None:
    with empty.write_transaction() as records:
        records.insert(accounts, id=ACME, name="acme", folded="acme", email="root@acme.example", created=1)
        with pytest.raises(EntityAlreadyExists, match="another account has this e-mail address"):
            insert(records, GLOBEX, "globex", "root@acme.example")
        insert(records, GLOBEX, "globex")
        with pytest.raises(EntityAlreadyExists, match="another account has this e-mail address"):
            set_root_email(records, GLOBEX, "ROOT@acme.example")


# --- seeds ---------------------------------------------------------------------------------------------------------


@table(
    "first, second, message",
    [
        ({"name": "acme"}, {"name": "Acme"}, f"the account {ACME} has the same name `acme`"),
        ({"name": GLOBEX}, {}, f"has the same name `{GLOBEX}`"),
        (
            {"root": {"email": "root@a.example"}},
            {"root": {"email": "Root@A.example"}},
            "has the same e-mail address `root@a.example`",
        ),
    ],
)
def test_seed_with_equal_accounts_is_refused(first: Any, second: Any, message: str, empty: SqlStore) -> None:
    """In one seed, and one after the other; also if the seed is the complete content of a store."""
    one, other = {"id": ACME, **first}, {"id": GLOBEX, **second}
    for options in ({}, {"prune": True}, {"whole": True}):
        with pytest.raises(SeedError) as caught:
            apply(empty, one, other, **options)
        assert message in "\n".join(caught.value.problems)
    apply(empty, one)
    with pytest.raises(SeedError) as caught:
        apply(empty, other)
    assert message in "\n".join(caught.value.problems)
    apply(empty, other, whole=True)  # the first is deleted with it
    apply(empty, whole=True)


def test_seed_swaps_names(empty: SqlStore) -> None:
    """Only the state afterwards counts."""
    apply(empty, {"id": ACME, "name": "acme"}, {"id": GLOBEX, "name": "globex"})
    apply(empty, {"id": ACME, "name": "globex"}, {"id": GLOBEX, "name": "acme"})
    with empty.read_transaction() as records:
        assert [find_account(records, id).name for id in (ACME, GLOBEX)] == ["globex", "acme"]


def test_stored_accounts_of_one_name_stay(empty: SqlStore) -> None:
    """Seeds that declare them still apply; only another account can't get the name, or a renamed one."""
    add_equal(empty)
    equal = {"id": ACME, "name": "acme", "root": {"email": "Root@acme.example"}}
    assert apply(empty, {**equal, "alias": "acme-corp"})
    other = {"id": GLOBEX, "name": "ACME", "root": {"email": "root@acme.example"}}
    assert apply(empty, {**equal, "alias": "acme-corp"}, other).lines == (f"updated account {GLOBEX}: name",)
    with pytest.raises(SeedError, match="has the same name `acme`"):
        apply(empty, {"id": THIRD, "name": "acme"})
    assert apply(empty, {"id": GLOBEX, "name": "globex", "root": {"email": "root@globex.example"}})
    with pytest.raises(SeedError, match="has the same name `acme`"):
        apply(empty, {"id": GLOBEX, "name": "acme", "root": {"email": "root@globex.example"}})


@table("state", [state for state in AccountState if state is not AccountState.DELETING])
def test_seed_keeps_the_state_of_an_account(state: AccountState, empty: SqlStore) -> None:
    apply(empty, {"id": ACME, "name": "acme"})
    with empty.write_transaction() as records:
        records.update(accounts, {"state": state.value, "state_since": 5}, id=ACME)
    apply(empty, {"id": ACME, "name": f"acme {state}"})
    with empty.read_transaction() as records:
        account = find_account(records, ACME)
    assert (account.state, account.name, int(account.state_since.timestamp())) == (state, f"acme {state}", 5)


def test_seed_cannot_declare_an_account_that_is_being_deleted(empty: SqlStore) -> None:
    apply(empty, {"id": ACME, "name": "acme"})
    with empty.write_transaction() as records:
        records.update(accounts, {"state": "deleting"}, id=ACME)
    with pytest.raises(SeedError, match=f"seed:1: the account {ACME} is being deleted"):
        apply(empty, {"id": ACME, "name": "acme"})
