"""Who a simulation supposes to call: a user, a group or a role by its ARN, or nobody in particular.

A role is supposed to be used by a session that has no name a policy could mean. A group is not a caller anywhere else:
here it is somebody who has the group's policies. Of a caller whose entity was not looked up nothing is known but the
ARN, which then stands in for the unique id, as with AWS; tags are given as context. Rules K-10, G-43, P-13.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from iam_guard.api.call import ServiceCall
from iam_guard.errors import InvalidInput
from iam_guard.model.arn import Arn, is_account_id
from iam_guard.model.context import Value
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.store.identifiers import Kind, iam_arn, session_arn

_SESSION = "(simulated)"
"""No session can have this name (P-11), so that no policy can name it."""
_NOBODY = "STUB_PRINCIPAL_FOR_POLICY_SIMULATOR"
"""What AWS's simulator calls a caller of whom nothing is said."""


@dataclass(frozen=True, slots=True)
class SimulatedCaller:
    """The caller to policies that name principals, and the condition keys that follow from it, in lower case."""

    principal: Principal
    keys: Mapping[str, Value]


def nobody(call: ServiceCall) -> SimulatedCaller:
    """Return a caller of the account of whom nothing else is said."""
    arn = iam_arn(call.partition, call.account, "user", "/", _NOBODY)
    principal = Principal(PrincipalType.USER, arn, call.account, userid=_NOBODY)
    return SimulatedCaller(principal, {"aws:principalaccount": call.account, "aws:userid": _NOBODY})


def caller_by_arn(arn: str, *, unique_id: str | None = None) -> SimulatedCaller:
    """Return the caller that an ARN means; raise `InvalidInput` for one that is no user, group or role."""
    try:
        parsed = Arn.parse(arn)
    except InvalidInput:
        raise _not_one(arn) from None
    kind, _, name = parsed.resource.partition("/")
    name = name.rpartition("/")[2]
    if parsed.service != "iam" or parsed.region or not is_account_id(parsed.account) or not name:
        raise _not_one(arn)
    match kind:
        case Kind.USER.value:
            return _user(Principal(PrincipalType.USER, arn, parsed.account, userid=unique_id or arn))
        case Kind.GROUP.value:
            return _group(Principal(PrincipalType.USER, arn, parsed.account, userid=unique_id or arn))
        case Kind.ROLE.value:
            session = Principal(
                PrincipalType.ASSUMED_ROLE,
                session_arn(parsed.partition, parsed.account, name, _SESSION),
                parsed.account,
                role_arn=arn,
                userid=arn if unique_id is None else f"{unique_id}:{_SESSION}",
            )
            return _user(session)
    raise _not_one(arn)


def _user(principal: Principal) -> SimulatedCaller:
    return SimulatedCaller(principal, dict(principal.condition_keys))


def _group(principal: Principal) -> SimulatedCaller:
    """A group has neither a user name nor a type of principal."""
    own = principal.condition_keys
    names = ("aws:principalarn", "aws:principalaccount", "aws:userid")
    return SimulatedCaller(principal, {name: own[name] for name in names})


def _not_one(arn: str) -> InvalidInput:
    return InvalidInput(
        f"Invalid caller - Caller must be an IAM user, role or group in this context, got {arn}", place="CallerArn"
    )
