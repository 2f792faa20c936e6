"""Instance profiles, which pass a role to an instance (G-77, G-78, R-11, R-15)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.entities import load_role, named_columns, require_modifiable, require_quota, require_row
from iam_guard.api.iam.output_members import describe_brief_roles, tag_list
from iam_guard.api.iam.tags import new_tags
from iam_guard.api.paging import page_of_table
from iam_guard.errors import DeleteConflict, EntityAlreadyExists, NoSuchEntity
from iam_guard.store.database.records import Row
from iam_guard.store.identifiers import fold
from iam_guard.store.schema import identities, instance_profiles


def load_profile(call: ServiceCall, parameters: Input) -> Row:
    """Find the call's profile. Raises `NoSuchEntity`."""
    return require_row(
        _find(call, parameters), f"Instance Profile {parameters['InstanceProfileName']} cannot be found."
    )


def _find(call: ServiceCall, parameters: Input) -> Row | None:
    return call.records.one(instance_profiles, account=call.account, folded=fold(parameters["InstanceProfileName"]))


def create_instance_profile(call: ServiceCall, parameters: Input) -> Output:
    """Create a profile without a role."""
    name: str = parameters["InstanceProfileName"]
    if _find(call, parameters) is not None:
        raise EntityAlreadyExists(f"Instance Profile {name} already exists.")
    current = call.records.count(instance_profiles, account=call.account)
    require_quota(call.records, "instance profiles per account", "InstanceProfilesPerAccount", current)
    call.records.insert(
        instance_profiles,
        id=call.new_id("instance-profile", fold(name)),
        path=parameters.get("Path", "/"),
        tags=new_tags(parameters),
        **named_columns(call, name),
    )
    row = load_profile(call, parameters)
    return {"InstanceProfile": {**describe_profiles(call, [row])[0], "Tags": tag_list(row["tags"]) or None}}


def get_instance_profile(call: ServiceCall, parameters: Input) -> Output:
    row = load_profile(call, parameters)
    return {"InstanceProfile": {**describe_profiles(call, [row])[0], "Tags": tag_list(row["tags"])}}


def list_instance_profiles(call: ServiceCall, parameters: Input, **where: str) -> Output:
    """List the profiles below a path and within `where`, sorted by name."""
    page = page_of_table(call, parameters, instance_profiles, ("folded",), account=call.account, **where)
    return {"InstanceProfiles": describe_profiles(call, page.rows), **page.members}


def list_instance_profiles_for_role(call: ServiceCall, parameters: Input) -> Output:
    """List the profiles with a role, sorted by name."""
    return list_instance_profiles(call, parameters, role_id=load_role(call, parameters)["id"])


def describe_profiles(call: ServiceCall, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Describe profiles as lists do, without tags; their roles are loaded all at once."""
    role_ids = {row["role_id"] for row in rows} - {None}
    found = call.records.all(identities, id=role_ids) if role_ids else []
    roles = {role["RoleId"]: role for role in describe_brief_roles(call, found)}
    return [
        {
            "Path": row["path"],
            "InstanceProfileName": row["name"],
            "InstanceProfileId": row["id"],
            "Arn": call.arn("instance-profile", row["path"], row["name"]),
            "CreateDate": instant(row["created"]),
            "Roles": [] if row["role_id"] is None else [roles[row["role_id"]]],
        }
        for row in rows
    ]


def add_role_to_instance_profile(call: ServiceCall, parameters: Input) -> None:
    """Add a role to a profile, which can have one."""
    profile, role = load_profile(call, parameters), load_role(call, parameters)
    require_modifiable(role)
    current = 0 if profile["role_id"] is None else 1
    require_quota(call.records, "roles per instance profile", "InstanceSessionsPerInstanceProfile", current)
    call.records.update(instance_profiles, {"role_id": role["id"]}, id=profile["id"])


def remove_role_from_instance_profile(call: ServiceCall, parameters: Input) -> None:
    profile, role = load_profile(call, parameters), load_role(call, parameters)
    if profile["role_id"] != role["id"]:
        raise NoSuchEntity(f"Role {role['name']} in Instance Profile {profile['name']} cannot be found.")
    call.records.update(instance_profiles, {"role_id": None}, id=profile["id"])


def delete_instance_profile(call: ServiceCall, parameters: Input) -> None:
    """Delete a profile without a role."""
    row = load_profile(call, parameters)
    if row["role_id"] is not None:
        raise DeleteConflict("Cannot delete entity, must remove roles from instance profile first.")
    call.records.delete(instance_profiles, id=row["id"])
