"""Roles (rules R-11, R-13, R-14, G-77, G-78)."""

from __future__ import annotations

from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.entities import RESERVED, SERVICE_LINKED, load_modifiable, load_role, require_modifiable
from iam_guard.api.iam.identities import create_identity
from iam_guard.api.iam.output_members import describe_brief_roles, describe_full_role, tags_and_boundary
from iam_guard.api.iam.policies.boundaries import requested_boundary
from iam_guard.api.iam.tags import new_tags
from iam_guard.api.iam.trust_policies import trust_columns
from iam_guard.errors import InvalidInput
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import identities

_SETTINGS = {
    "Description": "description",
    "MaxSessionDuration": "max_session_duration",
    "MaxSigninSessionDuration": "max_signin_session_duration",
}
"""Settings that are stored as they are: input member -> column."""


def create_role(call: ServiceCall, parameters: Input) -> Output:
    _refuse_reserved(parameters.get("Path", "/"))
    row = create_identity(
        call,
        Kind.ROLE,
        parameters,
        boundary_id=requested_boundary(call, parameters),
        tags=new_tags(parameters),
        **trust_columns(call, parameters["AssumeRolePolicyDocument"]),
        **_settings(parameters),
    )
    written = {"AssumeRolePolicyDocument": parameters["AssumeRolePolicyDocument"]}
    return {"Role": {**describe_brief_roles(call, [row])[0], **written, **tags_and_boundary(call, row)}}


def _refuse_reserved(path: str) -> None:
    """Raise `InvalidInput` for a path that would exempt a role from SCPs (P-14, E-10).

    A path may contain a colon, so reserved parts are rejected at every position.
    """
    for reserved in (SERVICE_LINKED, RESERVED):
        if reserved in path:
            raise InvalidInput(f"Path prefix '{reserved}' can only be used for AWS Service linked Roles", place="Path")


def get_role(call: ServiceCall, parameters: Input) -> Output:
    return {"Role": describe_full_role(call, load_role(call, parameters))}


def update_role(call: ServiceCall, parameters: Input) -> Output:
    """Change a role's settings; absent ones stay unchanged."""
    row = load_role(call, parameters)
    values = _settings(parameters)
    if parameters.get("ResetMaxSigninSessionDuration"):
        if "max_signin_session_duration" in values:
            message = "MaxSigninSessionDuration and ResetMaxSigninSessionDuration cannot be specified together."
            raise InvalidInput(message, place="ResetMaxSigninSessionDuration")
        values["max_signin_session_duration"] = None
    _change(call, row, values)
    return {}


def update_role_description(call: ServiceCall, parameters: Input) -> Output:
    row = load_role(call, parameters)
    _change(call, row, {"description": parameters["Description"]})
    changed = load_role(call, parameters)
    return {"Role": {**describe_brief_roles(call, [changed])[0], "Description": changed["description"] or None}}


def _change(call: ServiceCall, row: Any, values: dict[str, Any]) -> None:
    """Update a role; of a service-linked role, only the description can be changed (R-14)."""
    if not row["path"].startswith(SERVICE_LINKED) or values.keys() - {"description"}:
        require_modifiable(row)
    if values:
        call.records.update(identities, values, id=row["id"])


def _settings(parameters: Input) -> dict[str, Any]:
    return {column: parameters[member] for member, column in _SETTINGS.items() if member in parameters}


def update_assume_role_policy(call: ServiceCall, parameters: Input) -> None:
    """Replace a role's trust policy."""
    row = load_modifiable(Kind.ROLE, call, parameters)
    call.records.update(identities, trust_columns(call, parameters["PolicyDocument"]), id=row["id"])
