"""Conditions as texts: what a key must be so that access is granted, as the findings of an analyzer show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from iam_guard.evaluation.matching.condition_keys import spelled
from iam_guard.policy.document import ConditionTest
from iam_guard.policy.grammar import split_operator

_COMPARISONS = (
    ("LessThanEquals", "<=", ">"),
    ("GreaterThanEquals", ">=", "<"),
    ("LessThan", "<", ">="),
    ("GreaterThan", ">", "<="),
)
"""(end of an operator's name, what it requires, what its negation does)."""


def external_conditions(required: Iterable[ConditionTest], excluded: Iterable[ConditionTest] = ()) -> dict[str, str]:
    """Return what the values of each key must be: to meet the `required` conditions, and none of the `excluded` ones.

    The keys are in AWS's spelling, in alphabetical order.
    """
    found: dict[str, dict[str, None]] = {}
    names: dict[str, str] = {}
    for tests, is_met in ((required, True), (excluded, False)):
        for test in tests:
            key = test.key.lower()
            known = spelled(key)
            names.setdefault(key, test.key if known == key else known)
            found.setdefault(key, {})[_text(test, is_met=is_met)] = None
    return {names[key]: " and ".join(sorted(found[key])) for key in sorted(found)}


def _text(test: ConditionTest, *, is_met: bool) -> str:
    name = split_operator(test.operator)
    if name.base == "Null":
        is_absent = any(value.lower() == "true" for value in test.values) == is_met
        return "absent" if is_absent else "present"
    values = ", ".join(sorted(test.values)) or "(no value)"
    if name.prefix == "ForAllValues":
        values = f"only {values}"
    is_negated, base = "Not" in name.base, name.base
    text = next((f"{words[not is_met]} {values}" for end, *words in _COMPARISONS if base.endswith(end)), "")
    if not text:
        text = values if is_negated != is_met else f"not {values}"
    return f"{text} or absent" if name.if_exists and is_met and not is_negated else text


def condition_sentence(condition: Mapping[str, str]) -> str:
    """Return conditions as the end of a sentence: ` if aws:SourceIp is 192.0.2.0/24`; empty without any."""
    return f" if {' and '.join(f'{key} is {text}' for key, text in condition.items())}" if condition else ""
