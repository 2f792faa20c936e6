"""Operators beside variables: what wildcards, colons and short ARNs do there, and when a value is not asked for."""

from __future__ import annotations

from typing import Any

import pytest

from iam_guard.evaluation.matching.condition import compile_condition
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import LATEST, ConditionTest

ALICE = Principal.from_arn("arn:aws:iam::111122223333:user/alice")


def is_met(operator: str, policy: str, value: str, **more: Any) -> bool:
    condition = compile_condition(ConditionTest(operator, "docs:Key", (policy,)), LATEST)
    return condition(AccessRequest(ALICE, "docs:GetPage", "*", {"docs:Key": value, **more}))


@pytest.mark.parametrize(
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
def test_variables_in_text_leave_wildcards_as_they_are(pattern: str, value: str, is_like: bool) -> None:
    """Rules C-11, V-3: beside a variable too a colon is a character like any other."""
    given = {"docs:Name": "eng"}
    assert is_met("StringLike", pattern, value, **given) is is_like
    assert is_met("StringNotLike", pattern, value, **given) is not is_like


@pytest.mark.parametrize(
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
def test_what_is_no_arn_meets_no_arn_condition(pattern: str, value: str, is_like: bool) -> None:
    """Rules C-25, C-27: neither the positive nor the negated operator is met by what cannot be read."""
    given = {"docs:Name": "s3"}
    assert is_met("ArnLike", pattern, value, **given) is is_like
    can_be_read = value.count(":") >= 5
    assert is_met("ArnNotLike", pattern, value, **given) is (can_be_read and not is_like)


def never_asked() -> str:
    raise AssertionError("the value was asked for")


@pytest.mark.parametrize(
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
def test_a_value_is_not_asked_for_where_it_cannot_matter(pattern: str, value: str) -> None:
    """Rule K-2: a value may cost the application something, and a policy may have many patterns with a variable."""
    given = {"docs:Lazy": never_asked}
    assert not is_met("StringLike", pattern, value, **given)
    assert is_met("StringNotLike", pattern, value, **given)
