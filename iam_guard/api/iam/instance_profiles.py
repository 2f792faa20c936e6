"""Instance profiles, which hand a role to what runs an application (rules G-77, G-78, R-11, R-15)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.entities import require_room, the_role
from iam_guard.api.iam.output_members import brief_roles, tag_list
from iam_guard.api.iam.protected_entities import require_modifiable
from iam_guard.api.iam.tags import given_tags
from iam_guard.api.paging import page_of_rows
from iam_guard.errors import DeleteConflict, EntityAlreadyExists, NoSuchEntity
from iam_guard.store.identifiers import fold, iam_arn
from iam_guard.store.records import Row
from iam_guard.store.schema import identities, instance_profiles


def the_profile(call: ServiceCall, given: Input) -> Row:
    """Find the profile that a call names. Raises `NoSuchEntity`."""
    row = _find(call, given)
    if row is None:
        raise NoSuchEntity(f"Instance Profile {given['InstanceProfileName']} cannot be found.")
    return row


def _find(call: ServiceCall, given: Input) -> Row | None:
    return call.records.one(instance_profiles, account=call.account, folded=fold(given["InstanceProfileName"]))


def create_instance_profile(call: ServiceCall, given: Input) -> Output:
    """Make a profile without a role."""
    name: str = given["InstanceProfileName"]
    if _find(call, given) is not None:
        raise EntityAlreadyExists(f"Instance Profile {name} already exists.")
    held = call.records.count(instance_profiles, account=call.account)
    require_room("instance profiles per account", "InstanceProfilesPerAccount", held)
    call.records.insert(
        instance_profiles,
        id=call.new_id("instance-profile", fold(name)),
        account=call.account,
        path=given.get("Path", "/"),
        name=name,
        folded=fold(name),
        tags=given_tags(given),
        created=call.now,
    )
    row = the_profile(call, given)
    return {"InstanceProfile": {**described_profiles(call, [row])[0], "Tags": tag_list(row["tags"]) or None}}


def get_instance_profile(call: ServiceCall, given: Input) -> Output:
    """Describe a profile."""
    row = the_profile(call, given)
    return {"InstanceProfile": {**described_profiles(call, [row])[0], "Tags": tag_list(row["tags"])}}


def list_instance_profiles(call: ServiceCall, given: Input) -> Output:
    """List the profiles below a path, by name."""
    return _page(call, given)


def list_instance_profiles_for_role(call: ServiceCall, given: Input) -> Output:
    """List the profiles that hand out a role, by name."""
    return _page(call, given, role_id=the_role(call, given)["id"])


def _page(call: ServiceCall, given: Input, **where: str) -> Output:
    order, prefix = ("folded",), given.get("PathPrefix")
    page = page_of_rows(
        given,
        order,
        lambda after, limit: call.records.page(
            instance_profiles,
            order=order,
            after=after,
            limit=limit,
            path_prefix=prefix,
            account=call.account,
            **where,
        ),
    )
    return {"InstanceProfiles": described_profiles(call, page.rows), **page.members}


def described_profiles(call: ServiceCall, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Describe profiles as lists do, without tags; the roles in them are looked up all at once."""
    wanted = {row["role_id"] for row in rows} - {None}
    found = call.records.all(identities, id=wanted) if wanted else []
    roles = {role["RoleId"]: role for role in brief_roles(call, found)}
    return [
        {
            "Path": row["path"],
            "InstanceProfileName": row["name"],
            "InstanceProfileId": row["id"],
            "Arn": iam_arn(call.partition, call.account, "instance-profile", row["path"], row["name"]),
            "CreateDate": instant(row["created"]),
            "Roles": [] if row["role_id"] is None else [roles[row["role_id"]]],
        }
        for row in rows
    ]


def add_role_to_instance_profile(call: ServiceCall, given: Input) -> None:
    """Put a role into a profile, which has room for one."""
    profile, role = the_profile(call, given), the_role(call, given)
    require_modifiable(role)
    require_room(
        "roles per instance profile", "InstanceSessionsPerInstanceProfile", 0 if profile["role_id"] is None else 1
    )
    call.records.update(instance_profiles, {"role_id": role["id"]}, id=profile["id"])


def remove_role_from_instance_profile(call: ServiceCall, given: Input) -> None:
    """Take a role out of a profile."""
    profile, role = the_profile(call, given), the_role(call, given)
    if profile["role_id"] != role["id"]:
        raise NoSuchEntity(f"Role {role['name']} in Instance Profile {profile['name']} cannot be found.")
    call.records.update(instance_profiles, {"role_id": None}, id=profile["id"])


def delete_instance_profile(call: ServiceCall, given: Input) -> None:
    """Delete a profile that has no role any more."""
    row = the_profile(call, given)
    if row["role_id"] is not None:
        raise DeleteConflict("Cannot delete entity, must remove roles from instance profile first.")
    call.records.delete(instance_profiles, id=row["id"])
