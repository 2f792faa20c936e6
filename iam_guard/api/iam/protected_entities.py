"""What nobody may change by hand: service-linked roles, roles of Identity Center, policies of AWS (R-14, I-7, P-14)."""

from __future__ import annotations

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.entities import NAME_MEMBER, the_identity
from iam_guard.errors import UnmodifiableEntity
from iam_guard.store.identifiers import AWS_MANAGED, Kind
from iam_guard.store.records import Row

SERVICE_LINKED = "/aws-service-role/"
RESERVED = "/aws-reserved/"


def require_modifiable(role: Row) -> None:
    """Raise `UnmodifiableEntity` for a role that its service alone may change."""
    if role["path"].startswith((SERVICE_LINKED, RESERVED)):
        raise UnmodifiableEntity(
            f"Cannot perform the operation on the protected role '{role['name']}' - this role is only modifiable by AWS"
        )


def require_customer_managed(policy: Row) -> None:
    """Raise `UnmodifiableEntity` for a managed policy of AWS."""
    if policy["account"] == AWS_MANAGED:
        raise UnmodifiableEntity("Cannot perform the operation on an AWS managed policy.")


def the_modifiable(call: ServiceCall, kind: Kind, given: Input) -> Row:
    """Find the user, group or role that a call names and changes. Raises `NoSuchEntity`, `UnmodifiableEntity`."""
    row = the_identity(call, kind, given[NAME_MEMBER[kind]])
    if kind is Kind.ROLE:
        require_modifiable(row)
    return row
