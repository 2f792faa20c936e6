"""Entities that can't be modified: service-linked roles, Identity Center roles, AWS policies (R-14, I-7, P-14)."""

from __future__ import annotations

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.entities import NAME_MEMBER, load_identity
from iam_guard.errors import UnmodifiableEntity
from iam_guard.store.identifiers import AWS_MANAGED, Kind
from iam_guard.store.records import Row

SERVICE_LINKED = "/aws-service-role/"
RESERVED = "/aws-reserved/"


def require_modifiable(role: Row) -> None:
    """Raise `UnmodifiableEntity` for a role that only its service can change."""
    if role["path"].startswith((SERVICE_LINKED, RESERVED)):
        raise UnmodifiableEntity(
            f"Cannot perform the operation on the protected role '{role['name']}' - this role is only modifiable by AWS"
        )


def require_customer_managed(policy: Row) -> None:
    """Raise `UnmodifiableEntity` for an AWS managed policy."""
    if policy["account"] == AWS_MANAGED:
        raise UnmodifiableEntity("Cannot perform the operation on an AWS managed policy.")


def load_modifiable(call: ServiceCall, kind: Kind, parameters: Input) -> Row:
    """Find the user, group or role that a call changes. Raises `NoSuchEntity`, `UnmodifiableEntity`."""
    row = load_identity(call, kind, parameters[NAME_MEMBER[kind]])
    if kind is Kind.ROLE:
        require_modifiable(row)
    return row
