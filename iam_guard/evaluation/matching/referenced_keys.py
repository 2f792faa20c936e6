"""The condition keys that a statement references: in conditions, and as policy variables (rules V-3 to V-7, C-3).

Keys have the spelling of the policy, with repetitions, in the order of resources and conditions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from iam_guard.evaluation.matching.operators import OPERATORS
from iam_guard.evaluation.matching.pattern import ARN_FIELDS
from iam_guard.evaluation.matching.variables import variable_keys
from iam_guard.policy.document import ConditionTest, Document, Statement
from iam_guard.policy.grammar import split_operator


def keys_of_document(document: Document) -> Iterator[str]:
    """Yield the keys of all statements."""
    for statement in document.statements:
        yield from keys_of_statement(statement, document.version)


def keys_of_statement(statement: Statement, version: str) -> Iterator[str]:
    """Yield the keys of the entries of a statement and of its conditions."""
    for entry in (*(statement.resources or ()), *(statement.not_resources or ())):
        yield from keys_of_resource(entry, version)
    yield from keys_of_conditions(statement, version)


def keys_of_resource(entry: str, version: str) -> list[str]:
    """Return the keys of the variables in the sixth field of an entry of `Resource` or `NotResource` (V-4)."""
    fields = entry.split(":", ARN_FIELDS - 1)
    return variable_keys(fields[-1], version) if len(fields) == ARN_FIELDS else []


def keys_of_conditions(statement: Statement, version: str) -> Iterator[str]:
    """Yield the keys of the conditions of a statement, and of the variables in their values."""
    for test in statement.conditions:
        yield from keys_of_condition(test, version)


def keys_of_condition(test: ConditionTest, version: str) -> Iterator[str]:
    """Yield the key of a condition, and those of the variables in its values (V-3, V-5)."""
    yield test.key
    if _has_variables(test):
        for value in test.values:
            yield from variable_keys(value, version)


def distinct_keys(keys: Iterable[str]) -> tuple[str, ...]:
    """Return each key once, in the spelling of its first occurrence."""
    first: dict[str, str] = {}
    for key in keys:
        first.setdefault(key.lower(), key)
    return tuple(first.values())


def _has_variables(test: ConditionTest) -> bool:
    row = OPERATORS.get(split_operator(test.operator).base)  # `Null` has no row
    return row is not None and row.variables
