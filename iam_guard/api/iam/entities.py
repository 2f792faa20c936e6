"""Find entities of the caller's account by name or ARN; raise AWS's errors for missing ones.

Names are case-insensitive (P-16).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from iam_guard.api.call import Input, ServiceCall
from iam_guard.errors import InvalidInput, LimitExceeded, NoSuchEntity, UnmodifiableEntity, ValidationError
from iam_guard.model.arn import Arn
from iam_guard.model.principal import PrincipalType
from iam_guard.store.database.records import Records, Row
from iam_guard.store.identifiers import AWS_MANAGED, Kind, fold, iam_arn
from iam_guard.store.schema import identities, policies

NAME_MEMBER = {Kind.USER: "UserName", Kind.GROUP: "GroupName", Kind.ROLE: "RoleName"}
SERVICE_LINKED = "/aws-service-role/"
RESERVED = "/aws-reserved/"
"""Paths of service-linked roles, and of the roles of an Identity Center."""


def require_row(row: Row | None, message: str) -> Row:
    """Return a row that was found. Raises `NoSuchEntity` with AWS's message if there is none."""
    if row is None:
        raise NoSuchEntity(message)
    return row


def find_identity(call: ServiceCall, kind: Kind, name: str) -> Row | None:
    """Find a user, group or role of the account."""
    return call.records.one(identities, account=call.account, kind=kind.value, folded=fold(name))


def requested_name(kind: Kind, call: ServiceCall, parameters: Input) -> str:
    """Return the name of the call's user, group or role; without `UserName`, the caller's.

    Raises `ValidationError` if the caller is no user.
    """
    if NAME_MEMBER[kind] in parameters:
        name: str = parameters[NAME_MEMBER[kind]]
        return name
    if call.caller.type is not PrincipalType.USER:
        raise ValidationError("Must specify userName when calling with non-User credentials")
    return call.caller.name


def load_identity(kind: Kind, call: ServiceCall, parameters: Input) -> Row:
    """Find the call's user, group or role. Raises `NoSuchEntity`."""
    name = requested_name(kind, call, parameters)
    return require_row(find_identity(call, kind, name), f"The {kind.value} with name {name} cannot be found.")


load_user = partial(load_identity, Kind.USER)
load_group = partial(load_identity, Kind.GROUP)
load_role = partial(load_identity, Kind.ROLE)


def load_modifiable(kind: Kind, call: ServiceCall, parameters: Input) -> Row:
    """Find the user, group or role that a call changes. Raises `NoSuchEntity`, `UnmodifiableEntity`."""
    row = load_identity(kind, call, parameters)
    if kind is Kind.ROLE:
        require_modifiable(row)
    return row


def require_modifiable(role: Row) -> None:
    """Raise `UnmodifiableEntity` for a role that only its service can change (R-14, I-7, P-14)."""
    if role["path"].startswith((SERVICE_LINKED, RESERVED)):
        raise UnmodifiableEntity(
            f"Cannot perform the operation on the protected role '{role['name']}' - this role is only modifiable by AWS"
        )


def is_about_root(call: ServiceCall, parameters: Input) -> bool:
    """Return whether a call without `UserName` is about the root user, who is the caller."""
    return "UserName" not in parameters and call.is_root


def owner_of_credentials(call: ServiceCall, parameters: Input) -> Row | None:
    """Find the owner of the credentials: a user, or None for the root user. Raises `NoSuchEntity`."""
    return None if is_about_root(call, parameters) else load_user(call, parameters)


def parsed_arn(text: str) -> Arn | None:
    """Parse an ARN; return None for any other text."""
    try:
        return Arn.parse(text)
    except InvalidInput:
        return None


def find_policy(call: ServiceCall, arn: str) -> Row | None:
    """Find a managed policy of the account or of AWS by its exact ARN."""
    parsed = parsed_arn(arn)
    if parsed is None or parsed.account not in (call.account, AWS_MANAGED) or parsed.service != "iam":
        return None
    row = call.records.one(policies, account=parsed.account, folded=fold(parsed.resource.rpartition("/")[2]))
    return row if row is not None and policy_arn(call, row) == arn else None


def load_policy(call: ServiceCall, arn: str) -> Row:
    """Find a managed policy. Raises `InvalidInput` for another kind of ARN, `NoSuchEntity`."""
    row = find_policy(call, arn)
    if row is None:
        if not arn.startswith(f"arn:{call.partition}:iam::") or ":policy/" not in arn:
            raise InvalidInput(f"ARN {arn} is not valid.")
        raise NoSuchEntity(f"Policy {arn} was not found.")
    return row


def policy_arn(call: ServiceCall, row: Row) -> str:
    return iam_arn(call.partition, row["account"], "policy", row["path"], row["name"])


def identity_arn(call: ServiceCall, row: Row) -> str:
    return iam_arn(call.partition, row["account"], row["kind"], row["path"], row["name"])


def named_columns(call: ServiceCall, name: str) -> dict[str, Any]:
    """Return the columns that each new entity with a name in the account has."""
    return {"account": call.account, "name": name, "folded": fold(name), "created": call.now}


def require_quota(records: Records, quota: str, name: str, current: int) -> None:
    """Raise `LimitExceeded` with AWS's message if the quota is used up; `quota` is a key of `QUOTAS`."""
    limit = records.quotas[quota]
    if current >= limit:
        raise LimitExceeded(f"Cannot exceed quota for {name}: {limit}")
