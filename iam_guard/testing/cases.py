"""Cases as data: a request, the policies, the expected outcome (rules N). Used by our tests and by policy tests.

`read_case` validates a case, `decide_case` decides it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iam_guard.errors import InvalidInput, did_you_mean
from iam_guard.evaluation.authorizer import Authorizer, compile_policies
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import AccessRequest

_CASE = {"id", "rule", "request", "policies", "expected", "why"}
_REQUEST = {"principal", "action", "resource", "resource_account", "context"}
_PRINCIPAL = {"arn", "account", "type", "role_arn", "user_arn", "userid", "boundary"}
_POLICIES = {"identity", "resource", "permissions_boundary", "session", "scps", "rcps", "vpc_endpoint"}


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `policies` is as written and compiled when the case is decided."""

    id: str
    request: AccessRequest
    policies: Mapping[str, Any]
    expected: str | None = None
    rule: str | None = None


def read_case(members: object) -> Case:
    """Validate a decoded case (rules N-1 to N-4). Raises `InvalidInput` with the place."""
    case = _object(members, "", _CASE)
    request = _object(case.get("request"), "/request", _REQUEST)
    context = {} if request.get("context") is None else request["context"]
    if not isinstance(context, dict):
        raise InvalidInput("expected condition keys as an object", place="/request/context")
    return Case(
        id=_text(case, "id", ""),
        request=AccessRequest(
            principal=_principal(_object(request.get("principal"), "/request/principal", _PRINCIPAL)),
            action=_text(request, "action", "/request"),
            resource=_text(request, "resource", "/request"),
            context=context,
            resource_account=_optional_text(request, "resource_account", "/request"),
        ),
        policies={} if case.get("policies") is None else _object(case["policies"], "/policies", _POLICIES),
        expected=_optional_text(case, "expected", ""),
        rule=_optional_text(case, "rule", ""),
    )


def decide_case(case: Case) -> Decision:
    """Decide a case. Raises `PolicyError` for an invalid document (rule N-9)."""
    return compile_case(case.policies).decide(case.request)


def compile_case(policies: Mapping[str, Any]) -> Authorizer:
    """Compile the policies of a case. Raises `PolicyError` for an invalid document (rule N-9)."""
    return compile_policies(
        identity=_list(policies, "identity") or (),
        resource=policies.get("resource"),
        permissions_boundary=policies.get("permissions_boundary"),
        session=_list(policies, "session"),
        scps=_levels(policies, "scps"),
        rcps=_levels(policies, "rcps"),
        vpc_endpoint=policies.get("vpc_endpoint"),
    )


def _principal(members: Mapping[str, Any]) -> Principal:
    place = "/request/principal"
    try:
        kind = PrincipalType(_text(members, "type", place))
    except ValueError:
        known = ", ".join(PrincipalType)
        raise InvalidInput(f"expected one of {known}, got `{members.get('type')}`", place=f"{place}/type") from None
    arn = _text(members, "arn", place)
    role_arn = _optional_text(members, "role_arn", place)
    if kind is PrincipalType.ASSUMED_ROLE and role_arn is None:
        role_arn = Principal.from_arn(arn).role_arn
    return Principal(
        kind,
        arn,
        _optional_text(members, "account", place),
        role_arn=role_arn,
        user_arn=_optional_text(members, "user_arn", place),
        userid=_optional_text(members, "userid", place),
        has_boundary=_flag(members, "boundary", place),
    )


def _object(members: object, place: str, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(members, dict):
        raise InvalidInput(f"expected an object with {', '.join(sorted(known))}", place=place or "/")
    if not members.keys() <= known:
        key = next(key for key in members if key not in known)
        hint = did_you_mean(key, known) or f", expected one of {', '.join(sorted(known))}"
        raise InvalidInput(f"unknown key `{key}`{hint}", place=place or "/")
    return members


def _text(members: Mapping[str, Any], key: str, place: str) -> str:
    value = members.get(key)
    if not isinstance(value, str):
        is_account = type(value) is int and 0 <= value < 10**12  # an unquoted account id in YAML
        hint = f", got the number `{value}`: put it in quotes" if is_account else ""
        raise InvalidInput(f"expected a string{hint}", place=f"{place}/{key}")
    return value


def _optional_text(members: Mapping[str, Any], key: str, place: str) -> str | None:
    return None if members.get(key) is None else _text(members, key, place)


def _flag(members: Mapping[str, Any], key: str, place: str) -> bool:
    value = members.get(key)
    if value is not None and not isinstance(value, bool):
        raise InvalidInput("expected true or false", place=f"{place}/{key}")
    return value is True


def _list(policies: Mapping[str, Any], key: str) -> Sequence[Any] | None:
    value = policies.get(key)
    if value is not None and not isinstance(value, list):
        raise InvalidInput("expected a list of policy documents", place=f"/policies/{key}")
    return value


def _levels(policies: Mapping[str, Any], key: str) -> Sequence[Sequence[Any]] | None:
    levels = _list(policies, key)
    if levels is not None and not all(isinstance(level, list) for level in levels):
        raise InvalidInput("expected levels, each a list of policy documents", place=f"/policies/{key}")
    return levels
