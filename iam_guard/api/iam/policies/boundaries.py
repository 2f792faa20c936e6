"""Permissions boundaries of users and roles (rule G-38)."""

from __future__ import annotations

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.entities import find_policy, load_modifiable
from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import identities


def requested_boundary(call: ServiceCall, parameters: Input) -> str | None:
    """Return the id of the requested boundary policy; None without one. Raises `InvalidInput`, `NoSuchEntity`."""
    if "PermissionsBoundary" not in parameters:
        return None
    arn: str = parameters["PermissionsBoundary"]
    row = find_policy(call, arn)
    if row is not None:
        return str(row["id"])
    if not arn.startswith("arn:") or ":policy/" not in arn:
        raise InvalidInput(f"ARN {arn} is not valid.", place="PermissionsBoundary")
    raise NoSuchEntity(f"Scope ARN: {arn} does not exist or is not attachable.")


def put_boundary(kind: Kind, call: ServiceCall, parameters: Input) -> None:
    """Set or replace a user's or role's boundary."""
    row = load_modifiable(kind, call, parameters)
    call.records.update(identities, {"boundary_id": requested_boundary(call, parameters)}, id=row["id"])


def delete_boundary(kind: Kind, call: ServiceCall, parameters: Input) -> None:
    """Remove a user's or role's boundary."""
    row = load_modifiable(kind, call, parameters)
    if row["boundary_id"] is None:
        raise NoSuchEntity(f"{kind.value.capitalize()} {row['name']} does not have a permissions boundary.")
    call.records.update(identities, {"boundary_id": None}, id=row["id"])
