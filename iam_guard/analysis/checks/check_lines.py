"""One check as decoded JSON, and its result: the members of `iam-guard check batch`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from iam_guard.analysis.checks.check_results import CheckResult
from iam_guard.analysis.checks.policy_checks import (
    CHECKED_TYPES,
    ListedAccess,
    check_access_not_granted,
    check_equivalent,
    check_no_new_access,
    check_no_public_access,
)
from iam_guard.errors import IamGuardError, InvalidInput, did_you_mean
from iam_guard.model.decision import PolicyType
from iam_guard.policy.grammar import shown

_SHOWN = ("result", "reasons", "witness")
"""The members of an answer."""


def check_line(members: object) -> dict[str, Any]:
    """Return `result`, `reasons` and `witness` of a check, or `error`; never raises for its content."""
    try:
        result = _checked(members).to_dict()
    except IamGuardError as error:
        return {"error": shown(str(error))}
    except (RecursionError, MemoryError) as error:
        return {"error": f"the check is too large: {type(error).__name__}"}
    return {name: result[name] for name in _SHOWN}


def _checked(members: object) -> CheckResult:
    if not isinstance(members, dict):
        raise InvalidInput("expected a check as JSON object")
    name = members.get("check")
    check = _CHECKS.get(name) if isinstance(name, str) else None
    if check is None:
        hint = did_you_mean(name, _CHECKS) if isinstance(name, str) else ""
        raise InvalidInput(f"expected one of {', '.join(_CHECKS)}{hint}", place="/check")
    return check(members)


def _no_new_access(members: Mapping[str, Any]) -> CheckResult:
    return check_no_new_access(_document(members, "existing"), _document(members, "new"), _type(members))


def _equivalent(members: Mapping[str, Any]) -> CheckResult:
    return check_equivalent(_document(members, "existing"), _document(members, "new"), _type(members))


def _access_not_granted(members: Mapping[str, Any]) -> CheckResult:
    access = members.get("access")
    if not isinstance(access, list) or not all(isinstance(entry, dict) for entry in access):
        raise InvalidInput("expected a list of objects with `actions`, `resources` or both", place="/access")
    listed = [ListedAccess(_strings(entry, "actions"), _strings(entry, "resources")) for entry in access]
    return check_access_not_granted(_document(members, "policy"), listed, _type(members))


def _no_public_access(members: Mapping[str, Any]) -> CheckResult:
    kind = members.get("resourceType")
    if not isinstance(kind, str):
        raise InvalidInput("expected a resource type such as `AWS::S3::Bucket`", place="/resourceType")
    return check_no_public_access(_document(members, "policy"), kind)


_CHECKS: dict[str, Callable[[Mapping[str, Any]], CheckResult]] = {
    "no-new-access": _no_new_access,
    "equivalent": _equivalent,
    "access-not-granted": _access_not_granted,
    "no-public-access": _no_public_access,
}


def _document(members: Mapping[str, Any], name: str) -> Mapping[str, Any] | str:
    document = members.get(name)
    if isinstance(document, (dict, str)):
        return document
    raise InvalidInput("expected a policy document", place=f"/{name}")


def _type(members: Mapping[str, Any]) -> PolicyType:
    name = members.get("policyType")
    kind = CHECKED_TYPES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidInput(f"expected one of {', '.join(CHECKED_TYPES)}", place="/policyType")
    return kind


def _strings(members: Mapping[str, Any], name: str) -> tuple[str, ...]:
    listed = members.get(name)
    if listed is None:
        return ()
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        raise InvalidInput("expected a list of strings", place=f"/access/{name}")
    return tuple(listed)
