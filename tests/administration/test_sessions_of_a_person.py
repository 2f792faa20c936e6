"""People without a row in the store: those of an identity provider, and of a session."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from iam_guard import Guard
from iam_guard.audit.record.pseudonyms import (
    make_pseudonym_key,
    person_pseudonyms,
    pseudonym,
    read_pseudonym_keys,
    salt_subject,
)
from iam_guard.errors import InvalidInput
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.accounts.pseudonym_salts import StoredSalts
from iam_guard.store.opening import create_store
from iam_guard.store.schema import federated_sessions, identities, tool_sessions
from iam_guard.store.sql_store import SqlStore
from tests.administration.personal_world import ACME, SECRET, UMBRELLA, insert_filled, seeded
from tests.tables import table

PROVIDER = f"arn:aws:iam::{ACME}:saml-provider/corp"
SUBJECT = "alice@corp.example"


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    """A store with sessions of alice and alice2 of a provider, and a session of alice with temporary credentials."""
    store = seeded(create_store(f"sqlite:///{tmp_path}/iam.db", Settings()))
    with store.write_transaction() as records:
        role = records.all(identities, kind="role")[0]["id"]
        for number, (name, provider) in enumerate(
            [("alice", PROVIDER), ("alice2", PROVIDER), ("alice", f"{PROVIDER}-2"), ("carol", None)]
        ):
            subject = None if provider is None else f"{name}@corp.example"
            at = {"account": ACME, "terms": terms(role, name)}
            who = {"userid": f"{role}:{name}", "provider": provider, "subject": subject, "issuer": "corp"}
            insert_filled(records, federated_sessions, **at, **who, id=f"bs-{number}", role_id=role, parent_key_id=None)
            tool = {"approved_by": f"bs-{number}", "identity_id": role, "person_account": None, "person_id": None}
            insert_filled(records, tool_sessions, **at, **tool)
    return store


def terms(role: str, name: str) -> list[Any]:
    arn = f"arn:aws:sts::{ACME}:assumed-role/work/{name}"
    return [SECRET, SECRET, 1, 2, "AssumedRole", arn, ACME, None, None, f"{role}:{name}", {}, {}, None, None, None]


@pytest.fixture
def guard(store: SqlStore, tmp_path: Path) -> Iterator[Guard]:
    make_pseudonym_key(tmp_path / "iam.db.audit-pseudonym-keys", ACME)
    settings = Settings(audit=f"{tmp_path}/audit.jsonl")
    with closing(guard_with_store(store, settings, database=tmp_path / "iam.db")) as opened:
        yield opened


def sessions(store: SqlStore) -> list[tuple[str, str | None]]:
    with store.read_transaction() as records:
        return [(row["id"], row["subject"]) for row in records.all(federated_sessions, order=("id",))]


def test_export_has_the_sessions_of_a_providers_person(guard: Guard) -> None:
    found = guard.people.personal_data.export(PROVIDER, subject=SUBJECT)
    [session] = found["store"]["federated_sessions"]
    assert (session["id"], session["provider"], session["subject"]) == ("bs-0", PROVIDER, SUBJECT)
    assert SECRET not in json.dumps(found)
    assert "alice2" not in json.dumps(found)


def test_erasure_ends_the_sessions_of_a_providers_person(guard: Guard, store: SqlStore, tmp_path: Path) -> None:
    """Also those of its tools; not those of another provider's person with the same name of the role session."""
    erasure = guard.people.personal_data.erase(PROVIDER, subject=SUBJECT)
    assert erasure.rows["federated_sessions"] == 1
    assert [id for id, _ in sessions(store)] == ["bs-1", "bs-2", "bs-3"]
    with store.read_transaction() as records:
        assert {row["approved_by"] for row in records.all(tool_sessions)} == {"bs-1", "bs-2", "bs-3"}
    last = (tmp_path / "audit.jsonl").read_text().splitlines()[-1]
    assert "alice" not in last
    assert guard.people.personal_data.erase(PROVIDER, subject=SUBJECT).rows == {}


def test_erasure_by_the_arn_of_a_session(guard: Guard, store: SqlStore) -> None:
    erasure = guard.people.personal_data.erase(f"arn:aws:sts::{ACME}:assumed-role/work/carol")
    assert erasure.rows == {"federated_sessions": 1, "tool_sessions": 1}
    assert [id for id, _ in sessions(store)] == ["bs-0", "bs-1", "bs-2"]


@table(
    "resource, userid",
    [("assumed-role/work/dora", "ROLE:dora"), ("federated-user/emil", f"{ACME}:emil")],
)
def test_session_without_a_row_is_found_by_its_arn(
    resource: str, userid: str, guard: Guard, store: SqlStore, tmp_path: Path
) -> None:
    """Those of temporary credentials have none: the ARN says what identifies them in the trail."""
    arn, name = f"arn:aws:sts::{ACME}:{resource}", resource.rpartition("/")[2]
    with store.read_transaction() as records:
        role = records.all(identities, kind="role")[0]["id"]
    texts, keys = [arn, name, userid.replace("ROLE", role)], tmp_path / "iam.db.audit-pseudonym-keys"
    [key] = read_pseudonym_keys(keys)[ACME]
    StoredSalts(store).load(ACME, [salt_subject(key, text) for text in (*texts, f"{name}2")], creates=True)
    record = {"userIdentity": {"arn": arn}, "recipientAccountId": ACME}
    output = StringIO()
    other = {"userIdentity": {"arn": f"{arn}2"}, "recipientAccountId": ACME}
    assert guard.people.personal_data.write_export(arn, output, records=[record, other]) == 1
    assert guard.people.personal_data.erase(arn).salts == 3
    assert person_pseudonyms(keys, ACME, texts, (), StoredSalts(store)) == {pseudonym(key, text) for text in texts}


@table(
    "arn, subject",
    [
        (PROVIDER.replace(ACME, UMBRELLA), SUBJECT),
        (PROVIDER, "alice"),
        (PROVIDER, SUBJECT.upper()),
        (f"arn:aws:sts::{ACME}:assumed-role/work/al", None),
    ],
)
def test_another_person_is_not_erased(arn: str, subject: str | None, guard: Guard, store: SqlStore) -> None:
    before = sessions(store)
    assert guard.people.personal_data.erase(arn, subject=subject).rows == {}
    assert sessions(store) == before


@table("arn, subject", [(PROVIDER, None), (PROVIDER, ""), (f"arn:aws:iam::{ACME}:user/alice", SUBJECT)])
def test_subject_is_for_providers_only(arn: str, subject: str | None, guard: Guard) -> None:
    with pytest.raises(InvalidInput):
        guard.people.personal_data.erase(arn, subject=subject)
