"""Permissions boundaries of users and roles (rule G-38). Must not live here: what a boundary does to a decision."""

from __future__ import annotations

from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.services.call import Input, ServiceCall
from iam_guard.services.iam.entities import find_policy, the_role, the_user
from iam_guard.services.iam.protected import require_modifiable
from iam_guard.store.records import Row
from iam_guard.store.schema import identities


def boundary_id(call: ServiceCall, arn: str) -> str:
    """Find the policy that is to be a boundary. Raises `InvalidInput`, `NoSuchEntity`."""
    if not arn.startswith("arn:") or ":policy/" not in arn:
        raise InvalidInput(f"Value ({arn}) for parameter PermissionsBoundary is invalid.", place="PermissionsBoundary")
    row = find_policy(call, arn)
    if row is None:
        raise NoSuchEntity(f"Scope ARN: {arn} does not exist or is not attachable.")
    id: str = row["id"]
    return id


def put_user_boundary(call: ServiceCall, given: Input) -> None:
    """Set a user's boundary, in the place of any other."""
    _set(call, the_user(call, given), boundary_id(call, given["PermissionsBoundary"]))


def delete_user_boundary(call: ServiceCall, given: Input) -> None:
    """Take a user's boundary away."""
    _remove(call, the_user(call, given))


def put_role_boundary(call: ServiceCall, given: Input) -> None:
    """Set a role's boundary, in the place of any other."""
    row = the_role(call, given)
    require_modifiable(row)
    _set(call, row, boundary_id(call, given["PermissionsBoundary"]))


def delete_role_boundary(call: ServiceCall, given: Input) -> None:
    """Take a role's boundary away."""
    row = the_role(call, given)
    require_modifiable(row)
    _remove(call, row)


def _set(call: ServiceCall, row: Row, policy_id: str) -> None:
    call.records.update(identities, {"boundary_id": policy_id}, id=row["id"])


def _remove(call: ServiceCall, row: Row) -> None:
    if row["boundary_id"] is None:
        raise NoSuchEntity(f"{row['kind'].capitalize()} {row['name']} does not have a permissions boundary.")
    call.records.update(identities, {"boundary_id": None}, id=row["id"])
