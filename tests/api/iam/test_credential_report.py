"""The credential report: its columns, its values, its four hours (R-33, R-35; services/iam/credential_report.py)."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import pytest

from iam_guard.api.iam.credential_report import LIFE
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


def told(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def report(client: Any) -> dict[str, dict[str, str]]:
    """Generate, get and read: the lines by user."""
    client.generate_credential_report()
    text = client.get_credential_report()["Content"].decode()
    assert text.splitlines()[0] == HEADER
    lines = list(csv.DictReader(io.StringIO(text)))
    assert lines[0]["user"] == "<root_account>"
    return {line["user"]: line for line in lines}


def add(server: Running, table: Any, **values: Any) -> None:
    """Put a row in, as other operations would."""
    with server.store.changing() as records:
        records.insert(table, account=ACCOUNT, **values)
    server.guard.refresh()


def age(server: Running, seconds: int) -> None:
    """Make the report older."""
    with server.store.changing() as records:
        row = records.one(credential_reports, account=ACCOUNT)
        assert row is not None
        records.update(credential_reports, {"created": row["created"] - seconds}, account=ACCOUNT)
    server.guard.refresh()


# --- its life ---


def test_it_is_started_and_then_complete(iam: Any, now: int) -> None:
    """R-35: as prowler waits for it."""
    assert iam.generate_credential_report()["State"] == "STARTED"
    assert "Description" not in iam.generate_credential_report()
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    answer = iam.get_credential_report()
    assert answer["ReportFormat"] == "text/csv"
    assert answer["GeneratedTime"].timestamp() == now


def test_the_first_is_described(iam: Any) -> None:
    """In AWS's words."""
    answer = iam.generate_credential_report()
    assert answer["Description"] == "No report exists. Starting a new report generation task"


def test_there_is_none_before_it_is_generated(iam: Any, other_account: Any, refused: Refused) -> None:
    """And another account's is not one."""
    other_account.generate_credential_report()
    with refused("ReportNotPresent", "does not exist", 410):
        iam.get_credential_report()


def test_it_stays_as_it_was_for_four_hours(iam: Any, server: Running, refused: Refused) -> None:
    """R-35: then it has expired, and the next is made from the present state."""
    assert "ada" not in report(iam)
    iam.create_user(UserName="ada")
    assert "ada" not in report(iam)
    age(server, LIFE - 60)
    assert "ada" not in report(iam)
    age(server, 60)
    with refused("ReportExpired", "has expired", 410):
        iam.get_credential_report()
    answer = iam.generate_credential_report()
    assert (answer["State"], answer.get("Description")) == ("STARTED", None)
    assert "ada" in report(iam)


# --- what it says ---


def test_users_are_in_order_after_the_root_user(iam: Any) -> None:
    """Names of all kinds come through, a comma too; other accounts' users are not there."""
    names = ["Zoe", "=1+1", "a,b", "bob@acme.example", "carol"]
    for name in names:
        iam.create_user(UserName=name, Path="/staff/")
    lines = report(iam)
    assert list(lines) == ["<root_account>", "=1+1", "a,b", "admin", "bob@acme.example", "carol", "Zoe"]
    assert lines["a,b"]["arn"] == f"arn:aws:iam::{ACCOUNT}:user/staff/a,b"
    assert lines["<root_account>"]["arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert [line for line in lines.values() if f"::{ACCOUNT}:" not in line["arn"]] == []


def test_a_user_without_credentials(iam: Any) -> None:
    """R-35: what does not apply is `N/A`, what is not there is not active."""
    created = iam.create_user(UserName="ada")["User"]["CreateDate"]
    line = report(iam)["ada"]
    assert line.pop("user_creation_time") == told(int(created.timestamp()))
    truths = {name: value for name, value in line.items() if name.endswith(("_active", "_enabled"))}
    assert set(truths.values()) == {"false"}
    assert len(truths) == 6
    rest = {value for name, value in line.items() if name not in truths and name not in ("user", "arn")}
    assert rest == {"N/A"}


def test_passwords(iam: Any, server: Running) -> None:
    """Used or never used, and when the next is due where the account's policy says so (R-20)."""
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
    assert [lines["ada"][column] for column in columns] == ["true", told(NOW + 5), told(NOW + 1), "N/A"]
    assert [lines["bob"][column] for column in columns] == ["true", "no_information", told(NOW + 1), "N/A"]
    assert [lines["<root_account>"][column] for column in columns] == ["true", told(NOW), told(NOW), "not_supported"]
    assert [lines["admin"][column] for column in columns] == ["false", "N/A", "N/A", "N/A"]

    iam.update_account_password_policy(MaxPasswordAge=90)
    age(server, LIFE)
    lines = report(iam)
    assert lines["bob"]["password_next_rotation"] == told(NOW + 1 + 90 * DAY)
    assert lines["admin"]["password_next_rotation"] == "N/A"
    assert lines["<root_account>"]["password_next_rotation"] == "not_supported"


def test_access_keys_with_their_last_use(iam: Any, root: Any, server: Running) -> None:
    """R-33: date, region and service of the latest use; an inactive key keeps its dates; the oldest comes first."""
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


def test_devices_and_certificates(iam: Any, server: Running) -> None:
    """A device of nobody is nobody's; a third certificate is told as a number."""
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
    assert [lines["ada"][column] for column in columns] == ["true", told(NOW), "false", told(NOW + 1)]
    assert lines["ada"]["additional_credentials_info"] == "1 more signing certificates, see ListSigningCertificates"
    assert lines["admin"]["additional_credentials_info"] == "N/A"


@pytest.mark.parametrize("secret", [ADMIN_KEY[1], ROOT_KEY[1], ADMIN_KEY[0]])
def test_it_has_no_secrets(iam: Any, secret: str) -> None:
    """Not even the ids of access keys."""
    iam.generate_credential_report()
    assert secret.encode() not in iam.get_credential_report()["Content"]
