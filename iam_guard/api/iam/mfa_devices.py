"""Virtual MFA devices: made, enabled for a user or the root user, synchronised, listed (rules R-3, R-10, R-32).

A device is nobody's until it is enabled with two consecutive codes; its seed is shown once, in the answer that makes
it. Its serial number is its ARN. The step of its last code stays when it is deactivated, so that no code is good twice.
"""

from __future__ import annotations

import re
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.authorization_targets import find_mfa_device
from iam_guard.api.iam.credential_owners import device_owner, owner_id, owner_name
from iam_guard.api.iam.entities import require_room
from iam_guard.api.iam.iam_errors import InvalidAuthenticationCode
from iam_guard.api.iam.one_time_codes import Pair, check_pair, new_seed, seed_context
from iam_guard.api.iam.output_members import described_users, tag_list
from iam_guard.api.iam.qr_code import provisioning_uri, qr_code
from iam_guard.api.iam.tags import given_tags
from iam_guard.api.iam.users import root_user
from iam_guard.api.paging import page_of_rows
from iam_guard.errors import DeleteConflict, EntityAlreadyExists, NoSuchEntity, ValidationError
from iam_guard.store.identifiers import fold, iam_arn
from iam_guard.store.records import PRESENT, Row
from iam_guard.store.schema import identities, mfa_devices

_SERIAL = re.compile(r"[\w+=/:,.@-]{9,256}", re.ASCII)
_ASSIGNED: dict[str, dict[str, Any]] = {
    "Any": {},
    "Assigned": {"enabled": PRESENT},
    "Unassigned": {"enabled": None},
}


def create_virtual_mfa_device(call: ServiceCall, given: Input) -> Output:
    """Make a device for anybody to enable."""
    name: str = given["VirtualMFADeviceName"]
    path = given.get("Path", "/")
    serial = iam_arn(call.partition, call.account, "mfa", path, name)
    if _SERIAL.fullmatch(serial) is None:  # no operation could name it ever after
        raise ValidationError(
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric "
            "characters and/or / characters.",
            place="Path",
        )
    if call.records.one(mfa_devices, account=call.account, folded=fold(name)) is not None:
        raise EntityAlreadyExists("MFA device already exists.")
    held = call.records.count(mfa_devices, account=call.account)
    require_room("virtual MFA devices per account", "VirtualMFADevicesPerAccount", held)
    seed = new_seed()
    tags = given_tags(given)
    call.records.insert(
        mfa_devices,
        serial=serial,
        account=call.account,
        path=path,
        name=name,
        folded=fold(name),
        for_root=False,
        sealed=call.sealer.seal(seed.encode("ascii"), seed_context(serial)),
        tags=tags,
        created=call.now,
    )
    return {
        "VirtualMFADevice": {
            "SerialNumber": serial,
            "Base32StringSeed": seed.encode("ascii"),
            "QRCodePNG": qr_code(provisioning_uri(name, call.account, seed)),
            "Tags": tag_list(tags) if tags else None,
        }
    }


def delete_virtual_mfa_device(call: ServiceCall, given: Input) -> None:
    """Remove a device that nobody has enabled."""
    row = the_mfa_device(call, given)
    if row["enabled"] is not None:
        raise DeleteConflict("MFA VirtualDevice in use. Must deactivate first.")
    call.records.delete(mfa_devices, serial=row["serial"])


def enable_mfa_device(call: ServiceCall, given: Input) -> None:
    """Return a device to a user, or to the root user (who is named as `device_owner` says)."""
    owner = device_owner(call, given)
    row = the_mfa_device(call, given)
    if row["enabled"] is not None:
        raise EntityAlreadyExists("MFA Device is already in use.")
    require_room("MFA devices per user", "MFADevicesPerUser", call.records.count(mfa_devices, **_of(call, owner)))
    values = {"user_id": owner_id(owner), "for_root": owner is None, "enabled": call.now}
    _take(call, row, given, values)


