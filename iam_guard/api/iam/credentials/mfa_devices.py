"""MFA devices: virtual ones are created, enabled for a user or the root user, resynchronized, listed (R-3, R-10, R-32).

Passkeys and security keys are enrolled with a browser only. They are listed, described and deactivated here, too.

A device is unassigned until it is enabled with two consecutive codes; its seed is returned once, at creation. Its
serial number is its ARN. The step of its last code survives deactivation, so that no code is accepted twice.
"""

from __future__ import annotations

import re
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.authorization_targets import USER, find_mfa_device
from iam_guard.api.iam.credentials.qr_code import provisioning_uri, qr_code
from iam_guard.api.iam.credentials.user_credentials import owner_id, owner_name, owner_person
from iam_guard.api.iam.entities import (
    find_identity,
    is_about_root,
    load_user,
    named_columns,
    require_quota,
    require_row,
)
from iam_guard.api.iam.output_members import describe_users, tag_list
from iam_guard.api.iam.tags import new_tags
from iam_guard.api.iam.users import root_user
from iam_guard.api.paging import page_of_list, page_of_table
from iam_guard.api.service_errors import InvalidAuthenticationCode
from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.passwords.stored_passwords import follow_removal_of_factor
from iam_guard.authn.people.second_factors.factors import SIGN_IN_PATH, count_factors, devices_of
from iam_guard.authn.people.second_factors.one_time_codes import CodePair, check_pair, new_seed, seed_context
from iam_guard.authn.people.second_factors.passkeys import passkeys_of
from iam_guard.errors import DeleteConflict, EntityAlreadyExists, InvalidInput, NoSuchEntity, ValidationError
from iam_guard.model.request import Resource
from iam_guard.store.database.records import PRESENT, Row
from iam_guard.store.identifiers import Kind, fold
from iam_guard.store.schema import identities, mfa_devices, passkeys

_SERIAL = re.compile(r"[\w+=/:,.@-]{9,256}", re.ASCII)
_ASSIGNED: dict[str, dict[str, Any]] = {
    "Any": {},
    "Assigned": {"enabled": PRESENT},
    "Unassigned": {"enabled": None},
}


def create_virtual_mfa_device(call: ServiceCall, parameters: Input) -> Output:
    """Create an unassigned device."""
    name: str = parameters["VirtualMFADeviceName"]
    path = parameters.get("Path", "/")
    serial = call.arn("mfa", path, name)
    if _SERIAL.fullmatch(serial) is None:  # no operation could name it
        raise ValidationError(
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric "
            "characters and/or / characters.",
            place="Path",
        )
    if path.startswith(SIGN_IN_PATH):
        raise InvalidInput(f"expected a path that does not begin with {SIGN_IN_PATH}, which is reserved", place="Path")
    folded = path[1:] + fold(name)  # unique per path
    if find_mfa_device(call, serial) or call.records.count(mfa_devices, account=call.account, folded=folded):
        raise EntityAlreadyExists("MFADevice entity at the same path and name already exists.")
    current = call.records.count(mfa_devices, account=call.account)
    require_quota(call.records, "virtual MFA devices per account", "VirtualMFADevicesPerAccount", current)
    seed = new_seed()
    tags = new_tags(parameters)
    call.records.insert(
        mfa_devices,
        serial=serial,
        path=path,
        for_root=False,
        sealed=call.sealer.seal(seed.encode("ascii"), seed_context(serial)),
        tags=tags,
        **(named_columns(call, name) | {"folded": folded}),
    )
    return {
        "VirtualMFADevice": {
            "SerialNumber": serial,
            "Base32StringSeed": seed.encode("ascii"),
            "QRCodePNG": qr_code(provisioning_uri(name, call.account, seed)),
            "Tags": tag_list(tags) or None,
        }
    }


def delete_virtual_mfa_device(call: ServiceCall, parameters: Input) -> None:
    """Delete an unassigned device."""
    row = load_mfa_device(call, parameters)
    if row["enabled"] is not None:
        raise DeleteConflict("MFA VirtualDevice in use. Must deactivate first.")
    call.records.delete(mfa_devices, serial=row["serial"])


def enable_mfa_device(call: ServiceCall, parameters: Input) -> None:
    """Enable a device for a user, or for the root user (whose name `device_owner` explains)."""
    owner = device_owner(call, parameters)
    row = load_mfa_device(call, parameters)
    if row["enabled"] is not None:
        raise EntityAlreadyExists("MFA Device is already in use.")
    person = owner_person(call, owner)
    require_quota(call.records, "MFA devices per user", "MFADevicesPerUser", count_factors(call.records, person))
    values = {"user_id": owner_id(owner), "for_root": owner is None, "enabled": call.now}
    _consume_codes(call, row, parameters, values)
    attempts.clear_all(call.records, person, "code")


def resync_mfa_device(call: ServiceCall, parameters: Input) -> None:
    """Measure the drift of a device's clock again."""
    _consume_codes(call, _device_of(call, device_owner(call, parameters), parameters), parameters, {})


