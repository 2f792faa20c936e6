"""The rows of users, groups and roles."""

from __future__ import annotations

from collections.abc import Mapping

from iam_guard.services.iam import boundaries, tags, users
from iam_guard.services.iam.entities import the_user
from iam_guard.services.iam.targets import (
    USER,
    boundary_given,
    boundary_of,
    created,
    renaming,
    request_tags,
    tagging,
)
from iam_guard.services.operation import Operation
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import identities

_NEW_USER = created("user", "UserName")
_OF_USER = boundary_of(Kind.USER)

ROWS: Mapping[str, Operation] = {
    "CreateUser": Operation(
        users.create_user, _NEW_USER, (boundary_given, request_tags), further=(tagging("iam:TagUser", _NEW_USER),)
    ),
    "DeleteUser": Operation(users.delete_user, USER),
    "DeleteUserPermissionsBoundary": Operation(boundaries.delete_user_boundary, USER, (_OF_USER,)),
    "GetUser": Operation(users.get_user, USER, reads=True),
    "ListUserTags": Operation(tags.list_handler(the_user), USER, reads=True),
    "ListUsers": Operation(users.list_users, reads=True),
    "PutUserPermissionsBoundary": Operation(boundaries.put_user_boundary, USER, (boundary_given,)),
    "TagUser": Operation(tags.tag_handler(identities, "id", the_user), USER, (request_tags,)),
    "UntagUser": Operation(tags.untag_handler(identities, "id", the_user), USER, (request_tags,)),
    "UpdateUser": Operation(users.update_user, USER, further=(renaming("user", "UserName", "NewUserName"),)),
}
