"""Groups and their members (R-10, R-12, G-77)."""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.entities import load_group, load_user, require_quota
from iam_guard.api.iam.identities import create_identity, page_of_identities
from iam_guard.api.iam.output_members import describe_groups, describe_identity, describe_users
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import memberships


def create_group(call: ServiceCall, parameters: Input) -> Output:
    return {"Group": describe_identity(call, create_identity(call, Kind.GROUP, parameters))}


def get_group(call: ServiceCall, parameters: Input) -> Output:
    """Describe a group, and list its users, sorted by name."""
    group = load_group(call, parameters)
    members = call.records.values_of(memberships, "user_id", group_id=group["id"])
    page = page_of_identities(call, parameters, Kind.USER, id=members)
    return {"Group": describe_identity(call, group), "Users": describe_users(call, page.rows), **page.members}


def list_groups_for_user(call: ServiceCall, parameters: Input) -> Output:
    """List the groups of a user, sorted by name."""
    user = load_user(call, parameters)
    groups = call.records.values_of(memberships, "group_id", user_id=user["id"])
    page = page_of_identities(call, parameters, Kind.GROUP, id=groups)
    return {"Groups": describe_groups(call, page.rows), **page.members}


def add_user_to_group(call: ServiceCall, parameters: Input) -> None:
    """Add a user to a group; an existing membership is no error."""
    pair = _pair(call, parameters)
    if call.records.count(memberships, **pair):
        return
    current = call.records.count(memberships, user_id=pair["user_id"])
    require_quota(call.records, "groups per user", "GroupsPerUser", current)
    call.records.insert(memberships, **pair)


def remove_user_from_group(call: ServiceCall, parameters: Input) -> None:
    """Remove a user from a group; a missing membership is no error."""
    call.records.delete(memberships, **_pair(call, parameters))


def _pair(call: ServiceCall, parameters: Input) -> dict[str, str]:
    user, group = load_user(call, parameters), load_group(call, parameters)
    return {"user_id": user["id"], "group_id": group["id"]}
