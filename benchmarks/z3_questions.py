"""The question of `check no-new-access`, asked of z3: strings, and regular expressions for wildcards.

It has what most policies of AWS have: lists of actions and resources, `StringEquals`, `StringLike` and their negations,
`Null` and `Bool` of keys with at most one value. Every other condition is a boolean of its own, and a variable is text.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

import z3

from iam_guard.policy.document import ConditionTest, Document, Statement
from iam_guard.policy.grammar import split_operator

SECONDS = 8
"""The limit of one question."""
_ANY = z3.AllChar(z3.ReSort(z3.StringSort()))
_TEXTS = ("StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "Bool")


def is_covered(existing: Document, new: Document) -> bool | None:
    """Return whether `existing` allows all that `new` does; None if z3 does not find out in time."""
    request = _Request()
    solver = z3.Solver()
    solver.set("timeout", SECONDS * 1000)
    solver.add(z3.InRe(request.action, _glob("?*:?*")), _is_allowed(new, request))
    solver.add(z3.Not(_is_allowed(existing, request)))
    for is_present, text in request.keys.values():
        solver.add(z3.Implies(is_present, z3.Length(text) > 0))
    found = solver.check()
    return None if found == z3.unknown else bool(found == z3.unsat)


class _Request:
    def __init__(self) -> None:
        self.action, self.resource = z3.String("action"), z3.String("resource")
        self.keys: dict[str, tuple[Any, Any]] = {}

    def key(self, name: str) -> tuple[Any, Any]:
        """Return whether a key is present, and its value."""
        return self.keys.setdefault(name, (z3.Bool(f"has {name}"), z3.String(f"value {name}")))


def _is_allowed(document: Document, request: _Request) -> Any:
    by_effect: dict[str, list[Any]] = {"Allow": [], "Deny": []}
    for statement in document.statements:
        by_effect[statement.effect.value].append(_applies(statement, request))
    return z3.And(z3.Or(by_effect["Allow"]), z3.Not(z3.Or(by_effect["Deny"])))


def _applies(statement: Statement, request: _Request) -> Any:
    parts = [_condition(test, request) for test in statement.conditions]
    for text, listed, others in (
        (request.action, statement.actions, statement.not_actions),
        (request.resource, statement.resources, statement.not_resources),
    ):
        is_action = text is request.action
        if listed is not None:
            parts.append(_matches(text, map(str.lower, listed) if is_action else listed))
        elif others is not None:
            parts.append(z3.Not(_matches(text, map(str.lower, others) if is_action else others)))
    return z3.And(parts)


def _condition(test: ConditionTest, request: _Request) -> Any:
    name = split_operator(test.operator)
    is_present, text = request.key(test.key.lower())
    if name.base == "Null":
        return z3.Not(is_present) if test.values == ("true",) else is_present
    if name.prefix is not None or name.base not in _TEXTS:
        return z3.Bool(f"{test.operator} {test.key.lower()} {sorted(test.values)}")
    if "Like" in name.base:
        found = _matches(text, test.values)
    else:
        found = z3.Or([text == z3.StringVal(value) for value in test.values])
    if "Not" in name.base:
        return z3.Or(z3.Not(is_present), z3.Not(found))
    return z3.Or(z3.Not(is_present), found) if name.if_exists else z3.And(is_present, found)


def _matches(text: Any, patterns: Iterable[str]) -> Any:
    return z3.Or([_match(text, pattern) for pattern in patterns])


def _match(text: Any, pattern: str) -> Any:
    if "*" not in pattern and "?" not in pattern:
        return text == z3.StringVal(pattern)
    return z3.BoolVal(True) if pattern == "*" else z3.InRe(text, _glob(pattern))


def _glob(pattern: str) -> Any:
    parts: list[Any] = []
    literal = ""
    for char in [*pattern, None]:
        if char not in ("*", "?", None):
            literal += char or ""
            continue
        if literal:
            parts.append(z3.Re(z3.StringVal(literal)))
            literal = ""
        if char is not None:
            parts.append(z3.Star(_ANY) if char == "*" else _ANY)
    return reduce(z3.Concat, parts)
