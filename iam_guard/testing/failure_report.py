"""The explanation of a decision in a failing test: complete, or if long, only the statements about the action."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, cast

from iam_guard.evaluation.explanation import (
    Element,
    ExplainedLevel,
    ExplainedPolicy,
    ExplainedStatement,
    ExplainedType,
    Explanation,
)
from iam_guard.model.decision import Decision

_MAX_STATEMENTS: Final = 10
"""The maximum number of statements that are all shown."""
_MAX_NEAREST: Final = 5
"""The maximum number of near misses shown beyond that, the closest first."""


def failing_text(decision: Decision) -> str:
    """Return the explanation of a decision, shortened to statements about the action if there are many."""
    whole = cast(Explanation, decision.explain())
    many = _count(whole.types)
    if many <= _MAX_STATEMENTS:
        return whole.text()
    types = [replace(type, levels=tuple(map(_level, type.levels))) for type in whole.types]
    short = replace(whole, types=tuple(types), nearest=whole.nearest[:_MAX_NEAREST])
    return f"{short.text()}\n\n{many - _count(short.types)} statements about other actions are not shown"


def notes_without_policies(decision: Decision) -> list[str]:
    """Return the reasons of a decision that are no policies: an unknown principal, a resource without owner, …."""
    return [reason.note for reason in decision.reasons if reason.policy is None and reason.note is not None]


def _count(types: Iterable[ExplainedType]) -> int:
    return sum(len(policy.statements) for type in types for level in type.levels for policy in level.policies)


def _level(level: ExplainedLevel) -> ExplainedLevel:
    shown = map(_policy, level.policies)
    return replace(level, policies=tuple(policy for policy in shown if policy.statements))


def _policy(policy: ExplainedPolicy) -> ExplainedPolicy:
    about = filter(_is_about_action, policy.statements)
    brief = [replace(statement, elements=tuple(map(_brief, statement.elements))) for statement in about]
    return replace(policy, statements=tuple(brief))


def _is_about_action(statement: ExplainedStatement) -> bool:
    return all(element.matched for element in statement.elements if element.name in ("Action", "NotAction"))


def _brief(element: Element) -> Element:
    """Reduce a long matching element to the entries that match; there may be hundreds of actions."""
    is_long = element.name in ("Action", "Resource") and element.matched
    if not is_long:
        return element
    return replace(element, wanted=tuple(entry for entry in element.wanted if entry.matched))