def deactivate_mfa_device(call: ServiceCall, parameters: Input) -> None:
    """Deactivate a device, which can be enabled again, or deleted; delete a passkey.

    A password that is short without it must be changed.
    """
    owner = device_owner(call, parameters)
    person = owner_person(call, owner)
    if not call.records.delete(passkeys, serial=parameters["SerialNumber"], **person.where):
        row = _device_of(call, owner, parameters)
        values = {"user_id": None, "for_root": False, "enabled": None}
        call.records.update(mfa_devices, values, serial=row["serial"])
    follow_removal_of_factor(call.records, person)


def get_mfa_device(call: ServiceCall, parameters: Input) -> Output:
    """Describe a device of a user. AWS accepts only security keys here."""
    owner = device_owner(call, parameters)
    where = owner_person(call, owner).where
    key = call.records.one(passkeys, serial=parameters["SerialNumber"], **where)
    described = _describe_passkey(key) if key is not None else _describe(_device_of(call, owner, parameters))
    return {"UserName": owner_name(call, owner), **described}


def list_mfa_devices(call: ServiceCall, parameters: Input) -> Output:
    """List the devices and passkeys of one owner, sorted by serial number; there are a few."""
    owner = device_owner(call, parameters)
    person, name = owner_person(call, owner), owner_name(call, owner)
    devices = [
        *(_describe(row) for row in devices_of(call.records, person)),
        *(_describe_passkey(row) for row in passkeys_of(call.records, person)),
    ]
    page = page_of_list(parameters, devices, lambda device: (device["SerialNumber"],))
    return {"MFADevices": [{"UserName": name, **device} for device in page.rows], **page.members}


def list_virtual_mfa_devices(call: ServiceCall, parameters: Input) -> Output:
    """List the account's devices: all, assigned or unassigned ones; without tags and seeds."""
    where = _ASSIGNED[parameters.get("AssignmentStatus", "Any")]
    page = page_of_table(call, parameters, mfa_devices, ("serial",), account=call.account, **where)
    ids = [row["user_id"] for row in page.rows if row["user_id"] is not None]
    users = {user["UserId"]: user for user in describe_users(call, call.records.all(identities, id=ids))}
    devices = [
        {
            "SerialNumber": row["serial"],
            "EnableDate": instant(row["enabled"]),
            "User": root_user(call) if row["for_root"] else users.get(row["user_id"]),
        }
        for row in page.rows
    ]
    return {"VirtualMFADevices": devices, **page.members}


def load_mfa_device(call: ServiceCall, parameters: Input) -> Row:
    """Find a device of the account. Raises `NoSuchEntity`."""
    serial: str = parameters["SerialNumber"]
    return require_row(find_mfa_device(call, serial), f"VirtualMFADevice with serial number {serial} doesn't exist.")


def _device_of(call: ServiceCall, owner: Row | None, parameters: Input) -> Row:
    row = load_mfa_device(call, parameters)
    is_owners = row["for_root"] if owner is None else row["user_id"] == owner["id"]
    if row["enabled"] is None or not is_owners:
        raise NoSuchEntity("MFA Device invalid for user.")
    return row


def _consume_codes(call: ServiceCall, row: Row, parameters: Input, values: dict[str, Any]) -> None:
    """Verify two codes and mark them as used. Raises `InvalidAuthenticationCode`."""
    codes = parameters["AuthenticationCode1"], parameters["AuthenticationCode2"]
    pair: CodePair | None = check_pair(row, codes, call.now, call.sealer)
    if pair is None:
        raise InvalidAuthenticationCode("Authentication code for device is not valid.")
    clock = {"last_step": pair.step, "drift": pair.drift}
    call.records.update(mfa_devices, {**values, **clock}, serial=row["serial"])


def _describe(row: Row) -> Output:
    return {"SerialNumber": row["serial"], "EnableDate": instant(row["enabled"])}


def _describe_passkey(row: Row) -> Output:
    return {"SerialNumber": row["serial"], "EnableDate": instant(row["created"])}


def device_owner(call: ServiceCall, parameters: Input) -> Row | None:
    """Return the owner of the call's MFA device. Raises `NoSuchEntity`.

    The model requires `UserName` to enable or resynchronize a device, though the root user has none. Only the root user
    can name itself: `root`, the account's id, or its name, unless a user has that name.
    """
    return None if _names_root(call, parameters) else load_user(call, parameters)


def device_owner_target(call: ServiceCall, parameters: Input) -> Resource:
    """Return the owner of the call's MFA device as a resource."""
    if _names_root(call, parameters):
        return call.resource(call.root_arn)
    return USER(call, parameters)


def _names_root(call: ServiceCall, parameters: Input) -> bool:
    if not call.is_root or is_about_root(call, parameters):
        return call.is_root
    name: str = parameters["UserName"]
    names = {fold(alias) for alias in ("root", call.account, owner_name(call, None))}
    return fold(name) in names and find_identity(call, Kind.USER, name) is None
