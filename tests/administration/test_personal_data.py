"""`guard.people.personal_data.export` and `erase`: everything of one person, nothing of another, and no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from iam_guard import Guard, Principal
from iam_guard.administration.personal_data import Erasure
from iam_guard.authn.people.passwords.failed_attempts import guess_subject, is_open
from iam_guard.authn.people.person import load_person
from iam_guard.errors import ConfigurationError, InvalidInput, NoSuchEntity, StoreIsReadOnly
from iam_guard.factory import guard_with_store, open_guard
from iam_guard.settings import Settings
from iam_guard.store import schema
from iam_guard.store.accounts.personal_tables import PERSONAL_TABLES
from iam_guard.store.opening import create_store
from iam_guard.store.schema.facts import facts_of
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.administration.personal_world import (
    ACME,
    ALICE,
    ALICE2,
    DOCUMENT,
    NAMESAKE,
    NOTE,
    SECRET,
    SEED,
    UMBRELLA,
    dumped,
    id_of,
    insert_filled,
    plant,
    plant_others,
    seeded,
)
from tests.tables import table

ROOT = f"arn:aws:iam::{ACME}:root"


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    return seeded(create_store(f"sqlite:///{tmp_path}/iam.db", Settings()))


@pytest.fixture
def guard(store: SqlStore, tmp_path: Path) -> Iterator[Guard]:
    with closing(guard_with_store(store, Settings(audit=f"{tmp_path}/audit.jsonl"))) as opened:
        yield opened


@pytest.fixture
def alice(store: SqlStore) -> str:
    """The unique id of alice, who has a row in every table; so have two others."""
    id = id_of(store, ACME, "alice")
    with store.write_transaction() as records:
        for user_id in (id, id_of(store, ACME, "alice2"), None):
            plant(records, ACME, user_id)
            person = load_person(records, "aws", ACME, user_id)
            is_open(records, guess_subject(person, "", "password"), 2_000_000_000)
    with store.write_transaction() as records:
        plant_others(records, store)
    return id


def last_record(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "audit.jsonl").read_text().splitlines()[-1])
    return found


def counts(store: SqlStore) -> dict[str, int]:
    return {name: len(rows) for name, rows in dumped(store).items() if rows}


# --- tables ----------------------------------------------------------------------------------------------------------


def test_every_table_is_exported_or_explained() -> None:
    """A new table must declare what it has of a person."""
    for name, declared in schema.metadata.tables.items():
        facts = facts_of(declared)
        assert [facts.owner is not None, bool(facts.naming), bool(facts.impersonal)].count(True) == 1, name
        assert facts.naming or not facts.about, name
        assert (facts.owner is not None) == (name in PERSONAL_TABLES), name


def test_columns_of_personal_tables_are_exported_or_withheld() -> None:
    """A new column of these tables must declare whether the person may see it; what is sealed must not be seen."""
    referring = {"account", "user_id", "identity_id"}
    for name, declared in schema.metadata.tables.items():
        facts, columns = facts_of(declared), set(declared.columns.keys())
        sealed = {column.name for column in schema.sealed_columns() if column.table is declared}
        exported, withheld = facts.exported.split(), facts.withheld.split()
        others = {*facts.about.split(), *facts.recorded.split(), *facts.kept_until.split()}
        assert others.union(exported, withheld) <= columns, name
        assert not sealed & {*exported, *withheld}, name
        assert not set(exported) & set(withheld), name
        if facts.owner is not None:
            assert columns - sealed - referring - {*exported, *withheld} == set(), name


def test_tables_that_refer_to_users_are_personal() -> None:
    """A column that is a foreign key to `identities` as a user makes a table personal."""
    naming = {"user_id", "identity_id", "person_id"}
    of_users = {name for name, table in schema.metadata.tables.items() if naming & set(table.columns.keys())}
    assert of_users <= set(PERSONAL_TABLES)


# --- export ----------------------------------------------------------------------------------------------------------


def test_export_has_a_row_of_each_table_and_no_secret(guard: Guard, alice: str) -> None:
    found = guard.people.personal_data.export(ALICE)
    text = json.dumps(found)
    assert SECRET not in text
    assert set(found["store"]) == {*PERSONAL_TABLES, "sign_in_failures", "findings", "jobs", "credential_reports"}
    assert found["person"] == {"arn": ALICE, "subject": None, "account": ACME, "uniqueId": alice}
    assert found["store"]["memberships"] == [{"group": f"arn:aws:iam::{ACME}:group/staff"}]
    assert found["store"]["attachments"] == [{"policy": f"arn:aws:iam::{ACME}:policy/Own"}]
    [entity] = found["store"]["identities"]
    assert (entity["tags"], entity["boundary"]) == ({"team": "blue"}, f"arn:aws:iam::{ACME}:policy/Own")
    assert found["store"]["access_keys"][0]["created"] == "2033-05-18T03:33:20+00:00"
    assert len(found["store"]["tool_sessions"]) == 2, "that of a role, too, which the person approved"
    assert len(found["store"]["findings"]) == 2
    assert found["store"]["credential_reports"] == [{"user": "alice", "arn": ALICE, "password_enabled": "true"}]
    assert found["boundIn"]["resources"] == [DOCUMENT, NOTE]
    assert len(found["boundIn"]["identities"]) == 1
    assert f"arn:aws:iam::{ACME}:policy/About" in found["namedIn"]
    assert ALICE2 not in text


def test_export_of_a_namesake_has_nothing_of_the_other(guard: Guard, alice: str) -> None:
    """The same name in another account, and a name that begins with it."""
    found = guard.people.personal_data.export(NAMESAKE)
    assert set(found["store"]) == {"identities"}
    assert (found["boundIn"], found["namedIn"]) == ({}, [])
    assert alice not in json.dumps(found)
    other = guard.people.personal_data.export(ALICE2)
    assert alice not in json.dumps(other)
    assert other["person"]["uniqueId"] != alice


def test_export_has_plain_records_of_role_sessions_named_after_the_person(guard: Guard) -> None:
    """As their pseudonyms are found, too: after a switch to a role, the trail names the session."""
    names, output = ("alice", "alice2"), StringIO()
    arns = [f"arn:aws:sts::{ACME}:assumed-role/work/{name}" for name in names]
    found = [{"userIdentity": {"arn": arn}, "recipientAccountId": ACME} for arn in arns]
    assert guard.people.personal_data.write_export(ALICE, output, records=found) == 1
    assert [entry["record"] for entry in json.loads(output.getvalue())["trail"]] == found[:1]


def test_export_of_a_root_user_has_its_account(guard: Guard, alice: str) -> None:
    found = guard.people.personal_data.export(ROOT)
    assert SECRET not in json.dumps(found)
    assert found["store"]["accounts"][0]["email"] == "root@acme.example"
    assert {"access_keys", "login_profiles", "mfa_devices", "browser_sessions"} <= set(found["store"])
    assert len(found["store"]["access_keys"]) == len(found["store"]["tool_sessions"]) == 1
    assert alice not in json.dumps(found["store"])


@table("arn", [f"arn:aws:iam::{ACME}:user/alice", f"arn:aws:iam::{ACME}:user/staff/Alice", f"{ALICE}3"])
def test_export_of_another_arn_finds_no_user(arn: str, guard: Guard) -> None:
    with pytest.raises(NoSuchEntity):
        guard.people.personal_data.export(arn)


@table("arn", ["alice", "arn:aws:iam::111122223333:role/work", "arn:aws:iam::111122223333:saml-provider/x", "*"])
def test_arn_of_no_person_is_rejected(arn: str, guard: Guard) -> None:
    with pytest.raises(InvalidInput):
        guard.people.personal_data.export(arn)
    with pytest.raises(InvalidInput):
        guard.people.personal_data.erase(arn)


def test_export_is_recorded_without_a_name(guard: Guard, alice: str, tmp_path: Path) -> None:
    guard.people.personal_data.export(ALICE)
    record = last_record(tmp_path)
    assert record["eventName"] == "ExportPerson"
    assert record["requestParameters"] == {"accountId": ACME, "principalId": alice}
    assert "alice" not in json.dumps(record)


# --- erase -----------------------------------------------------------------------------------------------------------


def test_erasure_leaves_nothing_of_the_person(guard: Guard, store: SqlStore, alice: str, tmp_path: Path) -> None:
    """Neither the name nor the ARN; the unique id stays where policies had the ARN. Others keep all they have."""
    before = counts(store)
    erasure = guard.people.personal_data.erase(ALICE)
    after = dumped(store)
    about = [row for row in after.pop("policy_versions") if ALICE in row["text"]]
    rule = [row for row in after.pop("archive_rules") if ALICE in row["filter"]["resource"]["eq"]]
    assert (len(about), len(rule)) == (1, 1)
    kept = json.dumps(after, default=str).replace(NAMESAKE, "").replace("alice2", "")
    namesake = {"account": UMBRELLA, "kind": "user", "name": "alice", "folded": "alice"}
    assert sum(namesake.items() <= row.items() for row in after["identities"]) == 1
    assert kept.count("alice") == 2, "name and folded name of the namesake"
    named = {name for name, rows in after.items() if alice in json.dumps(rows, default=str)}
    assert named == {"resources", "password_resets", "identities", "resource_statements"}
    assert set(erasure.rows) == (
        set(PERSONAL_TABLES)
        | {"sign_in_failures", "findings", "jobs", "credential_reports", "policies of resources"}
        | {"policies of identities"}
    )
    lost = {name: before[name] - len(dumped(store)[name]) for name in PERSONAL_TABLES}
    assert lost == {name: erasure.rows[name] for name in PERSONAL_TABLES} | {"password_resets": 1}
    assert erasure.still_named_in == (f"arn:aws:iam::{ACME}:policy/About", "rule of e of analyzer")
    assert erasure.unique_id == alice


def test_erasure_is_recorded_without_a_name(guard: Guard, alice: str, tmp_path: Path) -> None:
    erasure = guard.people.personal_data.erase(ALICE)
    record = last_record(tmp_path)
    assert (record["eventName"], record["iamGuard"]["changed"]) == ("ErasePerson", True)
    assert record["requestParameters"] == {"accountId": ACME, "principalId": alice}
    assert record["responseElements"] == {"rows": dict(erasure.rows), "salts": 0}
    assert "alice" not in json.dumps(record)


def test_repeated_erasure_changes_nothing(guard: Guard, store: SqlStore, alice: str, tmp_path: Path) -> None:
    guard.people.personal_data.erase(ALICE)
    before = dumped(store)
    assert guard.people.personal_data.erase(ALICE) == Erasure(
        None, {}, 0, (f"arn:aws:iam::{ACME}:policy/About", "rule of e of analyzer")
    )
    assert dumped(store) == before
    assert last_record(tmp_path)["iamGuard"]["changed"] is False


def test_interrupted_erasure_is_completed(guard: Guard, store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """If only the first of its two transactions was made, the next call replaces the name in the policies."""

    def fails(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr("iam_guard.administration.personal_data.replace_by_id", fails)
        with pytest.raises(RuntimeError):
            guard.people.personal_data.erase(ALICE)
    assert ALICE in json.dumps(dumped(store)["resources"])
    erasure = guard.people.personal_data.erase(ALICE)
    assert erasure.rows == {"policies of resources": 2, "policies of identities": 1}
    assert ALICE not in json.dumps(dumped(store)["resources"])


def test_every_policy_that_names_the_person_is_reported(guard: Guard, store: SqlStore) -> None:
    """Also those whose text no binding replaces: conditions of trust policies, and session policies of others."""
    condition = {"ArnEquals": {"aws:PrincipalArn": ALICE}}
    text = json.dumps({"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}]})
    other = id_of(store, ACME, "alice2")
    with store.write_transaction() as records:
        records.update(schema.identities, {"trust_text": text, "trust_bindings": {}}, account=ACME, name="work")
        insert_filled(records, schema.api_keys, id="key2", identity_id=other, status="Active", session_policy=text)
        credential = {"id": "ACCA2", "account": ACME, "user_id": other, "status": "Active", "session_policy": text}
        insert_filled(records, schema.service_credentials, **credential)
        profile = {"account": ACME, "roles": [], "policy_ids": [], "session_policy": text}
        insert_filled(records, schema.certificate_profiles, id="profile2", **profile)
    reported = {
        f"arn:aws:iam::{ACME}:role/work",
        *(f"session policy of {id}" for id in ("key2", "ACCA2", "profile2")),
    }
    assert reported <= set(guard.people.personal_data.export(ALICE)["namedIn"])
    assert reported <= set(guard.people.personal_data.erase(ALICE).still_named_in)
    assert reported.isdisjoint(guard.people.personal_data.export(ALICE2)["namedIn"])


def test_policies_of_others_mean_the_same_after_an_erasure(guard: Guard, store: SqlStore) -> None:
    """Another user of the same name gets nothing, and those who are named beside the person keep what they have."""
    before = {arn: guard.decide(Principal.from_arn(ALICE2), "docs:Get", arn).outcome for arn in (DOCUMENT, NOTE)}
    assert guard.decide(Principal.from_arn(ALICE), "docs:Get", DOCUMENT).allowed
    guard.people.personal_data.erase(ALICE)
    assert not guard.decide(Principal.from_arn(ALICE), "docs:Get", DOCUMENT).allowed
    for arn, outcome in before.items():
        assert guard.decide(Principal.from_arn(ALICE2), "docs:Get", arn).outcome == outcome
    apply_seed(store, load_seed_text(json.dumps(SEED | {"accounts": [_only_users(SEED["accounts"][0])]})))
    guard.refresh()
    assert len(guard.people.personal_data.export(ALICE)["store"]) == 1, "the new user has no more than its row"
    assert not guard.decide(Principal.from_arn(ALICE), "docs:Get", DOCUMENT).allowed
    policy = guard.resource_policies.get(DOCUMENT)
    assert policy is not None
    assert ALICE not in policy


def _only_users(account: dict[str, Any]) -> dict[str, Any]:
    return {"id": account["id"], "name": account["name"], "users": [{"name": "alice", "path": "/staff/"}]}


def test_further_texts_are_not_one_text(guard: Guard) -> None:
    with pytest.raises(InvalidInput, match="also"):
        guard.people.personal_data.erase(ALICE, also="alice@example.com")
    assert guard.people.personal_data.export(ALICE)["store"]


def test_root_user_cannot_be_erased(guard: Guard, store: SqlStore, alice: str) -> None:
    before = counts(store)
    with pytest.raises(InvalidInput, match="delete its account"):
        guard.people.personal_data.erase(ROOT)
    assert counts(store) == before


@table("arn", [f"arn:aws:iam::{ACME}:user/alice", f"arn:aws:iam::{ACME}:user/staff/ALICE"])
def test_erasure_by_another_arn_of_the_name_is_refused(arn: str, guard: Guard, store: SqlStore) -> None:
    """It would delete the salts of a person who is still there."""
    before = counts(store)
    with pytest.raises(NoSuchEntity, match="another path or letter case"):
        guard.people.personal_data.erase(arn)
    assert counts(store) == before


def test_store_that_follows_a_file_refuses_erasure(tmp_path: Path) -> None:
    (tmp_path / "iam.json").write_text(json.dumps(SEED))
    with closing(open_guard(tmp_path / "iam.json")) as guard:
        assert guard.people.personal_data.export(ALICE)["store"]["identities"]
        with pytest.raises(StoreIsReadOnly):
            guard.people.personal_data.erase(ALICE)


def test_erasure_without_the_keys_of_its_salts_is_refused(guard: Guard, store: SqlStore) -> None:
    """Otherwise the pseudonyms in the trail could still be derived."""
    with store.write_transaction() as records:
        records.insert(schema.pseudonym_salts, account=ACME, subject="a" * 64, salt=b"x", created=1)
    before = counts(store)
    with pytest.raises(ConfigurationError, match="expected the file of the keys of pseudonyms"):
        guard.people.personal_data.erase(ALICE)
    assert counts(store) == before
    guard.people.personal_data.erase(NAMESAKE)
