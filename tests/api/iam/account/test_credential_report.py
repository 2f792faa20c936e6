"""The credential report: columns, values, four hours of validity (R-33, R-35)."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import pytest

from iam_guard.api.iam.account.credential_report import MAX_AGE
from iam_guard.store.schema import credential_reports, login_profiles, mfa_devices, signing_certificates
from tests.api.conftest import ACCOUNT, ADMIN_KEY, ROOT_KEY, Running

Refused = Callable[..., AbstractContextManager[None]]

HEADER = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,"
    "mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,"
    "access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,"
    "access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,"
    "cert_1_last_rotated,cert_2_active,cert_2_last_rotated,additional_credentials_info"
)
NOW = 1_800_000_000
DAY = 24 * 60 * 60


def iso_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def report(client: Any) -> dict[str, dict[str, str]]:
    """Generate and fetch a report; return its rows by user."""
    client.generate_credential_report()
    text = client.get_credential_report()["Content"].decode()
    assert text.splitlines()[0] == HEADER
    lines = list(csv.DictReader(io.StringIO(text)))
    assert lines[0]["user"] == "<root_account>"
    return {line["user"]: line for line in lines}


def add(server: Running, table: Any, **values: Any) -> None:
    """Insert a row, as other operations would."""
    with server.store.write_transaction() as records:
        records.insert(table, account=ACCOUNT, **values)
    server.guard.refresh()


def age(server: Running, seconds: int) -> None:
    """Make the report older."""
    with server.store.write_transaction() as records:
        row = records.one(credential_reports, account=ACCOUNT)
        assert row is not None
        records.update(credential_reports, {"created": row["created"] - seconds}, account=ACCOUNT)
    server.guard.refresh()


# --- lifetime ---


def test_report_generation_starts_and_completes(iam: Any, now: int) -> None:
    """R-35: Prowler polls it."""
    assert iam.generate_credential_report()["State"] == "STARTED"
    assert "Description" not in iam.generate_credential_report()
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    answer = iam.get_credential_report()
    assert answer["ReportFormat"] == "text/csv"
    assert answer["GeneratedTime"].timestamp() == now


def test_first_report_has_a_description(iam: Any) -> None:
    """In AWS's words."""
    answer = iam.generate_credential_report()
    assert answer["Description"] == "No report exists. Starting a new report generation task"


def test_report_is_missing_before_generation(iam: Any, other_account: Any, refused: Refused) -> None:
    """Another account's report doesn't count."""
    other_account.generate_credential_report()
    with refused("ReportNotPresent", "does not exist", 410):
        iam.get_credential_report()


def test_report_is_unchanged_for_four_hours(iam: Any, server: Running, refused: Refused) -> None:
    """R-35: then it expires, and the next one has the current state."""
    assert "ada" not in report(iam)
    iam.create_user(UserName="ada")
    assert "ada" not in report(iam)
    age(server, MAX_AGE - 60)
    assert "ada" not in report(iam)
    age(server, 60)
    with refused("ReportExpired", "has expired", 410):
        iam.get_credential_report()
    answer = iam.generate_credential_report()
    assert (answer["State"], answer.get("Description")) == ("STARTED", None)
    assert "ada" in report(iam)


# --- content ---


