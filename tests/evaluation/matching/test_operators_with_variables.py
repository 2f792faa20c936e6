"""Operators with variables: wildcards, colons and short ARNs, and when a value is not fetched."""

from __future__ import annotations

from typing import Any

from iam_guard.evaluation.matching.condition import compile_condition
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import LATEST, ConditionTest
from tests.tables import table

ALICE = Principal.from_arn("arn:aws:iam::111122223333:user/alice")


def is_met(operator: str, policy: str, value: str, **more: Any) -> bool:
    condition = compile_condition(ConditionTest(operator, "docs:Key", (policy,)), LATEST)
    return condition(AccessRequest(ALICE, "docs:GetPage", "*", {"docs:Key": value, **more}))


@table(
    ("pattern", "value", "is_like"),
    [
        ("${docs:Name}*", "eng:a:b", True),
        ("${docs:Name}*x", "eng:a:b:x", True),
        ("${docs:Name}?b", "eng:b", True),
        ("*${docs:Name}", "a:b:eng", True),
        ("${docs:Name}?", "eng", False),
        ("${docs:Name}?*", "eng", False),
        ("${docs:Name}*a*a", "enga", False),
        ("${docs:Name}*a*a", "engba", False),
        ("${docs:Name}*a*a", "engaba", True),
    ],
)
def test_wildcards_next_to_variables_match_any_character(pattern: str, value: str, is_like: bool) -> None:
    """Rules C-11, V-3: a colon is a character like any other."""
    context = {"docs:Name": "eng"}
    assert is_met("StringLike", pattern, value, **context) is is_like
    assert is_met("StringNotLike", pattern, value, **context) is not is_like


@table(
    ("pattern", "value", "is_like"),
    [
        ("*", "arn:aws:s3::b", False),  # C-27: five fields are no ARN
        ("*", "arn:aws:s3:::b", False),  # a run stays in its field
        ("*:*:*:*:*:*", "arn:aws:s3:::b", True),
        ("*:*:*:*:*:*", "arn:aws:s3::b", False),
        ("arn:aws:${docs:Name}?:*:*:*", "arn:aws:s3:::b", False),
        ("arn:aws:s?:*:*:${docs:Name}*", "arn:aws:s3:::s3:b", True),
        ("arn:aws:${docs:Name}*:*:*:b", "arn:aws:s3:x:::b", False),
    ],
)
def test_invalid_arn_meets_no_arn_condition(pattern: str, value: str, is_like: bool) -> None:
    """Rules C-25, C-27: neither the positive nor the negated operator."""
    context = {"docs:Name": "s3"}
    assert is_met("ArnLike", pattern, value, **context) is is_like
    can_be_read = value.count(":") >= 5
    assert is_met("ArnNotLike", pattern, value, **context) is (can_be_read and not is_like)


def never_fetched() -> str:
    raise AssertionError("the value was fetched")


@table(
    ("pattern", "value"),
    [
        ("begin${docs:Lazy}", "end"),
        ("begin${docs:Lazy}", "a begin"),
        ("${docs:Lazy}end", "begin"),
        ("${docs:Lazy}end", "an end "),
        ("${docs:Lazy}*middle*${docs:Lazy}", "begin"),
        ("${docs:Lazy}*middle*z*${docs:Lazy}", "a z at the end"),
        ("${docs:Lazy}middle*z*${docs:Lazy}", "a z at the end"),
    ],
)
def test_value_that_cannot_matter_is_not_fetched(pattern: str, value: str) -> None:
    """Rule K-2: a value can be expensive for the application, and a policy can have many patterns with a variable."""
    context = {"docs:Lazy": never_fetched}
    assert not is_met("StringLike", pattern, value, **context)
    assert is_met("StringNotLike", pattern, value, **context)


@table("operator", ["StringEquals", "StringEqualsIgnoreCase", "StringLike", "Bool"])
def test_text_of_a_variable_is_not_its_value(operator: str) -> None:
    """Rule V-3: a request cannot meet a condition by repeating the policy."""
    assert not is_met(operator, "${docs:Name}", "${docs:Name}", **{"docs:Name": "true"})
    assert not is_met(operator, "${docs:Name}", "${docs:Name}")
    assert is_met(operator, "${docs:Name}", "true", **{"docs:Name": "true"})


@table(
    ("operator", "value", "is_equal"),
    [
        ("StringEqualsIgnoreCase", "ENG*", True),
        ("StringEqualsIgnoreCase", "eng", False),
        ("StringEqualsIgnoreCase", "english", False),
        ("StringEqualsIgnoreCase", "english*", False),
        ("StringEquals", "eng*", True),
        ("StringEquals", "ENG*", False),
        ("StringEquals", "eng", False),
        ("StringEquals", "english", False),
        ("StringEquals", "english*", False),
    ],
)
def test_wildcard_next_to_a_variable_is_literal_text(operator: str, value: str, is_equal: bool) -> None:
    """Rule C-10: these operators have variables, but no wildcards."""
    assert is_met(operator, "${docs:Name}*", value, **{"docs:Name": "eng"}) is is_equal
    negated = operator.replace("String", "StringNot")
    assert is_met(negated, "${docs:Name}*", value, **{"docs:Name": "eng"}) is not is_equal


@table(
    ("pattern", "value", "is_like"),
    [
        ("arn:aws:s3:::${*}", "arn:aws:s3:::*", True),
        ("arn:aws:s3:::${*}", "arn:aws:s3:::b", False),
        ("arn:aws:${?}*:::x", "arn:aws:?3:::x", True),
        ("arn:aws:${?}*:::x", "arn:aws:?:3:::x", False),  # C-25: a run stays in its field
        ("arn:aws:${?}*:::x", "arn:aws:s3:::x", False),
    ],
)
def test_escaped_wildcard_in_an_arn_is_literal(pattern: str, value: str, is_like: bool) -> None:
    """Rule M-20: such a pattern is the same for every request."""
    assert is_met("ArnLike", pattern, value) is is_like
    assert is_met("ArnNotEquals", pattern, value) is not is_like


def test_key_is_not_read_if_a_text_without_keys_matches() -> None:
    """Rule K-2: in any order of the policy, and for a negated operator."""
    for values in (("${docs:Lazy}*", "x${*}"), ("x${*}", "${docs:Lazy}*")):
        for operator, is_met_by in (("StringLike", True), ("StringNotLike", False)):
            condition = compile_condition(ConditionTest(operator, "docs:Key", values), LATEST)
            asked = AccessRequest(ALICE, "docs:GetPage", "*", {"docs:Key": "x*", "docs:Lazy": never_fetched})
            assert condition(asked) is is_met_by
            assert list(asked.read) == ["docs:key"]
