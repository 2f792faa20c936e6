"""Virtual MFA devices by boto3: R-3, R-10, R-11, R-32."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from iam_guard.authn.people.second_factors.one_time_codes import check_code
from iam_guard.store.database.records import Row
from iam_guard.store.quotas import QUOTAS
from iam_guard.store.schema import mfa_devices
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, Running, allow, refusal
from tests.api.iam.mfa_parts import STEP_SECONDS, code_at, codes_at, step_now

ARN = f"arn:aws:iam::{ACCOUNT}:mfa/phone"
INVALID = "Authentication code for device is not valid."


def new_device(iam: Client, name: str = "phone", **more: Any) -> str:
    """Create a device, and return its seed."""
    seed: bytes = iam.create_virtual_mfa_device(VirtualMFADeviceName=name, **more)["VirtualMFADevice"][
        "Base32StringSeed"
    ]
    return seed.decode()


def serial_of(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:mfa/{name}"


def enable(iam: Client, seed: str, name: str = "phone", user: str = "jane", step: int | None = None) -> int:
    """Enable a device, and return the first unused step."""
    step = step_now() - 1 if step is None else step
    iam.enable_mfa_device(UserName=user, SerialNumber=serial_of(name), **codes_at(seed, step))
    return step + 2


def row_of(server: Running, name: str = "phone") -> Row:
    with server.store.read_transaction() as records:
        row = records.one(mfa_devices, serial=serial_of(name))
    assert row is not None
    return row


def serials(answer: dict[str, Any], member: str = "MFADevices") -> list[str]:
    return [device["SerialNumber"].rpartition("/")[2] for device in answer[member]]


@pytest.fixture
def jane(iam: Client) -> str:
    iam.create_user(UserName="jane")
    return "jane"


# --- unassigned devices -----------------------------------------------------------------------------------------


def test_new_device_is_returned_once(iam: Client, server: Running) -> None:
    """Serial number, seed and QR code; neither lists nor the row reveal the seed later (R-32)."""
    made = iam.create_virtual_mfa_device(VirtualMFADeviceName="phone", Path="/team/")["VirtualMFADevice"]
    assert made["SerialNumber"] == f"arn:aws:iam::{ACCOUNT}:mfa/team/phone"
    seed = made["Base32StringSeed"]
    assert len(seed) == 64
    assert len(base64.b32decode(seed)) == 40
    assert made["QRCodePNG"].startswith(b"\x89PNG")
    assert "User" not in made
    assert "EnableDate" not in made
    (listed,) = iam.list_virtual_mfa_devices()["VirtualMFADevices"]
    assert listed == {"SerialNumber": made["SerialNumber"]}
    with server.store.read_transaction() as records:
        row = records.one(mfa_devices, serial=made["SerialNumber"])
    assert row is not None
    assert seed not in row["sealed"]
    assert base64.b32decode(seed) not in row["sealed"]


def test_device_name_is_unique_per_path(iam: Client) -> None:
    """In any letter case."""
    for path in ("/", "/a/", "/A/", "/a/b/"):
        new_device(iam, Path=path)
        for again in ("phone", "Phone"):
            with refusal("EntityAlreadyExists", "MFADevice entity at the same path and name already exists.", 409):
                iam.create_virtual_mfa_device(VirtualMFADeviceName=again, Path=path)
    assert [device["SerialNumber"] for device in iam.list_virtual_mfa_devices()["VirtualMFADevices"]] == sorted(
        serial_of(name) for name in ("phone", "a/phone", "A/phone", "a/b/phone")
    )


def test_path_of_apps_that_people_add_is_reserved(iam: Client) -> None:
    """Else the names of a person's next apps could be taken."""
    with refusal("InvalidInput", status=400):
        new_device(iam, name="app-1", Path="/signin/AIDAEXAMPLE/")
    assert new_device(iam, Path="/signing/")


def test_device_of_an_earlier_release_keeps_its_serial_number(iam: Client, server: Running) -> None:
    """Its row has the name without the path."""
    new_device(iam, Path="/a/")
    with server.store.write_transaction() as records:
        records.update(mfa_devices, {"folded": "phone"}, account=ACCOUNT)
    server.guard.refresh()
    with refusal("EntityAlreadyExists", "MFADevice entity at the same path and name already exists.", 409):
        new_device(iam, Path="/a/")