def test_report_lists_the_root_user_and_sorted_users(iam: Any) -> None:
    """With any names, even with a comma; other accounts' users are missing."""
    names = ["Zoe", "=1+1", "a,b", "bob@acme.example", "carol"]
    for name in names:
        iam.create_user(UserName=name, Path="/staff/")
    lines = report(iam)
    assert list(lines) == ["<root_account>", "=1+1", "a,b", "admin", "bob@acme.example", "carol", "Zoe"]
    assert lines["a,b"]["arn"] == f"arn:aws:iam::{ACCOUNT}:user/staff/a,b"
    assert lines["<root_account>"]["arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert [line for line in lines.values() if f"::{ACCOUNT}:" not in line["arn"]] == []


def test_report_of_a_user_without_credentials(iam: Any) -> None:
    """R-35: `N/A` for what doesn't apply, inactive for missing credentials."""
    created = iam.create_user(UserName="ada")["User"]["CreateDate"]
    line = report(iam)["ada"]
    assert line.pop("user_creation_time") == iso_time(int(created.timestamp()))
    truths = {name: value for name, value in line.items() if name.endswith(("_active", "_enabled"))}
    assert set(truths.values()) == {"false"}
    assert len(truths) == 6
    rest = {value for name, value in line.items() if name not in truths and name not in ("user", "arn")}
    assert rest == {"N/A"}


def test_report_of_passwords(iam: Any, server: Running) -> None:
    """Used or unused, and the next rotation by the password policy (R-20)."""
    ids = {name: iam.create_user(UserName=name)["User"]["UserId"] for name in ("ada", "bob")}
    for name, used in (("ada", NOW + 5), ("bob", None)):
        add(
            server,
            login_profiles,
            owner=ids[name],
            user_id=ids[name],
            digest="",
            reset_required=False,
            created=NOW,
            changed=NOW + 1,
            used=used,
        )
    add(
        server,
        login_profiles,
        owner=ACCOUNT,
        user_id=None,
        digest="",
        reset_required=False,
        created=NOW,
        changed=NOW,
        used=NOW,
    )
    columns = ("password_enabled", "password_last_used", "password_last_changed", "password_next_rotation")
    lines = report(iam)
    assert [lines["ada"][column] for column in columns] == ["true", iso_time(NOW + 5), iso_time(NOW + 1), "N/A"]
    assert [lines["bob"][column] for column in columns] == ["true", "no_information", iso_time(NOW + 1), "N/A"]
    assert [lines["<root_account>"][column] for column in columns] == [
        "true",
        iso_time(NOW),
        iso_time(NOW),
        "not_supported",
    ]
    assert [lines["admin"][column] for column in columns] == ["false", "N/A", "N/A", "N/A"]

    iam.update_account_password_policy(MaxPasswordAge=90)
    age(server, MAX_AGE)
    lines = report(iam)
    assert lines["bob"]["password_next_rotation"] == iso_time(NOW + 1 + 90 * DAY)
    assert lines["admin"]["password_next_rotation"] == "N/A"
    assert lines["<root_account>"]["password_next_rotation"] == "not_supported"


def test_root_user_without_password_has_no_information(iam: Any) -> None:
    """Auditing tools parse any other value as a date."""
    columns = ("password_enabled", "password_last_used", "password_last_changed", "password_next_rotation")
    root = report(iam)["<root_account>"]
    assert [root[column] for column in columns] == ["false", "no_information", "N/A", "not_supported"]


def test_report_of_access_keys_has_last_use(iam: Any, root: Any, server: Running) -> None:
    """R-33: date, region and service of the last use; inactive keys keep their dates; oldest first."""
    iam.create_user(UserName="ada")
    for _ in range(2):
        key = iam.create_access_key(UserName="ada")["AccessKey"]
    iam.update_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    root.list_users()
    server.guard.uses.flush()
    lines = report(iam)
    statuses = {lines["ada"][f"access_key_{number}_active"] for number in (1, 2)}
    assert statuses == {"true", "false"}
    assert all(lines["ada"][f"access_key_{number}_last_rotated"] != "N/A" for number in (1, 2))
    for number in (1, 2):
        for column in ("date", "region", "service"):
            assert lines["ada"][f"access_key_{number}_last_used_{column}"] == "N/A"
    for name in ("admin", "<root_account>"):
        assert lines[name]["access_key_1_active"] == "true"
        assert lines[name]["access_key_1_last_used_region"] == "us-east-1"
        assert lines[name]["access_key_1_last_used_service"] == "iam"
        assert lines[name]["access_key_1_last_used_date"][:2] == "20"
        assert lines[name]["access_key_2_active"] == "false"


def test_report_of_devices_and_certificates(iam: Any, server: Running) -> None:
    """An unassigned device is left out; a third certificate is only counted."""
    ada = iam.create_user(UserName="ada")["User"]["UserId"]
    for number, (user_id, for_root) in enumerate(((ada, False), (None, False))):
        add(
            server,
            mfa_devices,
            serial=f"arn:aws:iam::{ACCOUNT}:mfa/{number}",
            path="/",
            name=str(number),
            folded=str(number),
            user_id=user_id,
            for_root=for_root,
            sealed=b"",
            tags={},
            created=NOW,
        )
    for number, status in enumerate(("Active", "Inactive", "Active")):
        add(
            server,
            signing_certificates,
            id=f"certificate-{number}",
            user_id=ada,
            body="",
            fingerprint=str(number),
            status=status,
            created=NOW + number,
        )
    lines = report(iam)
    assert [name for name, line in lines.items() if line["mfa_active"] == "true"] == ["ada"]
    columns = ("cert_1_active", "cert_1_last_rotated", "cert_2_active", "cert_2_last_rotated")
    assert [lines["ada"][column] for column in columns] == ["true", iso_time(NOW), "false", iso_time(NOW + 1)]
    assert lines["ada"]["additional_credentials_info"] == "1 more signing certificates, see ListSigningCertificates"
    assert lines["admin"]["additional_credentials_info"] == "N/A"


@pytest.mark.parametrize("secret", [ADMIN_KEY[1], ROOT_KEY[1], ADMIN_KEY[0]])
def test_report_has_no_secrets(iam: Any, secret: str) -> None:
    """Not even the ids of access keys."""
    iam.generate_credential_report()
    assert secret.encode() not in iam.get_credential_report()["Content"]
