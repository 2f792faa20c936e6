"""Users (rules R-10, R-11, P-10, G-77, G-78)."""

from __future__ import annotations

from collections.abc import Sequence

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.boundaries import requested_boundary
from iam_guard.api.iam.entities import is_about_root, load_user
from iam_guard.api.iam.identities import (
    POLICIES_IN_USE,
    InUse,
    create_identity,
    delete_unused,
    page_of_identities,
    rename,
)
from iam_guard.api.iam.output_members import describe_full_user, describe_users
from iam_guard.api.iam.tags import new_tags
from iam_guard.store.identifiers import Kind, root_arn
from iam_guard.store.schema import (
    access_keys,
    accounts,
    login_profiles,
    memberships,
    mfa_devices,
    service_credentials,
    signing_certificates,
    ssh_keys,
)

_IN_USE: Sequence[InUse] = (
    (access_keys, "user_id", "Cannot delete entity, must delete access keys first."),
    (login_profiles, "user_id", "Cannot delete entity, must delete login profile first."),
    (mfa_devices, "user_id", "Cannot delete entity, must delete MFA device first."),
    (signing_certificates, "user_id", "Cannot delete entity, must delete signing certificates first."),
    (ssh_keys, "user_id", "Cannot delete entity, must delete SSH public keys first."),
    (service_credentials, "user_id", "Cannot delete entity, must delete service specific credentials first."),
    (memberships, "user_id", "Cannot delete entity, must remove users from group first."),
    *POLICIES_IN_USE,
)
"""What must be removed before a user is deleted (R-11)."""


def create_user(call: ServiceCall, parameters: Input) -> Output:
    """Create a user."""
    row = create_identity(
        call, Kind.USER, parameters, boundary_id=requested_boundary(call, parameters), tags=new_tags(parameters)
    )
    return {"User": describe_full_user(call, row)}


def get_user(call: ServiceCall, parameters: Input) -> Output:
    """Describe a user; without a name, the caller, who may be the root user."""
    if is_about_root(call, parameters):
        return {"User": root_user(call)}
    return {"User": describe_full_user(call, load_user(call, parameters))}


def root_user(call: ServiceCall) -> Output:
    """Describe the root user, with the members of a user that it has (R-3)."""
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


def list_users(call: ServiceCall, parameters: Input) -> Output:
    """List the users below a path, sorted by name."""
    page = page_of_identities(call, parameters, Kind.USER)
    return {"Users": describe_users(call, page.rows), **page.members}


def update_user(call: ServiceCall, parameters: Input) -> None:
    """Rename a user, or move it to another path."""
    rename(call, load_user(call, parameters), path=parameters.get("NewPath"), name=parameters.get("NewUserName"))


def delete_user(call: ServiceCall, parameters: Input) -> None:
    """Delete a user without credentials, groups and policies."""
    delete_unused(call, load_user(call, parameters), _IN_USE)
