"""`guard.accounts`: create tenants with their first people, get, list and rename them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from iam_guard import Guard, open_guard
from iam_guard.audit.trail import Trail
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.sign_in import TypedName
from iam_guard.errors import (
    AccountStateConflict,
    DecisionUnavailable,
    EntityAlreadyExists,
    InvalidInput,
    NoSuchEntity,
    RecordUnavailable,
    StoreIsReadOnly,
)
from iam_guard.model.account import Account, AccountState
from iam_guard.model.request import Call
from iam_guard.store.schema import accounts, identities, login_profiles, resources
from tests.administration.accounts.account_parts import (
    ADAS_PASSWORD,
    ALL,
    ID,
    KEY_SECRET,
    OTHER,
    PASSWORD,
    PLAN,
    SEED,
    caller,
    recorded,
    trust,
)
from tests.tables import table

CALL = Call("1")
READABLE = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "docs:Get*", "Resource": "*"}]}


def test_created_account_is_returned_and_found(guard: Guard) -> None:
    guard.clock = lambda: datetime(2026, 1, 2, 3, 4, 5, 678, UTC)
    created = guard.accounts.create("Acme Inc.", email="Root@Acme.example")
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert created == Account(created.id, "Acme Inc.", AccountState.ACTIVE, now, now, "root@acme.example")
    assert len(created.id) == 12
    assert created.id[0] != "0"
    assert guard.accounts.get(created.id) == created
    assert guard.accounts.list() == [created]


def test_people_of_a_new_account_sign_in(guard: Guard) -> None:
    """The root user with its address, and a user with the password that was given for it."""
    created = guard.accounts.create(
        "acme", email="root@acme.example", seed=SEED, password=PASSWORD, passwords={"ada": ADAS_PASSWORD}
    )
    root = guard.people.sign_in.with_password(TypedName(email="ROOT@acme.example"), PASSWORD, CALL)
    ada = guard.people.sign_in.with_password(TypedName(account=created.id, username="ada"), ADAS_PASSWORD, CALL)
    assert root is not None
    assert ada is not None
    assert root.session.person.arn == f"arn:aws:iam::{created.id}:root"
    assert ada.session.person.arn == f"arn:aws:iam::{created.id}:user/ada"
    assert guard.people.sign_in.with_password(TypedName(email="root@acme.example"), ADAS_PASSWORD, CALL) is None


def test_key_of_a_seed_is_admitted_and_its_policies_decide(guard: Guard) -> None:
    created = guard.accounts.create("acme", seed=SEED)
    ada = caller(guard)
    assert ada.arn == f"arn:aws:iam::{created.id}:user/ada"
    assert guard.decide(ada, "docs:GetDocument", PLAN.replace(ID, created.id)).allowed
    assert guard.decide(ada, "billing:Pay", "*").allowed  # the group has AdministratorAccess


def test_seed_is_a_mapping_or_text(guard: Guard) -> None:
    guard.accounts.create("a", seed=json.dumps(SEED))
    guard.accounts.create("b", seed="users: [{name: ada}]\nalias: b-corp\nrequire_mfa: true\n")
    assert {found.name: found.alias for found in guard.accounts.list()} == {"a": None, "b": "b-corp"}
    with guard.store.read_transaction() as records:
        assert records.count(accounts, requires_mfa=True) == 1


@pytest.mark.parametrize("character", ["\x85", "\x7f", "\u2028", "\u2029", "\ufeff", "\U0001f600", "\\", '"', "\t"])
def test_text_of_a_mapping_is_stored_as_it_is(character: str, guard: Guard) -> None:
    """Also what YAML reads as line breaks or refuses."""
    text = f"a{character}b {character}"
    guard.accounts.create("acme", id=ID, seed={"roles": [{"name": "R", "description": text, "trust": trust(ID)}]})
    with guard.store.read_transaction() as records:
        [role] = records.all(identities, kind="role")
    assert role["description"] == text


def test_seed_can_contain_the_id_of_its_account(guard: Guard) -> None:
    """With an id of `new_id`: in ARNs of resources and in trust policies."""
    id = guard.accounts.new_id()
    arn = PLAN.replace(ID, id)
    roles = [{"name": "Reader", "trust": trust(f"arn:aws:iam::{id}:user/ada"), "inline": {"All": ALL}}]
    guard.accounts.create("acme", id=id, seed={**SEED, "roles": roles, "resources": [{"arn": arn, "policy": READABLE}]})
    with guard.store.read_transaction() as records:
        [bindings] = [row["trust_bindings"] for row in records.all(identities, kind="role")]
        assert records.count(resources, arn=arn, account=id) == 1
    assert list(bindings) == [f"arn:aws:iam::{id}:user/ada"]


def test_accounts_are_listed_by_id_in_pages(guard: Guard) -> None:
    ids = [guard.accounts.create(f"tenant {number}").id for number in range(5)]
    guard.accounts.create("tenant 5", id=ID)
    listed = [account.id for account in guard.accounts.list()]
    assert listed == sorted([*ids, ID])
    first = guard.accounts.list(limit=4)
    assert [*first, *guard.accounts.list(after=first[-1].id, limit=4)] == guard.accounts.list()
    assert guard.accounts.list(after=listed[-1]) == []
    with guard.store.write_transaction() as records:
        records.update(accounts, {"state": "suspended", "state_since": 86400}, id=ID)
    [suspended] = guard.accounts.list(state=AccountState.SUSPENDED)
    assert (suspended.id, suspended.state_since) == (ID, datetime(1970, 1, 2, tzinfo=UTC))
    assert len(guard.accounts.list(state=AccountState.ACTIVE)) == 5
    with pytest.raises(InvalidInput, match="expected a limit of 1 or more"):
        guard.accounts.list(limit=0)
    with pytest.raises(InvalidInput, match="expected `active` or"):
        guard.accounts.list(state="open")  # type: ignore[arg-type]


def test_account_is_renamed(guard: Guard, trail: Path) -> None:
    """Also in letter case only; the former name is free again."""
    guard.accounts.create("acme", id=ID)
    guard.accounts.create("globex", id=OTHER)
    assert guard.accounts.rename(ID, "ACME").name == "ACME"
    for name in ("globex", "GLOBEX"):
        with pytest.raises(EntityAlreadyExists, match="another account has the name"):
            guard.accounts.rename(ID, name)
    assert guard.accounts.rename(ID, "Umbrella").name == guard.accounts.get(ID).name == "Umbrella"
    assert guard.accounts.create("acme").name == "acme"
    *_, renamed, _ = recorded(trail)
    assert renamed["eventName"] == "RenameAccount"
    assert renamed["requestParameters"] == {"accountId": ID, "name": "Umbrella", "formerName": "ACME"}


@table("name, stored", [("Bäckerei Öztürk", None), ("קפה", None), ("株式会社 例", None), ("Cafe\u0301", "Caf\u00e9")])
def test_name_may_have_any_letters(name: str, stored: str | None, guard: Guard, trail: Path) -> None:
    """They are stored composed, so that equal names are equal."""
    account = guard.accounts.create(name)
    assert guard.accounts.get(account.id).name == account.name == (stored or name)
    assert recorded(trail)[-1]["requestParameters"]["name"] == account.name
    with pytest.raises(EntityAlreadyExists):
        guard.accounts.create(account.name.upper())


def test_unknown_account_is_not_found(guard: Guard) -> None:
    for call in (lambda: guard.accounts.get(ID), lambda: guard.accounts.rename(ID, "acme")):
        with pytest.raises(NoSuchEntity, match=f"the account {ID} does not exist"):
            call()


def test_account_that_is_being_deleted_is_not_renamed(guard: Guard) -> None:
    guard.accounts.create("acme", id=ID)
    for state in ("suspended", "closed"):
        with guard.store.write_transaction() as records:
            records.update(accounts, {"state": state}, id=ID)
        assert guard.accounts.rename(ID, state).name == state
    with guard.store.write_transaction() as records:
        records.update(accounts, {"state": "deleting"}, id=ID)
    with pytest.raises(AccountStateConflict, match="not being deleted"):
        guard.accounts.rename(ID, "acme")


def test_creation_is_recorded_without_secrets(guard: Guard, trail: Path) -> None:
    """With the id, and what was created in the account."""
    guard.accounts.create(
        "acme", id=ID, email="root@acme.example", seed=SEED, password=PASSWORD, passwords={"ada": ADAS_PASSWORD}
    )
    [event] = recorded(trail)
    assert event["eventName"] == "CreateAccount"
    assert event["recipientAccountId"] == ID
    assert event["iamGuard"]["kind"] == "policy_change"
    assert event["requestParameters"] == {"accountId": ID, "name": "acme"}
    assert event["responseElements"]["account"] == {"id": ID}
    assert f"created user arn:aws:iam::{ID}:user/ada" in event["responseElements"]["changes"]
    for secret in (PASSWORD, ADAS_PASSWORD, KEY_SECRET, "argon2"):
        assert secret not in trail.read_text()


def test_account_stays_if_its_record_cannot_be_written(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with API keys: the caller learns that the change was made, but not recorded."""

    def fail(*_: object, **__: object) -> None:
        raise RecordUnavailable("the record could not be written")

    monkeypatch.setattr(Trail, "record_result", fail)
    with pytest.raises(RecordUnavailable):
        guard.accounts.create("acme", id=ID)
    assert guard.accounts.get(ID).name == "acme"


