"""Operations on instance profiles."""

from __future__ import annotations

from collections.abc import Mapping

from iam_guard.api.iam import instance_profiles
from iam_guard.api.iam.authorization_targets import (
    INSTANCE_PROFILE,
    ROLE,
    new_entity_target,
    pass_role_permission,
    path_target,
)
from iam_guard.api.iam.tags import create_operation, tag_operations
from iam_guard.api.operation import Operation
from iam_guard.store import schema

ROWS: Mapping[str, Operation] = {
    "AddRoleToInstanceProfile": Operation(
        instance_profiles.add_role_to_instance_profile,
        INSTANCE_PROFILE,
        further=(pass_role_permission("ec2.amazonaws.com", "ec2:*:{account}:instance/*"),),
    ),
    "CreateInstanceProfile": create_operation(
        "InstanceProfile",
        instance_profiles.create_instance_profile,
        new_entity_target("instance-profile", "InstanceProfileName"),
    ),
    "DeleteInstanceProfile": Operation(instance_profiles.delete_instance_profile, INSTANCE_PROFILE),
    "GetInstanceProfile": Operation(instance_profiles.get_instance_profile, INSTANCE_PROFILE, reads=True),
    "ListInstanceProfiles": Operation(
        instance_profiles.list_instance_profiles, path_target("instance-profile"), reads=True
    ),
    "ListInstanceProfilesForRole": Operation(instance_profiles.list_instance_profiles_for_role, ROLE, reads=True),
    "RemoveRoleFromInstanceProfile": Operation(instance_profiles.remove_role_from_instance_profile, INSTANCE_PROFILE),
    **tag_operations("InstanceProfile", schema.instance_profiles, INSTANCE_PROFILE, instance_profiles.load_profile),
}
