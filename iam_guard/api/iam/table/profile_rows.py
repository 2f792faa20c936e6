"""The rows of instance profiles."""

from __future__ import annotations

from collections.abc import Mapping

from iam_guard.api.iam import instance_profiles, tags
from iam_guard.api.iam.authorization_targets import (
    INSTANCE_PROFILE,
    ROLE,
    created,
    listed,
    passing_the_role,
    request_tags,
    tagging,
)
from iam_guard.api.iam.instance_profiles import the_profile
from iam_guard.api.operation import Operation
from iam_guard.store import schema

_NEW_PROFILE = created("instance-profile", "InstanceProfileName")
_TABLE = schema.instance_profiles

ROWS: Mapping[str, Operation] = {
    "AddRoleToInstanceProfile": Operation(
        instance_profiles.add_role_to_instance_profile,
        INSTANCE_PROFILE,
        further=(passing_the_role("ec2.amazonaws.com", "ec2:*:{account}:instance/*"),),
    ),
    "CreateInstanceProfile": Operation(
        instance_profiles.create_instance_profile,
        _NEW_PROFILE,
        (request_tags,),
        further=(tagging("iam:TagInstanceProfile", _NEW_PROFILE),),
    ),
    "DeleteInstanceProfile": Operation(instance_profiles.delete_instance_profile, INSTANCE_PROFILE),
    "GetInstanceProfile": Operation(instance_profiles.get_instance_profile, INSTANCE_PROFILE, reads=True),
    "ListInstanceProfileTags": Operation(tags.list_handler(the_profile), INSTANCE_PROFILE, reads=True),
    "ListInstanceProfiles": Operation(instance_profiles.list_instance_profiles, listed("instance-profile"), reads=True),
    "ListInstanceProfilesForRole": Operation(instance_profiles.list_instance_profiles_for_role, ROLE, reads=True),
    "RemoveRoleFromInstanceProfile": Operation(instance_profiles.remove_role_from_instance_profile, INSTANCE_PROFILE),
    "TagInstanceProfile": Operation(tags.tag_handler(_TABLE, "id", the_profile), INSTANCE_PROFILE, (request_tags,)),
    "UntagInstanceProfile": Operation(tags.untag_handler(_TABLE, "id", the_profile), INSTANCE_PROFILE, (request_tags,)),
}
