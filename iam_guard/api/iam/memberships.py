"""Who is in which group (rules R-10, R-12, G-77)."""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.entities import require_room, the_group, the_user
from iam_guard.api.iam.identities import page_of_identities
from iam_guard.api.iam.output_members import described_group, described_users
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import memberships


def get_group(call: ServiceCall, given: Input) -> Output:
    """Describe a group, and list its users by name."""
    group = the_group(call, given)
    members = call.records.values_of(memberships, "user_id", group_id=group["id"])
    page = page_of_identities(call, given, Kind.USER, id=members)
    return {"Group": described_group(call, group), "Users": described_users(call, page.rows), **page.members}


def list_groups_for_user(call: ServiceCall, given: Input) -> Output:
    """List the groups that a user is in, by name."""
    user = the_user(call, given)
    groups = call.records.values_of(memberships, "group_id", user_id=user["id"])
    page = page_of_identities(call, given, Kind.GROUP, id=groups)
    return {"Groups": [described_group(call, row) for row in page.rows], **page.members}


def add_user_to_group(call: ServiceCall, given: Input) -> None:
    """Put a user into a group; one who is in it already stays there."""
    pair = _pair(call, given)
    if call.records.count(memberships, **pair):
        return
    held = call.records.count(memberships, user_id=pair["user_id"])
    require_room("groups per user", "GroupsPerUser", held)
    call.records.insert(memberships, **pair)


def remove_user_from_group(call: ServiceCall, given: Input) -> None:
    """Take a user out of a group; one who is not in it is no error."""
    call.records.delete(memberships, **_pair(call, given))


def _pair(call: ServiceCall, given: Input) -> dict[str, str]:
    user, group = the_user(call, given), the_group(call, given)
    return {"user_id": user["id"], "group_id": group["id"]}
