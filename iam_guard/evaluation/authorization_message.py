"""A refusal as its own account may read it: the message that DecodeAuthorizationMessage gives back (rule S-36).

It has AWS's members: whether an explicit deny decided, the statement that did, who asked for what, and the values of
condition keys. What belongs to another account than the caller's is not in it: neither its policies nor what is known
of its resource, nor whether it denies (X-7).
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

_OF_THE_OWNER = frozenset({PolicyType.RESOURCE, PolicyType.TRUST, PolicyType.RCP, PolicyType.VPC_ENDPOINT})
_OF_THE_RESOURCE = ("aws:resource", "iam:resourcetag/")


def authorization_message(decision: Decision) -> dict[str, Any]:
    """Return the message of a decision as JSON values."""
    request = decision.request
    is_own = request.owner is None or request.owner == request.principal.account
    shown = [reason for reason in decision.reasons if is_own or reason.policy_type not in _OF_THE_OWNER]
    denies = decision.outcome is Outcome.EXPLICITLY_DENIED and any(each.effect == "Deny" for each in shown)
    return {
        "allowed": decision.allowed,
        "explicitDeny": denies,
        "matchedStatements": _items(_statements(decision, shown)),
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
    known = {"id": userid if isinstance(userid, str) else None, "arn": request.principal.arn}
    return {name: value for name, value in known.items() if value is not None}


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
    found: dict[str, Value] = {**request.principal.condition_keys, **request.context.known()}
    for key, value in sorted(found.items()):
        if is_own or _is_callers(key):
            yield {"key": spelled(key), "values": _values(value if isinstance(value, tuple) else (value,))}


def _is_callers(folded_key: str) -> bool:
    """Return whether a key says nothing about a resource; what an application supplies may."""
    return folded_key.startswith("aws:") and not folded_key.startswith(_OF_THE_RESOURCE)
