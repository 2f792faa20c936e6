"""The rows of users, groups and roles."""

from __future__ import annotations

from collections.abc import Mapping

from iam_guard.api.iam import boundaries, groups, memberships, roles, service_linked_roles, tags, users
from iam_guard.api.iam.authorization_targets import (
    GROUP,
    ROLE,
    USER,
    boundary_given,
    boundary_of,
    created,
    given_as,
    listed,
    renaming,
    request_tags,
    tagging,
)
from iam_guard.api.iam.entities import the_role, the_user
from iam_guard.api.iam.policy_digests import boundary_document, no_document, role_trust_document
from iam_guard.api.iam.service_linked_roles import linked_role, role_of_task
from iam_guard.api.operation import Digests, Operation
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import identities

_NEW_USER, _NEW_ROLE = created("user", "UserName"), created("role", "RoleName")
_USERS_BOUNDARY, _ROLES_BOUNDARY = boundary_document(Kind.USER), boundary_document(Kind.ROLE)
_OF_USER, _OF_ROLE = boundary_of(Kind.USER), boundary_of(Kind.ROLE)

_USERS: Mapping[str, Operation] = {
    "CreateUser": Operation(
        users.create_user, _NEW_USER, (boundary_given, request_tags), further=(tagging("iam:TagUser", _NEW_USER),)
    ),
    "DeleteUser": Operation(users.delete_user, USER),
    "DeleteUserPermissionsBoundary": Operation(
        boundaries.delete_boundary_handler(Kind.USER), USER, (_OF_USER,), digests=Digests(_USERS_BOUNDARY, no_document)
    ),
    "GetUser": Operation(users.get_user, USER, reads=True),
    "ListUserTags": Operation(tags.list_handler(the_user), USER, reads=True),
    "ListUsers": Operation(users.list_users, listed("user"), reads=True),
    "PutUserPermissionsBoundary": Operation(
        boundaries.put_boundary_handler(Kind.USER),
        USER,
        (boundary_given,),
        digests=Digests(_USERS_BOUNDARY, _USERS_BOUNDARY),
    ),
    "TagUser": Operation(tags.tag_handler(identities, "id", the_user), USER, (request_tags,)),
    "UntagUser": Operation(tags.untag_handler(identities, "id", the_user), USER, (request_tags,)),
    "UpdateUser": Operation(users.update_user, USER, further=(renaming("user", "UserName", "NewUserName"),)),
}

_GROUPS: Mapping[str, Operation] = {
    "AddUserToGroup": Operation(memberships.add_user_to_group, GROUP),
    "CreateGroup": Operation(groups.create_group, created("group", "GroupName")),
    "DeleteGroup": Operation(groups.delete_group, GROUP),
    "GetGroup": Operation(memberships.get_group, GROUP, reads=True),
    "ListGroups": Operation(groups.list_groups, listed("group"), reads=True),
    "ListGroupsForUser": Operation(memberships.list_groups_for_user, USER, reads=True),
    "RemoveUserFromGroup": Operation(memberships.remove_user_from_group, GROUP),
    "UpdateGroup": Operation(groups.update_group, GROUP, further=(renaming("group", "GroupName", "NewGroupName"),)),
}

_ROLES: Mapping[str, Operation] = {
    "CreateRole": Operation(
        roles.create_role,
        _NEW_ROLE,
        (boundary_given, request_tags),
        further=(tagging("iam:TagRole", _NEW_ROLE),),
        digests=Digests(no_document, role_trust_document),
    ),
    "CreateServiceLinkedRole": Operation(
        service_linked_roles.create_service_linked_role,
        linked_role,
        (given_as("iam:AWSServiceName", "AWSServiceName"),),
    ),
    "DeleteRole": Operation(roles.delete_role, ROLE, (_OF_ROLE,), digests=Digests(role_trust_document, no_document)),
    "DeleteRolePermissionsBoundary": Operation(
        boundaries.delete_boundary_handler(Kind.ROLE), ROLE, (_OF_ROLE,), digests=Digests(_ROLES_BOUNDARY, no_document)
    ),
    "DeleteServiceLinkedRole": Operation(service_linked_roles.delete_service_linked_role, ROLE),
    "GetRole": Operation(roles.get_role, ROLE, (_OF_ROLE,), reads=True),
    "GetServiceLinkedRoleDeletionStatus": Operation(
        service_linked_roles.get_service_linked_role_deletion_status, role_of_task, reads=True
    ),
    "ListRoleTags": Operation(tags.list_handler(the_role), ROLE, reads=True),
    "ListRoles": Operation(roles.list_roles, listed("role"), reads=True),
    "PutRolePermissionsBoundary": Operation(
        boundaries.put_boundary_handler(Kind.ROLE),
        ROLE,
        (boundary_given,),
        digests=Digests(_ROLES_BOUNDARY, _ROLES_BOUNDARY),
    ),
    "TagRole": Operation(tags.tag_handler(identities, "id", the_role), ROLE, (request_tags,)),
    "UntagRole": Operation(tags.untag_handler(identities, "id", the_role), ROLE, (request_tags,)),
    "UpdateAssumeRolePolicy": Operation(
        roles.update_assume_role_policy, ROLE, (_OF_ROLE,), digests=Digests(role_trust_document, role_trust_document)
    ),
    "UpdateRole": Operation(roles.update_role, ROLE, (_OF_ROLE,)),
    "UpdateRoleDescription": Operation(roles.update_role_description, ROLE, (_OF_ROLE,)),
}

ROWS: Mapping[str, Operation] = {**_USERS, **_GROUPS, **_ROLES}
