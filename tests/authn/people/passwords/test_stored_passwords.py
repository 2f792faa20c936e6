"""Passwords of people in the store: set, reuse, renewed, expired, last used (R-20, R-24, R-25, R-33)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from iam_guard.authn.people.passwords import stored_passwords as passwords
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.person import Person
from iam_guard.authn.people.second_factors.factors import has_second_factor
from iam_guard.settings import Settings
from iam_guard.store.database.records import Records
from iam_guard.store.opening import create_store
from iam_guard.store.schema import accounts, former_passwords, identities, login_profiles, mfa_devices, passkeys
from iam_guard.store.schema import password_policies as policies
from iam_guard.store.sql_store import SqlStore
from tests.passwords import set_password
from tests.tables import table

ACCOUNT, NOW, DAY = "111122223333", 1_800_000_000, 24 * 60 * 60
ROOT = Person(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root")
JANE = Person(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/jane", "AIDAJANE", "jane")
LONG, OTHER, SHORT = "a long password", "another password", "short 99"
HASHER = PasswordHasher(64, 1)
POLICY: dict[str, Any] = {
    "MinimumPasswordLength": 6,
    "RequireSymbols": False,
    "RequireNumbers": False,
    "RequireUppercaseCharacters": False,
    "RequireLowercaseCharacters": False,
    "AllowUsersToChangePassword": False,
}


@pytest.fixture
def store() -> Iterator[SqlStore]:
    opened = create_store("sqlite://", Settings())
    with opened.write_transaction() as records:
        email = "admin@acme.example"
        records.insert(accounts, id=ACCOUNT, name="acme", alias="acme-alias", email=email, created=NOW)
        names = {"kind": "user", "path": "/", "name": "jane", "folded": "jane", "description": ""}
        more = {"tags": {}, "trust_bindings": {}, "created": NOW}
        records.insert(identities, id=JANE.user_id, account=ACCOUNT, **names, **more)
    yield opened
    opened.close()


@pytest.fixture
def records(store: SqlStore) -> Iterator[Records]:
    """A transaction on the store of an account with its root user and the user `jane`."""
    with store.write_transaction() as records:
        yield records


def set_(records: Records, person: Person, password: str, **options: Any) -> str | None:
    return set_password(records, HASHER, person, password, NOW, **options)


def profile_of(records: Records, person: Person) -> Any:
    row = passwords.find_profile(records, person)
    assert row is not None
    return row


def has_password(records: Records, person: Person, password: str) -> bool:
    return HASHER.matches(password, profile_of(records, person)["digest"])


def set_policy(records: Records, **settings: Any) -> None:
    records.delete(policies, account=ACCOUNT)
    records.insert(policies, account=ACCOUNT, policy={**POLICY, **settings})


def add_device(records: Records, person: Person, serial: str = "phone", *, enabled: int | None = NOW) -> None:
    names = {"path": "/", "name": serial, "folded": serial, "sealed": b"", "tags": {}, "created": NOW}
    records.insert(mfa_devices, serial=serial, **person.where, **names, for_root=person == ROOT, enabled=enabled)


def add_passkey(records: Records, person: Person) -> None:
    names = {"id": "key", "serial": "key", "name": "key", "public_key": b"", "sign_count": 0, "created": NOW}
    records.insert(passkeys, **person.where, **names, transports=[], is_discoverable=True, is_synced=True)


# --- setting -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", [ROOT, JANE], ids=["root", "jane"])
def test_password_is_set_and_replaced(records: Records, person: Person) -> None:
    """A first one makes the login profile; `reset_required` stays unless it is given."""
    assert set_(records, person, LONG, reset_required=True) is None
    first = profile_of(records, person)
    assert (first["reset_required"], first["is_long"], first["created"], first["used"]) == (True, True, NOW, None)
    assert set_password(records, HASHER, person, OTHER, NOW + 5) is None
    second = profile_of(records, person)
    assert (second["reset_required"], second["created"], second["changed"]) == (True, NOW, NOW + 5)
    assert has_password(records, person, OTHER)
    assert [row["digest"] for row in records.all(former_passwords)] == [first["digest"]]
    assert set_(records, person, LONG, reset_required=False) is None
    assert profile_of(records, person)["reset_required"] is False


def test_bad_password_changes_nothing(records: Records) -> None:
    """Names of the account and of the person are read from the store."""
    set_(records, JANE, LONG)
    names = ["jane20261128000", "ADMIN1234567890", "acme00000000000", "acme-alias00000", "admin@acme.example"]
    for bad in ["short", "1" * 15, f"{ACCOUNT}000", *names]:
        assert set_(records, JANE, bad) is not None, bad
    assert has_password(records, JANE, LONG)
    assert records.count(former_passwords) == 0
    assert set_(records, ROOT, "acme-alias00000") is not None
    assert set_(records, ROOT, "jane20261128000") is None


def test_reuse_is_prevented_by_the_policy(records: Records) -> None:
    """As many as it says, in any form; the root user has no policy (R-20, R-24)."""
    for person in (ROOT, JANE):
        for password in ("½ a long password", OTHER):
            assert set_(records, person, password) is None
    set_policy(records, PasswordReusePrevention=2)
    for password in ("1⁄2 a long password", "½ a long password", OTHER):
        assert "reuse prevention" in (set_(records, JANE, password) or "")
        assert set_(records, ROOT, password) is None
    assert has_password(records, JANE, OTHER)
    set_policy(records, PasswordReusePrevention=1)
    assert set_(records, JANE, "½ a long password") is None


def test_policy_of_the_account_is_for_users(records: Records) -> None:
    """Not for the root user (R-24)."""
    set_policy(records, RequireNumbers=True)
    assert set_(records, JANE, "sixsi6") is None
    assert set_(records, JANE, LONG) is not None
    assert set_(records, ROOT, "sixsi6") is not None
    assert set_(records, ROOT, LONG) is None


def test_cost_is_raised_unless_the_password_was_changed(records: Records) -> None:
    """Between the comparison and the renewal."""
    set_(records, JANE, LONG)
    records.update(login_profiles, {"is_long": None}, owner=JANE.owner)
    old, costly = profile_of(records, JANE)["digest"], PasswordHasher(128, 1)
    new = costly.digest(LONG, same_salt_as=old)
    passwords.renew_digest(records, JANE, LONG, outdated=old, digest=new)
    assert (profile_of(records, JANE)["digest"], profile_of(records, JANE)["is_long"]) == (new, True)
    assert not costly.is_outdated(new)
    set_(records, JANE, OTHER)
    passwords.renew_digest(records, JANE, LONG, outdated=new, digest=new)
    assert has_password(records, JANE, OTHER)
    assert records.count(former_passwords) == 1


# --- second factors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", [ROOT, JANE], ids=["root", "jane"])
def test_second_factor_is_the_persons_own(records: Records, person: Person) -> None:
    """An enabled device or a passkey."""
    other = JANE if person is ROOT else ROOT
    add_device(records, other)
    add_device(records, ROOT, "unassigned", enabled=None)
    records.update(mfa_devices, {"for_root": False}, serial="unassigned")
    assert not has_second_factor(records, person)
    assert set_(records, person, SHORT) is not None
    add_passkey(records, person)
    assert has_second_factor(records, person)
    records.delete(passkeys)
    add_device(records, person, "own")
    assert has_second_factor(records, person)
    assert set_(records, person, SHORT) is None
    assert profile_of(records, person)["is_long"] is False


@pytest.mark.parametrize(
    ("is_long", "policy", "left", "expected"),
    [
        (True, False, "", False),
        (False, False, "", True),
        (None, False, "", True),
        (False, False, "device", False),
        (False, False, "passkey", False),
        (False, True, "", False),
    ],
)
def test_last_factor_of_a_short_password_requires_a_change(
    records: Records, is_long: bool | None, policy: bool, left: str, expected: bool
) -> None:
    """An unknown length counts as short; an account's own policy says what is long enough."""
    set_(records, JANE, LONG)
    records.update(login_profiles, {"is_long": is_long}, owner=JANE.owner)
    if policy:
        set_policy(records)
    if left:
        (add_device if left == "device" else add_passkey)(records, JANE)
    passwords.follow_removal_of_factor(records, JANE)
    assert profile_of(records, JANE)["reset_required"] is expected


