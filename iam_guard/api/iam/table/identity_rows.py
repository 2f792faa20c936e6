"""Operations on users, groups, roles and instance profiles."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from iam_guard.api.iam import groups, identities, instance_profiles, roles, service_linked_roles, users
from iam_guard.api.iam.authorization_targets import (
    GROUP,
    INSTANCE_PROFILE,
    REQUESTED_BOUNDARY,
    ROLE,
    USER,
    current_boundary_key,
    identity_target,
    key_from_member,
    new_entity_target,
    pass_role_permission,
    path_target,
    rename_permission,
)
from iam_guard.api.iam.entities import load_role, load_user
from iam_guard.api.iam.output_members import describe_groups, describe_roles, describe_users
from iam_guard.api.iam.policies import boundaries
from iam_guard.api.iam.policies.policy_digests import boundary_digest, role_trust_digest
from iam_guard.api.iam.service_linked_roles import linked_role, role_of_task
from iam_guard.api.iam.tags import create_operation, tag_operations
from iam_guard.api.operation import Digests, Operation
from iam_guard.store import schema
from iam_guard.store.identifiers import Kind

_OF_ROLE = partial(current_boundary_key, Kind.ROLE)


def _boundary_operations(kind: Kind) -> dict[str, Operation]:
    """Return the operations on the permissions boundary of a user or role."""
    word, holder, digest = kind.value.capitalize(), partial(identity_target, kind), partial(boundary_digest, kind)
    return {
        f"Delete{word}PermissionsBoundary": Operation(
            partial(boundaries.delete_boundary, kind),
            holder,
            (partial(current_boundary_key, kind),),
            digests=Digests(digest, None),
        ),
        f"Put{word}PermissionsBoundary": Operation(
            partial(boundaries.put_boundary, kind), holder, (REQUESTED_BOUNDARY,), digests=Digests(digest, digest)
        ),
    }


ROWS: Mapping[str, Operation] = {
    # --- users
    "CreateUser": create_operation(
        "User", users.create_user, new_entity_target("user", "UserName"), REQUESTED_BOUNDARY
    ),
    "DeleteUser": Operation(partial(identities.delete_identity, Kind.USER), USER),
    "GetUser": Operation(users.get_user, USER, reads=True),
    "ListUsers": Operation(identities.list_handler(Kind.USER, describe_users), path_target("user"), reads=True),
    "UpdateUser": Operation(
        partial(identities.rename_identity, Kind.USER), USER, further=(rename_permission("user", "UserName"),)
    ),
    **tag_operations("User", schema.identities, USER, load_user),
    **_boundary_operations(Kind.USER),
    # --- groups
    "AddUserToGroup": Operation(groups.add_user_to_group, GROUP),
    "CreateGroup": Operation(groups.create_group, new_entity_target("group", "GroupName")),
    "DeleteGroup": Operation(partial(identities.delete_identity, Kind.GROUP), GROUP),
    "GetGroup": Operation(groups.get_group, GROUP, reads=True),
    "ListGroups": Operation(identities.list_handler(Kind.GROUP, describe_groups), path_target("group"), reads=True),
    "ListGroupsForUser": Operation(groups.list_groups_for_user, USER, reads=True),
    "RemoveUserFromGroup": Operation(groups.remove_user_from_group, GROUP),
    "UpdateGroup": Operation(
        partial(identities.rename_identity, Kind.GROUP), GROUP, further=(rename_permission("group", "GroupName"),)
    ),
    # --- roles
    "CreateRole": create_operation(
        "Role",
        roles.create_role,
        new_entity_target("role", "RoleName"),
        REQUESTED_BOUNDARY,
        digests=Digests(None, role_trust_digest),
    ),
    "CreateServiceLinkedRole": Operation(
        service_linked_roles.create_service_linked_role,
        linked_role,
        (key_from_member("iam:AWSServiceName", "AWSServiceName"),),
    ),
    "DeleteRole": Operation(
        partial(identities.delete_identity, Kind.ROLE), ROLE, (_OF_ROLE,), digests=Digests(role_trust_digest, None)
    ),
    "DeleteServiceLinkedRole": Operation(service_linked_roles.delete_service_linked_role, ROLE),
    "GetRole": Operation(roles.get_role, ROLE, (_OF_ROLE,), reads=True),
    "GetServiceLinkedRoleDeletionStatus": Operation(
        service_linked_roles.get_service_linked_role_deletion_status, role_of_task, reads=True
    ),
    "ListRoles": Operation(identities.list_handler(Kind.ROLE, describe_roles), path_target("role"), reads=True),
    "UpdateAssumeRolePolicy": Operation(
        roles.update_assume_role_policy, ROLE, (_OF_ROLE,), digests=Digests(role_trust_digest, role_trust_digest)
    ),
    "UpdateRole": Operation(roles.update_role, ROLE, (_OF_ROLE,)),
    "UpdateRoleDescription": Operation(roles.update_role_description, ROLE, (_OF_ROLE,)),
    **tag_operations("Role", schema.identities, ROLE, load_role),
    **_boundary_operations(Kind.ROLE),
    # --- instance profiles
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
