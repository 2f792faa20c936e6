"""Roles (rules R-11, R-13, R-14, G-77, G-78)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.boundaries import given_boundary
from iam_guard.api.iam.entities import the_role
from iam_guard.api.iam.identities import (
    POLICIES_IN_USE,
    InUse,
    create_identity,
    delete_unused,
    page_of_identities,
)
from iam_guard.api.iam.output_members import brief_roles, described_roles, tags_and_boundary, whole_role
from iam_guard.api.iam.protected_entities import RESERVED, SERVICE_LINKED, require_modifiable, the_modifiable
from iam_guard.api.iam.tags import given_tags
from iam_guard.api.iam.trust_policies import trust_columns
from iam_guard.errors import InvalidInput
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import identities, instance_profiles

_IN_USE: Sequence[InUse] = (
    (instance_profiles, "role_id", "Cannot delete entity, must remove roles from instance profile first."),
    *POLICIES_IN_USE,
)
"""What must be gone before a role is deleted (R-11)."""

_SETTINGS = {
    "Description": "description",
    "MaxSessionDuration": "max_session_duration",
    "MaxSigninSessionDuration": "max_signin_session_duration",
}
"""What is said of a role and kept as it is said: the member, and the column."""


def create_role(call: ServiceCall, given: Input) -> Output:
    """Make a role."""
    _refuse_reserved(given.get("Path", "/"))
    row = create_identity(
        call,
        Kind.ROLE,
        given,
        boundary_id=given_boundary(call, given),
        tags=given_tags(given),
        **trust_columns(call, given["AssumeRolePolicyDocument"]),
        **_settings(given),
    )
    return {"Role": {**brief_roles(call, [row])[0], **tags_and_boundary(call, row)}}


def _refuse_reserved(path: str) -> None:
    """Raise `InvalidInput` for a path by which a role would pass for one that SCPs do not limit (P-14, E-10).

    A path may contain a colon, so it is refused wherever it stands.
    """
    for reserved in (SERVICE_LINKED, RESERVED):
        if reserved in path:
            raise InvalidInput(f"Path prefix '{reserved}' can only be used for AWS Service linked Roles", place="Path")


def get_role(call: ServiceCall, given: Input) -> Output:
    """Describe a role."""
    return {"Role": whole_role(call, the_role(call, given))}


def list_roles(call: ServiceCall, given: Input) -> Output:
    """List the roles below a path, by name."""
    page = page_of_identities(call, given, Kind.ROLE)
    return {"Roles": described_roles(call, page.rows), **page.members}


def update_role(call: ServiceCall, given: Input) -> Output:
    """Change what is said of a role; what is not given stays as it is."""
    row = the_role(call, given)
    values = _settings(given)
    if given.get("ResetMaxSigninSessionDuration"):
        if "max_signin_session_duration" in values:
            message = "MaxSigninSessionDuration and ResetMaxSigninSessionDuration cannot be specified together."
            raise InvalidInput(message, place="ResetMaxSigninSessionDuration")
        values["max_signin_session_duration"] = None
    _change(call, row, values)
    return {}


def update_role_description(call: ServiceCall, given: Input) -> Output:
    """Change the description of a role."""
    row = the_role(call, given)
    _change(call, row, {"description": given["Description"]})
    changed = the_role(call, given)
    return {"Role": {**brief_roles(call, [changed])[0], "Description": changed["description"] or None}}


def _change(call: ServiceCall, row: Any, values: dict[str, Any]) -> None:
    """Change a role; of a service-linked one, the description alone may be changed by hand (R-14)."""
    if not row["path"].startswith(SERVICE_LINKED) or values.keys() - {"description"}:
        require_modifiable(row)
    if values:
        call.records.update(identities, values, id=row["id"])


def _settings(given: Input) -> dict[str, Any]:
    return {column: given[member] for member, column in _SETTINGS.items() if member in given}


def update_assume_role_policy(call: ServiceCall, given: Input) -> None:
    """Replace a role's trust policy."""
    row = the_modifiable(call, Kind.ROLE, given)
    call.records.update(identities, trust_columns(call, given["PolicyDocument"]), id=row["id"])


def delete_role(call: ServiceCall, given: Input) -> None:
    """Delete a role on which nothing hangs any more."""
    delete_unused(call, the_modifiable(call, Kind.ROLE, given), _IN_USE)
