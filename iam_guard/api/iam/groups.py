"""Groups (rules R-11, R-12, G-77, G-78)."""

from __future__ import annotations

from collections.abc import Sequence

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.entities import the_group
from iam_guard.api.iam.identities import (
    POLICIES_IN_USE,
    InUse,
    create_identity,
    delete_unused,
    page_of_identities,
    rename,
)
from iam_guard.api.iam.output_members import described_group
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import memberships

_IN_USE: Sequence[InUse] = (
    (memberships, "group_id", "Cannot delete entity, must remove users from group first."),
    *POLICIES_IN_USE,
)
"""What must be gone before a group is deleted (R-11)."""


def create_group(call: ServiceCall, given: Input) -> Output:
    """Make a group."""
    return {"Group": described_group(call, create_identity(call, Kind.GROUP, given))}


def list_groups(call: ServiceCall, given: Input) -> Output:
    """List the groups below a path, by name."""
    page = page_of_identities(call, given, Kind.GROUP)
    return {"Groups": [described_group(call, row) for row in page.rows], **page.members}


def update_group(call: ServiceCall, given: Input) -> None:
    """Rename a group, or move it to another path."""
    rename(call, the_group(call, given), path=given.get("NewPath"), name=given.get("NewGroupName"))


def delete_group(call: ServiceCall, given: Input) -> None:
    """Delete a group that has no users and no policies any more."""
    delete_unused(call, the_group(call, given), _IN_USE)