def resync_mfa_device(call: ServiceCall, given: Input) -> None:
    """Find anew how far a device's clock is ahead."""
    _take(call, _device_of(call, device_owner(call, given), given), given, {})


def deactivate_mfa_device(call: ServiceCall, given: Input) -> None:
    """Take a device from its owner; it can be enabled again, or deleted."""
    row = _device_of(call, device_owner(call, given), given)
    values = {"user_id": None, "for_root": False, "enabled": None}
    call.records.update(mfa_devices, values, serial=row["serial"])


def get_mfa_device(call: ServiceCall, given: Input) -> Output:
    """Describe a device of a user. AWS takes security keys alone here, of which there are none; so do virtual ones."""
    owner = device_owner(call, given)
    return _described(_device_of(call, owner, given), owner_name(call, owner))


def list_mfa_devices(call: ServiceCall, given: Input) -> Output:
    """List the devices of one owner, by serial number."""
    owner = device_owner(call, given)
    order = ("serial",)
    page = page_of_rows(
        given,
        order,
        lambda after, limit: call.records.page(mfa_devices, order=order, after=after, limit=limit, **_of(call, owner)),
    )
    name = owner_name(call, owner)
    return {"MFADevices": [_described(row, name) for row in page.rows], **page.members}


def list_virtual_mfa_devices(call: ServiceCall, given: Input) -> Output:
    """List the devices of the account, those of users, those of nobody, or all; without tags and seeds."""
    order = ("serial",)
    wanted = _ASSIGNED[given.get("AssignmentStatus", "Any")]
    page = page_of_rows(
        given,
        order,
        lambda after, limit: call.records.page(
            mfa_devices, order=order, after=after, limit=limit, account=call.account, **wanted
        ),
    )
    ids = [row["user_id"] for row in page.rows if row["user_id"] is not None]
    users = {
        described_user["UserId"]: described_user
        for described_user in described_users(call, call.records.all(identities, id=ids))
    }
    devices = [
        {
            "SerialNumber": row["serial"],
            "EnableDate": instant(row["enabled"]),
            "User": root_user(call) if row["for_root"] else users.get(row["user_id"]),
        }
        for row in page.rows
    ]
    return {"VirtualMFADevices": devices, **page.members}


def the_mfa_device(call: ServiceCall, given: Input) -> Row:
    """Find a device of the account. Raises `NoSuchEntity`."""
    row = find_mfa_device(call, given["SerialNumber"])
    if row is None:
        raise NoSuchEntity(f"MFA Device with serial number {given['SerialNumber']} does not exist.")
    return row


def _device_of(call: ServiceCall, owner: Row | None, given: Input) -> Row:
    row = the_mfa_device(call, given)
    is_owners = row["for_root"] if owner is None else row["user_id"] == owner["id"]
    if row["enabled"] is None or not is_owners:
        raise NoSuchEntity("MFA Device invalid for user.")
    return row


def _of(call: ServiceCall, owner: Row | None) -> dict[str, Any]:
    return {"account": call.account, "enabled": PRESENT, "user_id": owner_id(owner), "for_root": owner is None}


def _take(call: ServiceCall, row: Row, given: Input, values: dict[str, Any]) -> None:
    """Take two codes, each of which is then used up. Raises `InvalidAuthenticationCode`."""
    codes = given["AuthenticationCode1"], given["AuthenticationCode2"]
    found: Pair | None = check_pair(row, codes, call.now, call.sealer)
    if found is None:
        raise InvalidAuthenticationCode("Authentication code for device is not valid.")
    taken = {"last_step": found.step, "drift": found.drift}
    call.records.update(mfa_devices, {**values, **taken}, serial=row["serial"])


def _described(row: Row, name: str) -> Output:
    return {"UserName": name, "SerialNumber": row["serial"], "EnableDate": instant(row["enabled"])}
