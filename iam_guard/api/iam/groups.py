"""Groups (rules R-11, R-12, G-77, G-78)."""

from __future__ import annotations

from collections.abc import Sequence

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.entities import load_group
from iam_guard.api.iam.identities import (
    POLICIES_IN_USE,
    InUse,
    create_identity,
    delete_unused,
    page_of_identities,
    rename,
)
from iam_guard.api.iam.output_members import describe_identity
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import memberships

_IN_USE: Sequence[InUse] = (
    (memberships, "group_id", "Cannot delete entity, must remove users from group first."),
    *POLICIES_IN_USE,
)
"""What must be removed before a group is deleted (R-11)."""


def create_group(call: ServiceCall, parameters: Input) -> Output:
    """Create a group."""
    return {"Group": describe_identity(call, create_identity(call, Kind.GROUP, parameters))}


def list_groups(call: ServiceCall, parameters: Input) -> Output:
    """List the groups below a path, sorted by name."""
    page = page_of_identities(call, parameters, Kind.GROUP)
    return {"Groups": [describe_identity(call, row) for row in page.rows], **page.members}


def update_group(call: ServiceCall, parameters: Input) -> None:
    """Rename a group, or move it to another path."""
    rename(call, load_group(call, parameters), path=parameters.get("NewPath"), name=parameters.get("NewGroupName"))


def delete_group(call: ServiceCall, parameters: Input) -> None:
    """Delete a group without users and policies."""
    delete_unused(call, load_group(call, parameters), _IN_USE)