@pytest.mark.parametrize(
    "parameters", [{"Path": "/a!b/"}, {"Path": "/" + "a" * 300 + "/"}, {"VirtualMFADeviceName": "x" * 300}]
)
def test_device_with_invalid_serial_number_is_rejected(iam: Client, parameters: dict[str, str]) -> None:
    """A serial number has at most 256 characters, of those in its pattern."""
    with refusal("ValidationError", status=400):
        iam.create_virtual_mfa_device(**{"VirtualMFADeviceName": "phone", **parameters})
    assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == []


def test_longest_device_name_is_usable(iam: Client) -> None:
    """226 characters, and it can be deleted again."""
    name = "x" * (256 - len(serial_of("")))
    new_device(iam, name)
    iam.delete_virtual_mfa_device(SerialNumber=serial_of(name))


def test_device_quota_is_enforced(iam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unassigned devices count too."""
    monkeypatch.setitem(QUOTAS, "virtual MFA devices per account", 1)
    new_device(iam)
    with refusal("LimitExceeded", status=409):
        iam.create_virtual_mfa_device(VirtualMFADeviceName="other")


def test_deleted_device_is_gone(iam: Client) -> None:
    """Its name is free again, and a new device has another seed."""
    seed = new_device(iam)
    iam.delete_virtual_mfa_device(SerialNumber=ARN)
    with refusal("NoSuchEntity", f"VirtualMFADevice with serial number {ARN} doesn't exist.", 404):
        iam.delete_virtual_mfa_device(SerialNumber=ARN)
    assert new_device(iam) != seed


@pytest.mark.parametrize("serial", ["GAHT12345678", "arn:aws:iam::", f"arn:aws:iam::{OTHER_ACCOUNT}:mfa/phone"])
def test_invalid_serial_numbers_are_not_found(iam: Client, jane: str, serial: str) -> None:
    """Those that the model accepts; no ARN is rejected before authorization."""
    codes = {"AuthenticationCode1": "123456", "AuthenticationCode2": "123456"}
    of_device: list[Callable[[], Any]] = [
        lambda: iam.delete_virtual_mfa_device(SerialNumber=serial),
        lambda: iam.list_mfa_device_tags(SerialNumber=serial),
        lambda: iam.tag_mfa_device(SerialNumber=serial, Tags=[{"Key": "a", "Value": "b"}]),
        lambda: iam.untag_mfa_device(SerialNumber=serial, TagKeys=["a"]),
    ]
    of_user: list[Callable[[], Any]] = [
        lambda: iam.get_mfa_device(SerialNumber=serial, UserName=jane),
        lambda: iam.enable_mfa_device(SerialNumber=serial, UserName=jane, **codes),
        lambda: iam.resync_mfa_device(SerialNumber=serial, UserName=jane, **codes),
        lambda: iam.deactivate_mfa_device(SerialNumber=serial, UserName=jane),
    ]
    for calls, code in ((of_device, "NoSuchEntity" if "mfa/" in serial else "InvalidInput"), (of_user, "NoSuchEntity")):
        for call in calls:
            with refusal(code):
                call()


# --- enabling ----------------------------------------------------------------------------------------------------


def test_device_is_enabled_by_two_consecutive_codes(iam: Client, jane: str) -> None:
    """Then all lists show its owner (R-32)."""
    enable(iam, new_device(iam))
    (own,) = iam.list_mfa_devices(UserName=jane)["MFADevices"]
    assert (own["UserName"], own["SerialNumber"]) == (jane, ARN)
    (assigned,) = iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"]
    assert assigned["User"]["UserName"] == jane
    assert assigned["EnableDate"] == own["EnableDate"]
    got = iam.get_mfa_device(SerialNumber=ARN, UserName=jane)
    assert (got["UserName"], got["SerialNumber"], got["EnableDate"]) == (jane, ARN, own["EnableDate"])


@pytest.mark.parametrize("pair", [(0, 0), (1, 0), (0, 2), (-100, -99)])
def test_other_codes_do_not_enable_a_device(iam: Client, jane: str, pair: tuple[int, int]) -> None:
    """Repeated, reversed, with a gap, too old (R-32)."""
    seed, step = new_device(iam), step_now()
    first, second = (code_at(seed, step + offset) for offset in pair)
    with refusal("InvalidAuthenticationCode", INVALID, 403):
        iam.enable_mfa_device(UserName=jane, SerialNumber=ARN, AuthenticationCode1=first, AuthenticationCode2=second)
    assert iam.list_mfa_devices(UserName=jane)["MFADevices"] == []


def test_enabled_device_is_neither_enabled_nor_deleted(iam: Client, jane: str) -> None:
    """Not even with valid codes."""
    seed = new_device(iam)
    step = enable(iam, seed)
    with refusal("EntityAlreadyExists", "MFA Device is already in use.", 409):
        iam.enable_mfa_device(UserName=jane, SerialNumber=ARN, **codes_at(seed, step))
    with refusal("DeleteConflict", "Must deactivate first.", 409):
        iam.delete_virtual_mfa_device(SerialNumber=ARN)


def test_used_codes_stay_used_after_deactivation(iam: Client, server: Running, jane: str) -> None:
    """R-32."""
    seed, step = new_device(iam), step_now() - 1
    enable(iam, seed, step=step)
    iam.deactivate_mfa_device(UserName=jane, SerialNumber=ARN)
    for again in (step, step + 1):
        with refusal("InvalidAuthenticationCode"):
            iam.enable_mfa_device(UserName=jane, SerialNumber=ARN, **codes_at(seed, again))
    enable(iam, seed, step=step + 2)


def test_single_code_is_accepted_once(iam: Client, server: Running, jane: str) -> None:
    """R-32."""
    seed = new_device(iam)
    step = enable(iam, seed)
    row, now = row_of(server), step * STEP_SECONDS
    assert check_code(row, code_at(seed, step), now, server.store.sealer) == step
    assert check_code(row, code_at(seed, step - 1), now, server.store.sealer) is None


def test_clock_drift_is_measured_again(iam: Client, server: Running, jane: str) -> None:
    """Resynchronizing uses up the codes, like enabling."""
    seed, step = new_device(iam), step_now()
    enable(iam, seed, step=step)
    assert row_of(server)["drift"] == 0
    ahead = step + 12
    iam.resync_mfa_device(UserName=jane, SerialNumber=ARN, **codes_at(seed, ahead))
    row = row_of(server)
    assert row["last_step"] == ahead + 1
    assert 11 <= row["drift"] <= 13
    with refusal("InvalidAuthenticationCode", INVALID, 403):
        iam.resync_mfa_device(UserName=jane, SerialNumber=ARN, **codes_at(seed, ahead))
    assert row_of(server) == row


def test_user_has_eight_devices_at_most(iam: Client, jane: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-10."""
    assert QUOTAS["MFA devices per user"] == 8
    monkeypatch.setitem(QUOTAS, "MFA devices per user", 2)
    for name in ("one", "two"):
        enable(iam, new_device(iam, name), name)
    seed = new_device(iam, "three")
    with refusal("LimitExceeded", "Cannot exceed quota for MFADevicesPerUser: 2", 409):
        enable(iam, seed, "three")
    iam.deactivate_mfa_device(UserName=jane, SerialNumber=serial_of("one"))
    enable(iam, seed, "three")


def test_deleting_a_user_with_a_device_raises_delete_conflict(iam: Client, jane: str) -> None:
    """R-11; a deactivated device is unassigned."""
    enable(iam, new_device(iam))
    with refusal("DeleteConflict", "must delete MFA device first"):
        iam.delete_user(UserName=jane)
    iam.deactivate_mfa_device(UserName=jane, SerialNumber=ARN)
    iam.delete_user(UserName=jane)
    assert serials(iam.list_virtual_mfa_devices(AssignmentStatus="Unassigned"), "VirtualMFADevices") == ["phone"]


@pytest.mark.usefixtures("cheap_passwords")
def test_short_password_must_be_changed_without_a_device(iam: Client, jane: str) -> None:
    """It is accepted only while there is one."""
    with refusal("PasswordPolicyViolation", "minimum length of 15 (8 with an MFA device)"):
        iam.create_login_profile(UserName=jane, Password="Kj7-short")
    step = enable(iam, new_device(iam))
    enable(iam, new_device(iam, "other"), "other", step=step)
    iam.create_login_profile(UserName=jane, Password="Kj7-short")

    def must_change_without(name: str) -> bool:
        iam.deactivate_mfa_device(UserName=jane, SerialNumber=serial_of(name))
        required: bool = iam.get_login_profile(UserName=jane)["LoginProfile"]["PasswordResetRequired"]
        return required

    assert not must_change_without("phone")
    assert must_change_without("other")


@pytest.mark.usefixtures("cheap_passwords")
def test_long_password_is_kept_without_a_device(iam: Client, root: Client, jane: str) -> None:
    """The root user's, too."""
    for client, owner, name in ((iam, {"UserName": jane}, jane), (root, {}, "root")):
        step = step_now() - 1
        client.enable_mfa_device(
            UserName=name, SerialNumber=serial_of(name), **codes_at(new_device(client, name), step)
        )
        client.create_login_profile(**owner, Password="Kj7-a-long-password")
        client.deactivate_mfa_device(**owner, SerialNumber=serial_of(name))
        assert client.get_login_profile(**owner)["LoginProfile"]["PasswordResetRequired"] is False


@pytest.mark.parametrize("operation", ["deactivate_mfa_device", "get_mfa_device", "resync_mfa_device"])
def test_device_of_another_user_is_not_found(iam: Client, jane: str, operation: str) -> None:
    """A device is reached only through its owner."""
    iam.create_user(UserName="joe")
    seed = new_device(iam)
    step = enable(iam, seed)
    more = codes_at(seed, step) if operation == "resync_mfa_device" else {}
    with refusal("NoSuchEntity", "MFA Device invalid for user.", 404):
        getattr(iam, operation)(UserName="joe", SerialNumber=ARN, **more)
    assert serials(iam.list_mfa_devices(UserName=jane)) == ["phone"]


def test_unassigned_device_has_no_owner(iam: Client, jane: str) -> None:
    """It can neither be deactivated nor resynchronized."""
    seed = new_device(iam)
    with refusal("NoSuchEntity", "MFA Device invalid for user.", 404):
        iam.deactivate_mfa_device(UserName=jane, SerialNumber=ARN)
    with refusal("NoSuchEntity", "MFA Device invalid for user.", 404):
        iam.resync_mfa_device(UserName=jane, SerialNumber=ARN, **codes_at(seed, step_now()))


def test_devices_of_an_unknown_user_raise_no_such_entity(iam: Client) -> None:
    """AWS's sentence."""
    seed = new_device(iam)
    with refusal("NoSuchEntity", "The user with name nobody cannot be found.", 404):
        enable(iam, seed, user="nobody")
    with refusal("NoSuchEntity", "The user with name nobody cannot be found.", 404):
        iam.list_mfa_devices(UserName="nobody")


# --- owners ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["root", "Root", ACCOUNT, "acme"])
def test_root_user_can_name_itself(root: Client, iam: Client, name: str) -> None:
    """Where the model requires a user name (R-3)."""
    seed = new_device(root)
    step = enable(root, seed, user=name)
    (device,) = root.list_mfa_devices()["MFADevices"]
    assert (device["SerialNumber"], device["UserName"]) == (ARN, "acme")
    (assigned,) = iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"]
    assert assigned["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert root.get_mfa_device(SerialNumber=ARN)["SerialNumber"] == ARN
    root.resync_mfa_device(UserName=name, SerialNumber=ARN, **codes_at(seed, step))
    root.deactivate_mfa_device(SerialNumber=ARN)
    assert root.list_mfa_devices()["MFADevices"] == []
    assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == [{"SerialNumber": ARN}]


def test_only_the_root_user_can_name_the_root_user(root: Client, iam: Client) -> None:
    """For other callers these are user names."""
    seed = new_device(root)
    enable(root, seed, user="root")
    for name in ("root", ACCOUNT, "acme"):
        with refusal("NoSuchEntity", f"The user with name {name} cannot be found."):
            iam.deactivate_mfa_device(UserName=name, SerialNumber=ARN)
    with refusal("NoSuchEntity", "MFA Device invalid for user."):
        iam.deactivate_mfa_device(SerialNumber=ARN)
    assert serials(root.list_mfa_devices()) == ["phone"]


def test_user_named_root_takes_precedence(root: Client) -> None:
    root.create_user(UserName="root")
    enable(root, new_device(root), user="root")
    assert serials(root.list_mfa_devices(UserName="root")) == ["phone"]
    assert root.list_mfa_devices()["MFADevices"] == []


def test_user_manages_only_its_own_devices(client_for: Callable[..., Client], iam: Client) -> None:
    """A device is authorized by its ARN, enabling it by the user's (K-33)."""
    own = [f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}", f"arn:aws:iam::{ACCOUNT}:mfa/${{aws:username}}"]
    jane = client_for("jane", allow(["iam:*MFADevice", "iam:ListMFADevices"], own))
    iam.create_user(UserName="joe")
    enable(jane, new_device(jane, "jane"), "jane")
    assert serials(jane.list_mfa_devices()) == ["jane"]
    with refusal("AccessDenied", "mfa/other"):
        new_device(jane, "other")
    seed = new_device(iam, "other")
    with refusal("AccessDenied", "user/joe"):
        enable(jane, seed, "other", user="joe")
    with refusal("AccessDenied", "mfa/other"):
        jane.delete_virtual_mfa_device(SerialNumber=serial_of("other"))
    with refusal("AccessDenied", "ListVirtualMFADevices"):
        jane.list_virtual_mfa_devices()


def test_other_account_cannot_reach_devices(iam: Client, other_account: Client, jane: str) -> None:
    """Not with a user of the same name, not with a valid code."""
    seed = new_device(iam)
    other_account.create_user(UserName=jane)
    for call in (
        lambda: other_account.enable_mfa_device(UserName=jane, SerialNumber=ARN, **codes_at(seed, step_now())),
        lambda: other_account.delete_virtual_mfa_device(SerialNumber=ARN),
        lambda: other_account.tag_mfa_device(SerialNumber=ARN, Tags=[{"Key": "a", "Value": "b"}]),
    ):
        with refusal("NoSuchEntity"):
            call()
    assert other_account.list_virtual_mfa_devices()["VirtualMFADevices"] == []
    enable(iam, seed)


# --- lists and tags ----------------------------------------------------------------------------------------------


def test_device_lists_are_paged(iam: Client, jane: str) -> None:
    """By serial number; deleted devices are left out."""
    for name in ("c", "a", "b"):
        enable(iam, new_device(iam, name), name)
    new_device(iam, "d")
    page = iam.list_mfa_devices(UserName=jane, MaxItems=1)
    assert (serials(page), page["IsTruncated"]) == (["a"], True)
    iam.deactivate_mfa_device(UserName=jane, SerialNumber=serial_of("a"))
    rest = iam.list_mfa_devices(UserName=jane, Marker=page["Marker"])
    assert (serials(rest), rest["IsTruncated"]) == (["b", "c"], False)
    pages = iam.get_paginator("list_virtual_mfa_devices").paginate(PaginationConfig={"PageSize": 1})
    assert [name for page in pages for name in serials(page, "VirtualMFADevices")] == ["a", "b", "c", "d"]
    for status, expected in (("Assigned", ["b", "c"]), ("Unassigned", ["a", "d"]), ("Any", ["a", "b", "c", "d"])):
        found = iam.list_virtual_mfa_devices(AssignmentStatus=status)
        assert serials(found, "VirtualMFADevices") == expected
    with refusal("ValidationError", "Invalid Marker."):
        iam.list_virtual_mfa_devices(Marker="invalid-marker-value")


def test_device_tags_are_managed(iam: Client) -> None:
    """Set at creation, added, replaced, removed; device lists don't have them."""
    tags = [{"Key": "team", "Value": "a"}, {"Key": "floor", "Value": "1"}]
    made = iam.create_virtual_mfa_device(VirtualMFADeviceName="phone", Tags=tags)["VirtualMFADevice"]
    assert made["Tags"] == sorted(tags, key=lambda tag: tag["Key"])
    iam.tag_mfa_device(SerialNumber=ARN, Tags=[{"Key": "Team", "Value": "b"}])
    iam.untag_mfa_device(SerialNumber=ARN, TagKeys=["floor", "absent"])
    assert iam.list_mfa_device_tags(SerialNumber=ARN)["Tags"] == [{"Key": "Team", "Value": "b"}]
    assert "Tags" not in iam.list_virtual_mfa_devices()["VirtualMFADevices"][0]
    iam.tag_mfa_device(SerialNumber=ARN, Tags=[{"Key": f"k{number}", "Value": ""} for number in range(3)])
    pages = iam.get_paginator("list_mfa_device_tags").paginate(SerialNumber=ARN, PaginationConfig={"PageSize": 2})
    assert [tag["Key"] for page in pages for tag in page["Tags"]] == ["Team", "k0", "k1", "k2"]


def test_device_tags_are_condition_keys(client_for: Callable[..., Client], iam: Client) -> None:
    """Stored tags, requested tags, and the permission to tag (K-33)."""
    jane = client_for(
        "jane",
        allow("iam:CreateVirtualMFADevice"),
        allow("iam:TagMFADevice", StringEquals={"aws:RequestTag/team": "a"}),
        allow("iam:DeleteVirtualMFADevice", StringEquals={"aws:ResourceTag/team": "a"}),
    )
    with refusal("AccessDenied", "iam:TagMFADevice"):
        new_device(jane, Tags=[{"Key": "team", "Value": "b"}])
    new_device(jane, Tags=[{"Key": "team", "Value": "a"}])
    new_device(iam, "other", Tags=[{"Key": "team", "Value": "b"}])
    jane.delete_virtual_mfa_device(SerialNumber=ARN)
    with refusal("AccessDenied", "iam:DeleteVirtualMFADevice"):
        jane.delete_virtual_mfa_device(SerialNumber=serial_of("other"))
