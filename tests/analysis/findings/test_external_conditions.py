"""Conditions as texts."""

from __future__ import annotations

from typing import Any

from iam_guard.analysis.findings.external_conditions import condition_sentence, external_conditions
from iam_guard.policy.document import ConditionTest
from tests.tables import table


@table(
    ("operator", "values", "met", "not_met"),
    [
        ("StringEquals", "a", "a", "not a"),
        ("StringEquals", ["b", "a"], "a, b", "not a, b"),
        ("StringNotEquals", "a", "not a", "a"),
        ("StringLikeIfExists", "a*", "a* or absent", "not a*"),
        ("StringNotEqualsIfExists", "a", "not a", "a"),
        ("NumericLessThan", "5", "< 5", ">= 5"),
        ("NumericGreaterThanEquals", "5", ">= 5", "< 5"),
        ("DateGreaterThan", "2026-01-01", "> 2026-01-01", "<= 2026-01-01"),
        ("IpAddress", "203.0.113.0/24", "203.0.113.0/24", "not 203.0.113.0/24"),
        ("NotIpAddress", "203.0.113.0/24", "not 203.0.113.0/24", "203.0.113.0/24"),
        ("Bool", "false", "false", "not false"),
        ("Null", "true", "absent", "present"),
        ("Null", "false", "present", "absent"),
        ("ForAllValues:StringEquals", ["a", "b"], "only a, b", "not only a, b"),
        ("ForAnyValue:StringLike", "a*", "a*", "not a*"),
        ("StringEquals", [], "(no value)", "not (no value)"),
    ],
)
def test_text_of_condition(operator: str, values: Any, met: str, not_met: str) -> None:
    listed = (values,) if isinstance(values, str) else tuple(values)
    test = ConditionTest(operator, "AWS:sourceip", listed)
    assert external_conditions([test]) == {"aws:SourceIp": met}
    assert external_conditions([], [test]) == {"aws:SourceIp": not_met}


def test_conditions_of_one_key_are_joined() -> None:
    at_least, other = (
        ConditionTest("NumericGreaterThan", "docs:Size", ("1",)),
        ConditionTest("Null", "docs:A", ("true",)),
    )
    limit = ConditionTest("NumericGreaterThan", "DOCS:size", ("9",))
    texts = external_conditions([at_least, other, at_least], [limit])
    assert texts == {"docs:A": "absent", "docs:Size": "<= 9 and > 1"}
    assert condition_sentence(texts) == " if docs:A is absent and docs:Size is <= 9 and > 1"
    assert condition_sentence({}) == ""
