"""The explanation of a decision as a test that fails shows it: whole, or where it is long, what is about the action."""

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

_FEW: Final = 10
"""Statements that are all shown."""
_NEAREST: Final = 5
"""Of more statements, how many misses are shown; the most promising come first."""


def failing_text(decision: Decision) -> str:
    """Return why it was decided so; of many statements those alone that are about the action."""
    whole = cast(Explanation, decision.explain())
    many = _count(whole.types)
    if many <= _FEW:
        return whole.text()
    short = replace(whole, types=tuple(map(_type, whole.types)), nearest=whole.nearest[:_NEAREST])
    return f"{short.text()}\n\n{many - _count(short.types)} statements about other actions are not shown"


def _count(types: Iterable[ExplainedType]) -> int:
    return sum(len(policy.statements) for type in types for level in type.levels for policy in level.policies)


def _type(type: ExplainedType) -> ExplainedType:
    return replace(type, levels=tuple(map(_level, type.levels)))


def _level(level: ExplainedLevel) -> ExplainedLevel:
    shown = map(_policy, level.policies)
    return replace(level, policies=tuple(each for each in shown if each.statements))


def _policy(policy: ExplainedPolicy) -> ExplainedPolicy:
    return replace(policy, statements=tuple(map(_statement, filter(_is_about_action, policy.statements))))


def _statement(statement: ExplainedStatement) -> ExplainedStatement:
    return replace(statement, elements=tuple(map(_brief, statement.elements)))


def _is_about_action(statement: ExplainedStatement) -> bool:
    return all(element.matched for element in statement.elements if element.name in ("Action", "NotAction"))


def _brief(element: Element) -> Element:
    """Leave out of an element that matches by one of its entries the others; there may be hundreds of actions."""
    is_long = element.name in ("Action", "Resource") and element.matched
    return replace(element, wanted=tuple(each for each in element.wanted if each.matched)) if is_long else element
