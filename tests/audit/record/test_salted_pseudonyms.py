"""Pseudonyms of what may identify a person: they can't be derived without a salt that can be deleted."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest

from iam_guard.audit.record.personal_values import may_be_personal
from iam_guard.audit.record.privacy import MASK, PrivacyRules, Treatment
from iam_guard.audit.record.pseudonyms import (
    OTHER,
    PREFIX,
    PseudonymKeys,
    make_pseudonym_key,
    pseudonym,
    pseudonyms_of,
    read_pseudonym_keys,
    salt_subject,
    subjects_of,
)
from iam_guard.audit.record.redaction import to_line
from tests.audit.record.test_record import RECORDS
from tests.tables import table

ACME, UMBRELLA = "111122223333", "444455556666"
RECORD: dict[str, Any] = json.loads(to_line(RECORDS["conditions-read"]))
PLACES = ("/userIdentity/userName", "/userIdentity/arn", "/sourceIPAddress", "/requestParameters", "/resources/*/ARN")


class Salts:
    """A source of salts in memory."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], bytes] = {}
        self.known: dict[str, bytes] = {}
        self.loads: list[bool] = []
        self.is_down = False

    def cached(self, account: str) -> Mapping[str, bytes]:
        return self.known

    def load(self, account: str, subjects: Collection[str], *, creates: bool) -> Mapping[str, bytes]:
        self.loads.append(creates)
        if self.is_down:
            return {}
        for subject in subjects if creates else ():
            self.stored.setdefault((account, subject), f"salt{len(self.stored)}".encode())
        self.known = {subject: salt for (owner, subject), salt in self.stored.items() if owner == account}
        return {subject: self.known[subject] for subject in subjects if subject in self.known}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    for account in (ACME, UMBRELLA, OTHER):
        make_pseudonym_key(tmp_path / "keys", account)
    return tmp_path / "keys"


@pytest.fixture
def salts() -> Salts:
    return Salts()


@pytest.fixture
def rules(key_file: Path, salts: Salts) -> PrivacyRules:
    return PrivacyRules({Treatment.PSEUDONYMS: PLACES}, PseudonymKeys(key_file), salts)


def completed(rules: PrivacyRules, record: dict[str, Any]) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(rules.complete(lambda: to_line(record, rules)))
    return line


# --- which values ----------------------------------------------------------------------------------------------------


@table(
    "value",
    [
        *("alice", "Alice.Smith@example.com", "10", "3600", "o'hara@example.com", "auth0|5f7c8ec7", "a", "x" * 64),
        *("AIDAEXAMPLEALICE00001", "AROAEXAMPLEROLE000001:alice", "111122223333:fad", "AKIAIOSFODNN7EXAMPLE"),
        "arn:aws:iam::111122223333:user/staff/alice",
        "arn:aws-cn:sts::111122223333:assumed-role/work/alice",
        "arn:aws:sts::111122223333:federated-user/alice",
        "arn:aws:signin:us-east-1:111122223333:session/1b9f",
        "arn:aws:iam::111122223333:user/" + "p" * 500 + "/alice",
        "/C=US/CN=Alice",
    ],
)
def test_value_of_a_person_gets_a_salt(value: str) -> None:
    assert may_be_personal("/userIdentity/userName", value)
    assert may_be_personal("/requestParameters/a~1b", value)


@table(
    "value",
    [
        *("", None, 7, True, "10.0.0.1", "203.0.113.7", "2001:db8::7", "::1", "::ffff:10.0.0.1", "/", "/team/a/"),
        *("arn:aws:docs:us-east-1:111122223333:document/alice", '{"Version": "2012-10-17"}', "<xml/>", "x" * 641),
        *("2026-11-25T04:00:00Z", "2026-11-25T04:00:00.123+00:00"),
    ],
)
def test_other_value_gets_no_salt(value: object) -> None:
    assert not may_be_personal("/requestParameters/x", value)


@table("name", ["userAgent", "sourceIPAddress", "path", "host", "method", "clientProvidedHostHeader"])
def test_fact_of_the_request_gets_no_salt(name: str) -> None:
    """A client could choose another one each time, and fill the store."""
    assert not may_be_personal(f"/requestParameters/{name}", "alice")


# --- records ---------------------------------------------------------------------------------------------------------


def test_pseudonym_with_salt_differs_from_the_derivable_one(rules: PrivacyRules, salts: Salts, key_file: Path) -> None:
    key = PseudonymKeys(key_file).key(ACME)
    assert key is not None
    one, again = completed(rules, RECORD), completed(rules, RECORD)
    assert one == again
    assert len(salts.loads) == 1, "the first record loads all of its salts at once"
    name = one["userIdentity"]["userName"]
    assert name == pseudonym(key, "alice", salts.stored[ACME, salt_subject(key, "alice")])
    assert name != pseudonym(key, "alice")
    assert one["sourceIPAddress"] == pseudonym(key, RECORD["sourceIPAddress"]), "as before"
    assert one["resources"][0]["ARN"] == pseudonym(key, RECORD["resources"][0]["ARN"])
    assert "redacted" not in one["iamGuard"]


