"""The conditions of a finding as text, by condition key, as AWS's findings show them.

A value is what the key must have for the access: the conditions of a Deny are shown negated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from iam_guard.evaluation.bounds import OpenStatement
from iam_guard.policy.document import ConditionTest, Effect, Statement
from iam_guard.policy.grammar import split_operator

_COMPARED: Final[Mapping[str, tuple[str, str]]] = {
    "LessThan": ("<", ">="),
    "LessThanEquals": ("<=", ">"),
    "GreaterThan": (">", "<="),
    "GreaterThanEquals": (">=", "<"),
}
"""Ends of operators -> how they are written, and how their opposite is."""


def condition_texts(statements: Iterable[OpenStatement]) -> dict[str, str]:
    """Return what the open keys of statements must be, by key in the spelling of its first occurrence."""
    found: dict[str, tuple[str, dict[str, None]]] = {}
    for statement, keys in statements:
        for key in keys:
            _, texts = found.setdefault(key.lower(), (key, {}))
            texts.update(dict.fromkeys(_texts_of(statement, key.lower())))
    return {key: ", ".join(texts) for key, texts in found.values()}


def _texts_of(statement: Statement, folded: str) -> Iterator[str]:
    """Yield what a key must be in a statement; for the key of a variable, the texts that it is a part of."""
    denies = statement.effect is Effect.DENY
    for test in statement.conditions:
        if test.key.lower() == folded:
            yield _text(test, negated=denies)
        yield from (value for value in test.values if _has_variable(value, folded))
    entries = (*(statement.resources or ()), *(statement.not_resources or ()))
    yield from (entry for entry in entries if _has_variable(entry, folded))


def _has_variable(text: str, folded: str) -> bool:
    return "${" + folded in text.lower()


def _text(test: ConditionTest, *, negated: bool) -> str:
    base = split_operator(test.operator).base
    values = ", ".join(test.values)
    if base == "Null":
        return "absent" if ("true" in values.lower()) is not negated else "present"
    for end, (written, opposite) in _COMPARED.items():
        if base in (f"Numeric{end}", f"Date{end}"):
            return f"{opposite if negated else written} {values}"
    is_negative = "Not" in base
    return f"not {values}" if is_negative is not negated else values