def test_person_without_a_password_needs_no_change(records: Records) -> None:
    passwords.follow_removal_of_factor(records, JANE)
    passwords.record_sign_in(records, JANE, NOW)
    assert passwords.find_profile(records, JANE) is None


# --- expiry and last use -----------------------------------------------------------------------------------------


@table(
    ("policy", "age", "expected"),
    [
        (None, 10**9, "valid"),
        ({}, 10**9, "valid"),
        ({"HardExpiry": True}, 10**9, "valid"),
        ({"MaxPasswordAge": 0}, 10**9, "valid"),
        ({"MaxPasswordAge": 90}, 90 * DAY - 1, "valid"),
        ({"MaxPasswordAge": 90}, 90 * DAY, "expired"),
        ({"MaxPasswordAge": 90, "HardExpiry": False}, 91 * DAY, "expired"),
        ({"MaxPasswordAge": 90, "HardExpiry": True}, 90 * DAY - 1, "valid"),
        ({"MaxPasswordAge": 90, "HardExpiry": True}, 90 * DAY, "locked_out"),
        ({"MaxPasswordAge": 1}, -DAY, "valid"),
    ],
)
def test_password_expires_by_the_policy(policy: dict[str, Any] | None, age: int, expected: str) -> None:
    """At the time that the credential report has as the next rotation (R-24, R-25)."""
    assert passwords.password_state({"changed": NOW}, policy, NOW + age) == expected


def test_root_password_never_expires(records: Records) -> None:
    """R-24."""
    set_policy(records, MaxPasswordAge=1, HardExpiry=True)
    for person, expected in ((ROOT, "valid"), (JANE, "locked_out")):
        set_(records, person, LONG)
        policy = passwords.policy_of(records, person)
        assert passwords.password_state(profile_of(records, person), policy, NOW + DAY) == expected


def test_last_use_is_stored_once_in_five_minutes(records: Records) -> None:
    """R-33."""
    set_(records, JANE, LONG)
    for after, expected in ((0, 0), (299, 0), (300, 300), (301, 300), (599, 300), (10_000, 10_000)):
        passwords.record_sign_in(records, JANE, NOW + after)
        assert profile_of(records, JANE)["used"] == NOW + expected


def test_concurrent_changes_lose_no_password(tmp_path: Path) -> None:
    """Each waits for the transaction of the other."""
    opened = create_store(f"sqlite:///{tmp_path / 'store.db'}", Settings())
    with opened.write_transaction() as records:
        records.insert(accounts, id=ACCOUNT, name="acme", created=NOW)

    def change(number: int) -> str | None:
        with opened.write_transaction() as records:
            return set_(records, ROOT, f"{LONG} {number}")

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(change, range(16))) == {None}
    with opened.read_transaction() as records:
        assert [row["number"] for row in records.all(former_passwords, order=("number",))] == list(range(1, 16))
    opened.close()
