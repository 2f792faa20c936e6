"""Compile one condition of a statement: operator, key and values (rules C-1 to C-8, C-30 to C-43, N-10).

This module has what precedes a comparison: absent keys, lists of values, the suffix `IfExists`, the set prefixes and
`Null`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from iam_guard.evaluation.matching.operators import OPERATORS, Operands, Operator, TestFor, compile_operands, fixed
from iam_guard.evaluation.matching.pattern import always, never
from iam_guard.model.context import Value
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import ConditionTest
from iam_guard.policy.grammar import OperatorName, split_operator
from iam_guard.policy.value_parsing import boolean

Condition: TypeAlias = Callable[[AccessRequest], bool]


def compile_condition(test: ConditionTest, version: str) -> Condition:
    """Compile one condition; raise `PolicyError` for an unknown operator."""
    name = split_operator(test.operator)
    key = test.key.lower()  # C-3
    if name.base == "Null":
        return _null(name, key, test.values)
    operator = OPERATORS[name.base]
    operands = compile_operands(operator, test.values, version) if test.values else _no_operands(name, operator)
    if name.prefix == "ForAllValues":
        return _for_all_values(key, operands.test_for)
    if name.prefix == "ForAnyValue":
        return _for_any_value(key, operands.test_for, when_absent=name.if_exists)
    return _single(key, operands, when_absent=name.if_exists or operator.negated)


def _no_operands(name: OperatorName, operator: Operator) -> Operands:
    """Compile an empty list of values: a value meets only a plain negated operator (rule C-42)."""
    return fixed(always if operator.negated and not name.prefix and not name.if_exists else never)


def _has_no_value(value: Value | None) -> bool:
    """Return whether a key is absent, an empty list, or has only empty strings (rule C-33)."""
    return not any(value) if isinstance(value, tuple) else not value


def _single(key: str, operands: Operands, *, when_absent: bool) -> Condition:
    test_for, test = operands

    def is_met(request: AccessRequest) -> bool:
        value = request.value(key)
        if type(value) is not str:
            if isinstance(value, tuple):
                if len(value) > 1:
                    return False  # C-7
                value = value[0] if value else None  # C-8, N-10
            if value is None:
                return when_absent  # C-5, C-30
        return test_for(request)(value) if test is None else test(value)

    return is_met


def _for_all_values(key: str, test_for: TestFor) -> Condition:
    def is_met(request: AccessRequest) -> bool:
        value = request.value(key)
        if value is None or _has_no_value(value):
            return True  # C-36, C-39
        return all(map(test_for(request), _members(value)))  # C-38, C-41

    return is_met


def _for_any_value(key: str, test_for: TestFor, *, when_absent: bool) -> Condition:
    def is_met(request: AccessRequest) -> bool:
        value = request.value(key)
        if value is None or value == ():
            return when_absent  # C-37, C-40, N-10
        if _has_no_value(value):
            return False  # C-37, N-10
        return any(map(test_for(request), _members(value)))  # C-38, C-41

    return is_met


def _members(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (value,)


def _null(name: OperatorName, key: str, values: tuple[str, ...]) -> Condition:
    if name.prefix:
        return always if name.prefix == "ForAllValues" else never  # C-34
    is_null = {boolean(value) for value in values}
    met_when_null, met_when_present = True in is_null, False in is_null

    def is_met(request: AccessRequest) -> bool:
        return met_when_null if _has_no_value(request.value(key)) else met_when_present  # C-32, C-33

    return is_met
