"""Permissions boundaries of users and roles (rule G-38)."""

from __future__ import annotations

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.entities import find_policy
from iam_guard.api.iam.protected_entities import the_modifiable
from iam_guard.api.operation import Handler
from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import identities


def given_boundary(call: ServiceCall, given: Input) -> str | None:
    """Find the policy that is to be a boundary, None where the call says nothing of one.

    Raises `InvalidInput`, `NoSuchEntity`.
    """
    if "PermissionsBoundary" not in given:
        return None
    arn: str = given["PermissionsBoundary"]
    row = find_policy(call, arn)
    if row is not None:
        id: str = row["id"]
        return id
    if not arn.startswith("arn:") or ":policy/" not in arn:
        raise InvalidInput(f"ARN {arn} is not valid.", place="PermissionsBoundary")
    raise NoSuchEntity(f"Scope ARN: {arn} does not exist or is not attachable.")


def put_boundary_handler(kind: Kind) -> Handler:
    """Make the operation that sets a user's or role's boundary, in the place of any other."""

    def put_boundary(call: ServiceCall, given: Input) -> None:
        row = the_modifiable(call, kind, given)
        call.records.update(identities, {"boundary_id": given_boundary(call, given)}, id=row["id"])

    return put_boundary


def delete_boundary_handler(kind: Kind) -> Handler:
    """Make the operation that takes a user's or role's boundary away."""

    def delete_boundary(call: ServiceCall, given: Input) -> None:
        row = the_modifiable(call, kind, given)
        if row["boundary_id"] is None:
            raise NoSuchEntity(f"{kind.value.capitalize()} {row['name']} does not have a permissions boundary.")
        call.records.update(identities, {"boundary_id": None}, id=row["id"])

    return delete_boundary
