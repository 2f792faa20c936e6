"""Creating, listing, renaming and deleting users, groups and roles (rules G-77, G-78, R-11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.entities import (
    NAME_MEMBER,
    find_identity,
    load_identity,
    load_modifiable,
    named_columns,
    require_quota,
)
from iam_guard.api.operation import Handler
from iam_guard.api.paging import Page, fetch_from, page_of_heavy_rows
from iam_guard.errors import DeleteConflict, EntityAlreadyExists
from iam_guard.store.database.records import Row, Table
from iam_guard.store.identifiers import Kind, fold
from iam_guard.store.schema import (
    access_keys,
    attachments,
    identities,
    inline_policies,
    instance_profiles,
    login_profiles,
    memberships,
    mfa_devices,
    passkeys,
    service_credentials,
    signing_certificates,
    ssh_keys,
)

_InUse: TypeAlias = tuple[Table, str, str]
"""A table, its column that references an entity, and AWS's message while such a row exists."""

_POLICIES_IN_USE: Sequence[_InUse] = (
    (attachments, "identity_id", "Cannot delete entity, must detach all policies first."),
    (inline_policies, "identity_id", "Cannot delete entity, must delete policies first."),
)

_IN_USE: Mapping[Kind, Sequence[_InUse]] = {
    Kind.USER: (
        (access_keys, "user_id", "Cannot delete entity, must delete access keys first."),
        (login_profiles, "user_id", "Cannot delete entity, must delete login profile first."),
        (mfa_devices, "user_id", "Cannot delete entity, must delete MFA device first."),
        (passkeys, "user_id", "Cannot delete entity, must delete MFA device first."),
        (signing_certificates, "user_id", "Cannot delete entity, must delete signing certificates first."),
        (ssh_keys, "user_id", "Cannot delete entity, must delete SSH public keys first."),
        (service_credentials, "user_id", "Cannot delete entity, must delete service specific credentials first."),
        (memberships, "user_id", "Cannot delete entity, must remove users from group first."),
        *_POLICIES_IN_USE,
    ),
    Kind.GROUP: (
        (memberships, "group_id", "Cannot delete entity, must remove users from group first."),
        *_POLICIES_IN_USE,
    ),
    Kind.ROLE: (
        (instance_profiles, "role_id", "Cannot delete entity, must remove roles from instance profile first."),
        *_POLICIES_IN_USE,
    ),
}
"""What must be removed before a user, group or role is deleted, in the order of the checks (R-11)."""


def create_identity(call: ServiceCall, kind: Kind, parameters: Input, **columns: Any) -> Row:
    """Create a user, group or role. Raises `EntityAlreadyExists`, `LimitExceeded`."""
    name: str = parameters[NAME_MEMBER[kind]]
    require_free(call, kind, name)
    current = call.records.count(identities, account=call.account, kind=kind.value)
    require_quota(call.records, f"{kind.value}s per account", f"{kind.value.capitalize()}sPerAccount", current)
    return insert_identity(call, kind, parameters.get("Path", "/"), name, **columns)


def insert_identity(call: ServiceCall, kind: Kind, path: str, name: str, **columns: Any) -> Row:
    """Insert a user, group or role, and return its row."""
    id = call.new_id(kind.value, fold(name))
    common = {"description": "", "tags": {}, "trust_bindings": {}}
    call.records.insert(
        identities,
        id=id,
        kind=kind.value,
        path=path,
        **named_columns(call, name),
        **(common | columns),
    )
    return call.records.all(identities, id=id)[0]


def require_free(call: ServiceCall, kind: Kind, name: str) -> None:
    """Raise `EntityAlreadyExists` if the name is taken, in any letter case (P-16)."""
    if find_identity(call, kind, name) is not None:
        raise EntityAlreadyExists(f"{kind.value.capitalize()} with name {name} already exists.")


def page_of_identities(call: ServiceCall, parameters: Input, kind: Kind, **where: Any) -> Page:
    """Return a page of users, groups or roles below the call's path and within `where`, sorted by name."""
    order = ("folded",)
    return page_of_heavy_rows(
        parameters,
        order,
        fetch_from(call, parameters, identities, order, account=call.account, kind=kind.value, **where),
        lambda rows: sum(len(row["trust_text"] or "") for row in rows),
    )


def list_handler(kind: Kind, describe: Callable[[ServiceCall, Sequence[Row]], list[Output]]) -> Handler:
    """Return the handler that lists the users, groups or roles below a path, sorted by name."""

    def list_identities(call: ServiceCall, parameters: Input) -> Output:
        page = page_of_identities(call, parameters, kind)
        return {f"{kind.value.capitalize()}s": describe(call, page.rows), **page.members}

    return list_identities


def rename_identity(kind: Kind, call: ServiceCall, parameters: Input) -> None:
    """Change the name or path of a user or group; the unique id stays (P-10)."""
    row = load_identity(kind, call, parameters)
    name: str = parameters.get(f"New{NAME_MEMBER[kind]}", row["name"])
    if fold(name) != row["folded"]:
        require_free(call, kind, name)
    values = {"path": parameters.get("NewPath", row["path"]), "name": name, "folded": fold(name)}
    call.records.update(identities, values, id=row["id"])


def delete_identity(kind: Kind, call: ServiceCall, parameters: Input) -> None:
    """Delete a user, group or role that nothing references."""
    row = load_modifiable(kind, call, parameters)
    for table, column, message in _IN_USE[kind]:
        if call.records.count(table, **{column: row["id"]}):
            raise DeleteConflict(message)
    call.records.delete(identities, id=row["id"])
