"""The caller of a simulation: a user, group or role by its ARN, or a default caller.

A role is simulated as a session with a name that no policy can match. A group, which can't call otherwise, stands for a
caller with the group's policies. Without a stored entity, the ARN replaces the unique id, as at AWS; tags are passed as
context. Rules K-10, G-43, P-13.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from iam_guard.api.call import ServiceCall
from iam_guard.api.iam.entities import parsed_arn
from iam_guard.errors import InvalidInput
from iam_guard.model.arn import is_account_id
from iam_guard.model.context import Value
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.store.identifiers import Kind, session_arn

_SESSION = "(simulated)"
"""An invalid session name (P-11), which no policy can match."""
_DEFAULT_NAME = "STUB_PRINCIPAL_FOR_POLICY_SIMULATOR"
"""AWS's name for the default caller."""


@dataclass(frozen=True, slots=True)
class SimulatedCaller:
    """The principal for policies, and its condition keys, in lower case."""

    principal: Principal
    keys: Mapping[str, Value]


def default_caller(call: ServiceCall) -> SimulatedCaller:
    """Return an unspecified caller of the account."""
    arn = call.arn("user", "/", _DEFAULT_NAME)
    principal = Principal(PrincipalType.USER, arn, call.account, userid=_DEFAULT_NAME)
    return SimulatedCaller(principal, {"aws:principalaccount": call.account, "aws:userid": _DEFAULT_NAME})


def caller_by_arn(arn: str, *, unique_id: str | None = None) -> SimulatedCaller:
    """Return the caller with an ARN. Raises `InvalidInput` if it is no user, group or role."""
    parsed = parsed_arn(arn)
    if parsed is None:
        raise _invalid_caller(arn)
    kind, _, name = parsed.resource.partition("/")
    name = name.rpartition("/")[2]
    if parsed.service != "iam" or parsed.region or not is_account_id(parsed.account) or not name:
        raise _invalid_caller(arn)
    if kind == Kind.ROLE:
        session = session_arn(parsed.partition, parsed.account, name, _SESSION)
        userid = arn if unique_id is None else f"{unique_id}:{_SESSION}"
        principal = Principal(PrincipalType.ASSUMED_ROLE, session, parsed.account, role_arn=arn, userid=userid)
    elif kind in (Kind.USER, Kind.GROUP):
        principal = Principal(PrincipalType.USER, arn, parsed.account, userid=unique_id or arn)
    else:
        raise _invalid_caller(arn)
    keys = dict(principal.condition_keys)
    if kind == Kind.GROUP:  # has no user name and principal type
        keys = {name: keys[name] for name in ("aws:principalarn", "aws:principalaccount", "aws:userid")}
    return SimulatedCaller(principal, keys)


def _invalid_caller(arn: str) -> InvalidInput:
    return InvalidInput(
        f"Invalid caller - Caller must be an IAM user, role or group in this context, got {arn}", place="CallerArn"
    )
