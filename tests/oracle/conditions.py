"""Evaluate a condition: one operator, one key and its values (D.1, D.3).

Interpretations where the rules are open:
- C-42, an empty list of policy values: `…IfExists` is true only when the key is absent, negated operators included;
  `ForAllValues` is true only when the request has no values, negated operators included.
  A list of two or more request values without set operator is false (C-7) before C-42.
- `Null` with a text other than true and false is false; several texts are ORed; they are case-insensitive like Bool's.
- "Its only value is the empty string" (C-36) also applies to a list of several empty strings.
"""

from __future__ import annotations

from .context import Request
from .language import Condition
from .operators import COMPARISONS, NEGATED, UNREADABLE, WITH_VARIABLES, is_arn
from .variables import expand
from .wildcards import Char, literal

PolicyValues = list[list[Char]]


def condition_is_true(condition: Condition, request: Request, *, has_variables: bool) -> bool:
    """Evaluate one condition; all of a statement must be true (C-1)."""
    quantifier, _, name = condition.operator.rpartition(":")
    values = request.values(condition.key)  # C-3, N-10
    if name == "Null":
        return _null(quantifier, values, condition.values)
    if name.endswith("IfExists") and values is None:
        return True  # C-30, C-40
    if not condition.values:
        return _against_no_policy_values(quantifier, name, values)
    base = name.removesuffix("IfExists")
    policy_values = _policy_values(condition.values, base, request, has_variables)
    if quantifier == "ForAllValues":
        return _for_all_values(base, values, policy_values)
    if quantifier == "ForAnyValue":
        return _for_any_value(base, values, policy_values)
    return _without_quantifier(base, values, policy_values)


def _null(quantifier: str, values: list[str] | None, policy_values: list[str]) -> bool:
    if quantifier:
        return quantifier == "ForAllValues"  # C-34
    is_null = _no_values(values)  # C-33
    words = [word.lower() for word in policy_values]
    return ("true" in words and is_null) or ("false" in words and not is_null)  # C-32


def _no_values(values: list[str] | None) -> bool:
    return values is None or all(value == "" for value in values)  # C-33


def _against_no_policy_values(quantifier: str, name: str, values: list[str] | None) -> bool:
    """Evaluate an empty list in the policy; an absent key with `IfExists` is handled before (C-42)."""
    if quantifier == "ForAllValues":
        return _no_values(values)
    if quantifier == "ForAnyValue" or name.endswith("IfExists"):
        return False
    return name in NEGATED and (values is None or len(values) == 1)  # C-42; C-7


def _policy_values(values: list[str], base: str, request: Request, has_variables: bool) -> PolicyValues:
    if not NEGATED.get(base, base).startswith(WITH_VARIABLES):
        return [literal(value) for value in values]  # V-5
    expanded = [expand(value, request, has_variables=has_variables) for value in values]
    return [value for value in expanded if value is not None]  # V-9: a value that matches nothing; V-11


def _for_all_values(base: str, values: list[str] | None, policy_values: PolicyValues) -> bool:
    if values is None or _no_values(values):
        return True  # C-36, C-39
    return all(_holds(base, value, policy_values) for value in values)  # C-36, C-38


def _for_any_value(base: str, values: list[str] | None, policy_values: PolicyValues) -> bool:
    if values is None or _no_values(values):
        return False  # C-37, C-39, N-10
    return any(_holds(base, value, policy_values) for value in values)  # C-37, C-38


def _without_quantifier(base: str, values: list[str] | None, policy_values: PolicyValues) -> bool:
    if values is None:
        return base in NEGATED  # C-5
    if len(values) > 1:
        return False  # C-7
    return _holds(base, values[0], policy_values)  # C-8


def _holds(base: str, value: str, policy_values: PolicyValues) -> bool:
    """Evaluate the operator for one value of the request."""
    positive = NEGATED.get(base, base)
    results = [COMPARISONS[positive](value, each) for each in policy_values]
    if base not in NEGATED:
        return any(result is True for result in results)  # C-1
    if any(result is UNREADABLE for result in results):
        return False  # C-13, C-17, N-10
    if positive.startswith("Arn") and not is_arn(value):
        return False  # C-27
    return not any(results)  # C-2
