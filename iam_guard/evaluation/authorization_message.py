"""The message of a denial that DecodeAuthorizationMessage returns (rule S-36).

It has AWS's members: whether an explicit deny decided, the matching statements, principal, action, resource and
condition values. It omits another account's policies, resource data and whether that account denies (X-7).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from iam_guard.evaluation.authorizer import Authorizer
from iam_guard.evaluation.matching.condition_keys import spelled
from iam_guard.model.context import Value
from iam_guard.model.decision import Decision, Outcome, PolicyType, Reason
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import Statement

_OWNER_POLICY_TYPES = frozenset({PolicyType.RESOURCE, PolicyType.TRUST, PolicyType.RCP, PolicyType.VPC_ENDPOINT})
_RESOURCE_KEY_PREFIXES = ("aws:resource", "iam:resourcetag/")


def authorization_message(decision: Decision) -> dict[str, Any]:
    """Return the message of a decision as JSON values."""
    request = decision.request
    is_own = request.owner is None or request.owner == request.principal.account
    reasons = [reason for reason in decision.reasons if is_own or reason.policy_type not in _OWNER_POLICY_TYPES]
    denies = decision.outcome is Outcome.EXPLICITLY_DENIED and any(reason.effect == "Deny" for reason in reasons)
    return {
        "allowed": decision.allowed,
        "explicitDeny": denies,
        "matchedStatements": _items(_statements(decision, reasons)),
        "failures": _items([]),
        "context": {
            "principal": _principal(request),
            "action": request.action,
            "resource": request.resource,
            "conditions": _items(_conditions(request, is_own=is_own)),
        },
    }


def _items(members: Iterable[object]) -> dict[str, list[object]]:
    return {"items": list(members)}


def _values(texts: Iterable[str]) -> dict[str, list[object]]:
    return _items({"value": text} for text in texts)


def _principal(request: AccessRequest) -> dict[str, str]:
    userid = request.principal.key("aws:userid")
    members = {"id": userid if isinstance(userid, str) else None, "arn": request.principal.arn}
    return {name: value for name, value in members.items() if value is not None}


def _statements(decision: Decision, reasons: Iterable[Reason]) -> Iterator[dict[str, object]]:
    for reason in reasons:
        statement = decision.explainer.statement_of(reason) if isinstance(decision.explainer, Authorizer) else None
        if statement is not None:
            yield _statement(statement, reason)


def _statement(statement: Statement, reason: Reason) -> dict[str, object]:
    principals = [value for _, value in statement.principals or statement.not_principals or ()]
    return {
        "statementId": statement.sid or "",
        "effect": statement.effect.value.upper(),
        "policy": reason.policy.name if reason.policy else "",
        "principals": _values(principals),
        "principalGroups": _items([]),
        "actions": _values(statement.actions or statement.not_actions or ()),
        "resources": _values(statement.resources or statement.not_resources or ()),
        "conditions": _items({"key": test.key, "values": _values(test.values)} for test in statement.conditions),
    }


def _conditions(request: AccessRequest, *, is_own: bool) -> Iterator[dict[str, object]]:
    values: dict[str, Value] = {**request.principal.condition_keys, **request.context.known()}
    for key, value in sorted(values.items()):
        if is_own or _is_callers(key):
            yield {"key": spelled(key), "values": _values(value if isinstance(value, tuple) else (value,))}


def _is_callers(folded_key: str) -> bool:
    """Return whether a key does not describe a resource; a key of an application may."""
    return folded_key.startswith("aws:") and not folded_key.startswith(_RESOURCE_KEY_PREFIXES)
