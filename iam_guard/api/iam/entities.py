"""Finding entities of the caller's account by the names that a call gives, and AWS's sentences where there is none.

Names are found without regard to case (rule P-16).
"""

from __future__ import annotations

from iam_guard.api.call import Input, ServiceCall
from iam_guard.errors import InvalidInput, LimitExceeded, NoSuchEntity, ValidationError
from iam_guard.model.arn import Arn
from iam_guard.model.principal import PrincipalType
from iam_guard.store.identifiers import AWS_MANAGED, Kind, fold, iam_arn
from iam_guard.store.quotas import QUOTAS
from iam_guard.store.records import Row
from iam_guard.store.schema import access_keys, identities, policies

NAME_MEMBER = {Kind.USER: "UserName", Kind.GROUP: "GroupName", Kind.ROLE: "RoleName"}


def find_identity(call: ServiceCall, kind: Kind, name: str) -> Row | None:
    """Find a user, group or role of the account."""
    return call.records.one(identities, account=call.account, kind=kind.value, folded=fold(name))


def the_identity(call: ServiceCall, kind: Kind, name: str) -> Row:
    """Find a user, group or role. Raises `NoSuchEntity`."""
    row = find_identity(call, kind, name)
    if row is None:
        raise NoSuchEntity(f"The {kind.value} with name {name} cannot be found.")
    return row


def the_user(call: ServiceCall, given: Input) -> Row:
    """Find the user that a call names in `UserName`; without a name, the caller. Raises `NoSuchEntity`."""
    return the_identity(call, Kind.USER, user_name(call, given))


def the_group(call: ServiceCall, given: Input) -> Row:
    """Find the group that a call names in `GroupName`. Raises `NoSuchEntity`."""
    return the_identity(call, Kind.GROUP, given["GroupName"])


def the_role(call: ServiceCall, given: Input) -> Row:
    """Find the role that a call names in `RoleName`. Raises `NoSuchEntity`."""
    return the_identity(call, Kind.ROLE, given["RoleName"])


def user_name(call: ServiceCall, given: Input) -> str:
    """Return the name of the user that a call is about. Raises `ValidationError` where it must be said and is not."""
    if "UserName" in given:
        name: str = given["UserName"]
        return name
    if call.caller.type is not PrincipalType.USER:
        raise ValidationError("Must specify userName when calling with non-User credentials")
    return call.caller.name


def means_root(call: ServiceCall, given: Input) -> bool:
    """Return whether a call without `UserName` is about the root user, who makes it."""
    return "UserName" not in given and call.is_root


def owner_of_credentials(call: ServiceCall, given: Input) -> Row | None:
    """Find whose credentials a call is about: a user, or None for the root user. Raises `NoSuchEntity`."""
    return None if means_root(call, given) else the_user(call, given)


def find_policy(call: ServiceCall, arn: str) -> Row | None:
    """Find a managed policy by its ARN, letter by letter: one of the account, or of AWS."""
    try:
        parsed = Arn.parse(arn)
    except InvalidInput:
        return None
    if parsed.account not in (call.account, AWS_MANAGED) or parsed.service != "iam":
        return None
    row = call.records.one(policies, account=parsed.account, folded=fold(parsed.resource.rpartition("/")[2]))
    return row if row is not None and policy_arn(call, row) == arn else None


def the_policy(call: ServiceCall, arn: str) -> Row:
    """Find a managed policy. Raises `InvalidInput` for what is no ARN of one, `NoSuchEntity`."""
    row = find_policy(call, arn)
    if row is None:
        if not arn.startswith(f"arn:{call.partition}:iam::") or ":policy/" not in arn:
            raise InvalidInput(f"ARN {arn} is not valid.")
        raise NoSuchEntity(f"Policy {arn} was not found.")
    return row


def policy_arn(call: ServiceCall, row: Row) -> str:
    """Write the ARN of a managed policy."""
    return iam_arn(call.partition, row["account"], "policy", row["path"], row["name"])


def identity_arn(call: ServiceCall, row: Row) -> str:
    """Write the ARN of a user, group or role."""
    return iam_arn(call.partition, row["account"], row["kind"], row["path"], row["name"])


def the_access_key(call: ServiceCall, owner: Row | None, key_id: str) -> Row:
    """Find a key of a user, or of the root user for None. Raises `NoSuchEntity`."""
    user_id = None if owner is None else owner["id"]
    row = call.records.one(access_keys, id=key_id, account=call.account, user_id=user_id)
    if row is None:
        raise NoSuchEntity(f"The Access Key with id {key_id} cannot be found.")
    return row


def require_room(quota: str, name: str, have: int) -> None:
    """Raise `LimitExceeded` with AWS's sentence when there may not be one more; `quota` names a row of the quotas."""
    limit = QUOTAS[quota]
    if have >= limit:
        raise LimitExceeded(f"Cannot exceed quota for {name}: {limit}")