def test_same_value_has_the_same_pseudonym_in_every_record(rules: PrivacyRules) -> None:
    """Also in the parameters of an administrator's call, and in a record of another caller."""
    own = completed(rules, RECORD)["userIdentity"]["userName"]
    admin = RECORD | {
        "userIdentity": RECORD["userIdentity"] | {"userName": "root-of-all"},
        "requestParameters": {"userName": "alice", "deep": [{"x": "alice"}]},
    }
    named = completed(rules, admin)
    assert named["requestParameters"] == {"userName": own, "deep": [{"x": own}]}
    assert named["userIdentity"]["userName"] != own


def test_missing_salt_masks_until_the_line_is_completed(rules: PrivacyRules, salts: Salts) -> None:
    """A thread that must not wait, such as an event loop, never writes a derivable pseudonym instead."""
    line = json.loads(to_line(RECORD, rules))
    assert line["userIdentity"]["userName"] == line["userIdentity"]["arn"] == MASK
    assert line["iamGuard"]["redacted"] == ["/userIdentity/arn", "/userIdentity/userName"]
    assert rules.lacks_salts()
    assert salts.loads == []
    completed(rules, RECORD)
    assert json.loads(to_line(RECORD, rules))["userIdentity"]["userName"].startswith(PREFIX)
    assert not rules.lacks_salts()


def test_unreachable_store_masks(rules: PrivacyRules, salts: Salts) -> None:
    salts.is_down = True
    line = completed(rules, RECORD)
    assert line["userIdentity"]["userName"] == MASK
    assert "/userIdentity/userName" in line["iamGuard"]["redacted"]
    assert b"alice" not in rules.complete(lambda: to_line(RECORD, rules)).split(b'"errorMessage"')[0]


@table("type", ["Unknown", "AWSAccount"])
def test_unauthenticated_client_creates_no_salt(type: str, key_file: Path) -> None:
    """Its values are masked, unless they have a salt: it could fill the store."""
    salts = Salts()
    rules = PrivacyRules({Treatment.PSEUDONYMS: PLACES}, PseudonymKeys(key_file), salts)
    record = RECORD | {"userIdentity": {"type": type, "accountId": "anonymous", "userName": "alice"}}
    assert completed(rules, record)["userIdentity"]["userName"] == MASK
    assert salts.loads == [False]
    assert not salts.stored
    known = completed(rules, RECORD)
    assert completed(rules, record)["userIdentity"]["userName"] == known["userIdentity"]["userName"]


def test_record_of_no_account_has_derivable_pseudonyms(rules: PrivacyRules, salts: Salts, key_file: Path) -> None:
    """As before: refused credentials belong to no account, and are erased with the key of `other`."""
    refused: Any = RECORD | {"userIdentity": {"type": "Unknown", "userName": "alice"}, "recipientAccountId": None}
    assert [completed(rules, refused)["userIdentity"]["userName"]] == pseudonyms_of(key_file, OTHER, "alice")
    assert salts.loads == []


# --- keys ------------------------------------------------------------------------------------------------------------


def test_all_pseudonyms_of_a_value_are_found(rules: PrivacyRules, salts: Salts, key_file: Path) -> None:
    """With the salt, of the keys before, and without one; not those of another value."""
    first = completed(rules, RECORD)["userIdentity"]["userName"]
    make_pseudonym_key(key_file, ACME, rotate=True)
    rotated = PrivacyRules({Treatment.PSEUDONYMS: PLACES}, PseudonymKeys(key_file), salts)
    second = completed(rotated, RECORD)["userIdentity"]["userName"]
    plain = [pseudonym(key, "alice") for key in read_pseudonym_keys(key_file)[ACME]]
    assert pseudonyms_of(key_file, ACME, "alice", salts) == [second, first, *plain]
    assert pseudonyms_of(key_file, ACME, "alice") == plain
    assert pseudonyms_of(key_file, ACME, "alic", salts)[:1] != [second]
    assert len(pseudonyms_of(key_file, ACME, "alic", salts)) == 2


def test_subjects_cover_all_keys_and_letter_cases(key_file: Path) -> None:
    """A name is of its account alone; an ARN may be in the records of every account."""
    make_pseudonym_key(key_file, ACME, rotate=True)
    found = subjects_of(key_file, ACME, ["Alice"], ["arn:aws:iam::111122223333:user/Alice"])
    assert {account: len(subjects) for account, subjects in found.items()} == {ACME: 4, UMBRELLA: 1, OTHER: 1}
    for key in read_pseudonym_keys(key_file)[ACME]:
        assert salt_subject(key, "ALICE") == salt_subject(key, "alice") in found[ACME]
        assert salt_subject(key, "alice2") not in found[ACME]
        assert pseudonym(key, "alice").removeprefix(PREFIX) not in salt_subject(key, "alice")
