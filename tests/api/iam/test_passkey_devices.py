"""Passkeys and security keys in the IAM API, by boto3: R-3, R-10, R-11, R-32."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from iam_guard.store.database.records import Records
from iam_guard.store.schema import identities, login_profiles, passkeys
from tests.api.conftest import ACCOUNT, ADMIN_KEY, OTHER_KEY, ROOT_KEY, Client, Running, refusal
from tests.api.iam.credentials.test_mfa_devices import enable, new_device, serial_of

CREATED = 1_700_000_000
SERIAL = f"arn:aws:iam::{ACCOUNT}:u2f/user/jane/passkey-1"
ROOT_SERIAL = f"arn:aws:iam::{ACCOUNT}:u2f/root-account/passkey-1"


def insert(records: Records, serial: str, user_id: str | None) -> None:
    values: dict[str, Any] = {"id": serial, "name": "laptop", "public_key": b"", "sign_count": 0, "transports": []}
    kind = {"is_discoverable": True, "is_synced": False}
    records.insert(passkeys, account=ACCOUNT, user_id=user_id, serial=serial, created=CREATED, **values, **kind)


def add_passkey(server: Running, user: str | None = "jane", number: int = 1) -> str:
    """Add a passkey as the pages do; None is the root user."""
    serial = f"arn:aws:iam::{ACCOUNT}:u2f/{f'user/{user}' if user else 'root-account'}/passkey-{number}"
    with server.store.write_transaction() as records:
        row = None if user is None else records.one(identities, account=ACCOUNT, name=user)
        insert(records, serial, None if row is None else row["id"])
    return serial


@pytest.fixture
def jane(iam: Client, server: Running) -> str:
    """A user with a passkey."""
    iam.create_user(UserName="jane")
    return add_passkey(server)


def serials(iam: Client, **parameters: Any) -> list[str]:
    return [device["SerialNumber"] for device in iam.list_mfa_devices(**parameters)["MFADevices"]]


def test_passkey_is_listed_with_the_devices(iam: Client, jane: str) -> None:
    """By serial number, in pages; it is no virtual device."""
    enable(iam, new_device(iam))
    assert serials(iam, UserName="jane") == [serial_of("phone"), SERIAL]
    first = iam.list_mfa_devices(UserName="jane", MaxItems=1)
    assert first["IsTruncated"]
    second = iam.list_mfa_devices(UserName="jane", MaxItems=1, Marker=first["Marker"])
    [device] = second["MFADevices"]
    assert (device["UserName"], device["SerialNumber"]) == ("jane", SERIAL)
    assert device["EnableDate"].timestamp() == CREATED
    assert not second["IsTruncated"]
    listed = iam.list_virtual_mfa_devices()["VirtualMFADevices"]
    assert [device["SerialNumber"] for device in listed] == [serial_of("phone")]


def test_passkey_is_described(iam: Client, jane: str) -> None:
    device = iam.get_mfa_device(SerialNumber=jane, UserName="jane")
    assert (device["UserName"], device["SerialNumber"]) == ("jane", SERIAL)
    assert device["EnableDate"].timestamp() == CREATED
    iam.create_user(UserName="bob")
    with refusal("NoSuchEntity"):
        iam.get_mfa_device(SerialNumber=jane, UserName="bob")


def test_passkey_is_deactivated(server: Running, iam: Client, jane: str) -> None:
    """Which removes it; a short password must then be changed."""
    iam.create_login_profile(UserName="jane", Password="short 99", PasswordResetRequired=False)
    iam.create_user(UserName="bob")
    with refusal("NoSuchEntity"):
        iam.deactivate_mfa_device(SerialNumber=jane, UserName="bob")
    iam.deactivate_mfa_device(SerialNumber=jane, UserName="jane")
    assert serials(iam, UserName="jane") == []
    with server.store.read_transaction() as records:
        [profile] = records.all(login_profiles, user_id=iam.get_user(UserName="jane")["User"]["UserId"])
        assert profile["reset_required"]
        assert records.all(passkeys) == []
    with refusal("NoSuchEntity"):
        iam.deactivate_mfa_device(SerialNumber=jane, UserName="jane")


def test_passkey_of_the_root_user(server: Running) -> None:
    """A user's passkey is not the root user's, nor the other way around."""
    root, admin = server.client(ROOT_KEY), server.client(ADMIN_KEY)
    serial = add_passkey(server, None)
    assert serials(root) == [serial] == [ROOT_SERIAL]
    assert serials(admin) == []
    with refusal("NoSuchEntity"):
        admin.deactivate_mfa_device(SerialNumber=serial, UserName="admin")
    assert root.get_account_summary()["SummaryMap"]["AccountMFAEnabled"] == 1
    root.deactivate_mfa_device(SerialNumber=serial)
    assert serials(root) == []


def test_passkey_of_another_account_is_unknown(server: Running, iam: Client, jane: str) -> None:
    other = server.client(OTHER_KEY)
    assert serials(other) == []
    for operation in (other.get_mfa_device, other.deactivate_mfa_device):
        with refusal("NoSuchEntity"):
            operation(SerialNumber=jane, UserName="admin")
    assert serials(iam, UserName="jane") == [SERIAL]


def test_passkey_is_no_virtual_device(iam: Client, jane: str) -> None:
    """It is neither enabled, resynchronized nor deleted as one, and has no tags."""
    codes = {"AuthenticationCode1": "123456", "AuthenticationCode2": "234567"}
    for call in (
        lambda: iam.enable_mfa_device(UserName="jane", SerialNumber=jane, **codes),
        lambda: iam.resync_mfa_device(UserName="jane", SerialNumber=jane, **codes),
        lambda: iam.delete_virtual_mfa_device(SerialNumber=jane),
        lambda: iam.list_mfa_device_tags(SerialNumber=jane),
    ):
        with refusal("NoSuchEntity"):
            call()
    assert serials(iam, UserName="jane") == [SERIAL]


def test_user_has_eight_devices_and_passkeys(server: Running, iam: Client, jane: str) -> None:
    for number in range(2, 9):
        add_passkey(server, number=number)
    seed = new_device(iam)
    with refusal("LimitExceeded"):
        enable(iam, seed)
    iam.deactivate_mfa_device(SerialNumber=jane, UserName="jane")
    enable(iam, seed)


def test_user_with_a_passkey_is_not_deleted(iam: Client, jane: str) -> None:
    with refusal("DeleteConflict", "Cannot delete entity, must delete MFA device first."):
        iam.delete_user(UserName="jane")
    iam.deactivate_mfa_device(SerialNumber=jane, UserName="jane")
    iam.delete_user(UserName="jane")


def test_reports_count_passkeys(server: Running, iam: Client, jane: str) -> None:
    """The credential report and the account summary."""
    before = iam.get_account_summary()["SummaryMap"]
    assert (before["MFADevices"], before["MFADevicesInUse"], before["AccountMFAEnabled"]) == (1, 1, 0)
    add_passkey(server, None)
    after = iam.get_account_summary()["SummaryMap"]
    assert (after["MFADevices"], after["MFADevicesInUse"], after["AccountMFAEnabled"]) == (2, 2, 1)
    iam.generate_credential_report()
    report = csv.DictReader(io.StringIO(iam.get_credential_report()["Content"].decode()))
    assert [line["user"] for line in report if line["mfa_active"] == "true"] == ["<root_account>", "jane"]


def test_passkey_protects_no_call(server: Running, iam: Client) -> None:
    """It makes no code (R-32)."""
    serial = add_passkey(server, "admin")
    sts = server.client(ADMIN_KEY, "sts")
    for code in ("123456", "000000"):
        with refusal("AccessDenied", "MultiFactorAuthentication failed, unable to validate MFA code.", 403):
            sts.get_session_token(SerialNumber=serial, TokenCode=code)


def test_password_may_be_short_beside_a_passkey(server: Running, iam: Client, jane: str) -> None:
    iam.create_login_profile(UserName="jane", Password="short 99")
    with server.store.read_transaction() as records:
        person = records.one(identities, account=ACCOUNT, name="jane")
        assert person is not None
        assert records.count(login_profiles, user_id=person["id"]) == 1