def test_nothing_is_created_if_no_record_could_be_written(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Trail) -> None:
        raise DecisionUnavailable("the trail is closed")

    monkeypatch.setattr(Trail, "require_ready", fail)
    with pytest.raises(DecisionUnavailable):
        guard.accounts.create("acme", id=ID)
    assert guard.accounts.list() == []


def test_account_of_a_followed_file_is_not_created(tmp_path: Path) -> None:
    """The file would undo it."""
    path = tmp_path / "iam.yaml"
    path.write_text(json.dumps({"version": 1, "accounts": [{"id": ID, "name": "acme"}]}))
    guard = open_guard(path)
    for change in (lambda: guard.accounts.create("globex"), lambda: guard.accounts.rename(ID, "globex")):
        with pytest.raises(StoreIsReadOnly, match=r"follows the file `iam\.yaml`: change the file instead"):
            change()
    assert [account.name for account in guard.accounts.list()] == ["acme"]
    guard.close()


def test_lock_is_not_held_while_a_password_is_hashed(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer gets its turn meanwhile."""
    hashed: list[str] = []
    digest = PasswordHasher.digest

    def hash_while_writing(hasher: PasswordHasher, password: str, same_salt_as: str | None = None) -> str:
        guard.accounts.create(f"meanwhile {len(hashed)}")
        hashed.append(password)
        return digest(hasher, password, same_salt_as)

    monkeypatch.setattr(PasswordHasher, "digest", hash_while_writing)
    guard.accounts.create("acme", email="root@acme.example", password=PASSWORD, seed=SEED, passwords={"ada": PASSWORD})
    assert hashed == [PASSWORD, PASSWORD]
    with guard.store.read_transaction() as records:
        assert records.count(login_profiles) == 2
