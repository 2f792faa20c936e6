"""Users (rules R-10, R-11, P-10, G-77, G-78). Must not live here: what hangs on a user, which has files of its own."""

from __future__ import annotations

from iam_guard.errors import DeleteConflict, EntityAlreadyExists
from iam_guard.services.call import Input, Output, ServiceCall, instant
from iam_guard.services.iam.boundaries import boundary_id
from iam_guard.services.iam.describe import described_users, whole_user
from iam_guard.services.iam.entities import find_identity, means_root, require_room, the_user
from iam_guard.services.iam.tags import given_tags
from iam_guard.services.paging import page_of_rows
from iam_guard.store.identifiers import Kind, fold, root_arn
from iam_guard.store.records import Row, Table
from iam_guard.store.schema import (
    access_keys,
    accounts,
    attachments,
    identities,
    inline_policies,
    login_profiles,
    memberships,
    mfa_devices,
    service_credentials,
    signing_certificates,
    ssh_keys,
)

_HANGS_ON: tuple[tuple[Table, str, str], ...] = (
    (access_keys, "user_id", "Cannot delete entity, must delete access keys first."),
    (login_profiles, "user_id", "Cannot delete entity, must delete login profile first."),
    (mfa_devices, "user_id", "Cannot delete entity, must delete MFA device first."),
    (signing_certificates, "user_id", "Cannot delete entity, must delete signing certificates first."),
    (ssh_keys, "user_id", "Cannot delete entity, must delete SSH public keys first."),
    (service_credentials, "user_id", "Cannot delete entity, must delete service specific credentials first."),
    (memberships, "user_id", "Cannot delete entity, must remove user from groups first."),
    (attachments, "identity_id", "Cannot delete entity, must detach all policies first."),
    (inline_policies, "identity_id", "Cannot delete entity, must delete policies first."),
)
"""What must be gone before a user is deleted (R-11): table, its column, AWS's sentence."""


def create_user(call: ServiceCall, given: Input) -> Output:
    """Make a user."""
    name: str = given["UserName"]
    if find_identity(call, Kind.USER, name) is not None:
        raise EntityAlreadyExists(f"User with name {name} already exists.")
    held = call.records.count(identities, account=call.account, kind="user")
    require_room("users per account", "UsersPerAccount", held)
    call.records.insert(
        identities,
        id=call.new_id("user", fold(name)),
        account=call.account,
        kind="user",
        path=given.get("Path", "/"),
        name=name,
        folded=fold(name),
        description="",
        boundary_id=boundary_id(call, given["PermissionsBoundary"]) if "PermissionsBoundary" in given else None,
        tags=given_tags(given),
        trust_bindings={},
        created=call.now,
    )
    return {"User": whole_user(call, the_user(call, given))}


def get_user(call: ServiceCall, given: Input) -> Output:
    """Describe a user; without a name, the caller, who may be the root user."""
    if means_root(call, given):
        return {"User": _root_user(call)}
    return {"User": whole_user(call, the_user(call, given))}


def _root_user(call: ServiceCall) -> Output:
    account = call.records.one(accounts, id=call.account)
    profile = call.records.one(login_profiles, owner=call.account)
    return {
        "Path": "/",
        "UserName": account["name"] if account else "",
        "UserId": call.account,
        "Arn": root_arn(call.partition, call.account),
        "CreateDate": instant(account["created"] if account else 0),
        "PasswordLastUsed": instant(profile["used"]) if profile else None,
    }


def list_users(call: ServiceCall, given: Input) -> Output:
    """List the users below a path, by name."""
    order = ("folded",)
    page = page_of_rows(
        given,
        order,
        lambda after, limit: call.records.page(
            identities,
            order=order,
            after=after,
            limit=limit,
            path_prefix=given.get("PathPrefix"),
            account=call.account,
            kind="user",
        ),
    )
    return {"Users": described_users(call, page.rows), **page.members}


def update_user(call: ServiceCall, given: Input) -> None:
    """Rename a user, or move it to another path; its unique id stays (P-10)."""
    row = the_user(call, given)
    rename(call, row, path=given.get("NewPath"), name=given.get("NewUserName"), what="User")


def rename(call: ServiceCall, row: Row, *, path: str | None, name: str | None, what: str) -> None:
    """Give a user or group another path or name. Raises `EntityAlreadyExists`."""
    name = row["name"] if name is None else name
    if fold(name) != row["folded"] and find_identity(call, Kind(row["kind"]), name) is not None:
        raise EntityAlreadyExists(f"{what} with name {name} already exists.")
    values = {"path": row["path"] if path is None else path, "name": name, "folded": fold(name)}
    call.records.update(identities, values, id=row["id"])


def delete_user(call: ServiceCall, given: Input) -> None:
    """Delete a user on whom nothing hangs any more."""
    row = the_user(call, given)
    refuse_in_use(call, row, _HANGS_ON)
    call.records.delete(identities, id=row["id"])


def refuse_in_use(call: ServiceCall, row: Row, hangs_on: tuple[tuple[Table, str, str], ...]) -> None:
    """Raise `DeleteConflict` for the first table that has a row of this identity."""
    for table, column, sentence in hangs_on:
        if call.records.count(table, **{column: row["id"]}):
            raise DeleteConflict(sentence)
