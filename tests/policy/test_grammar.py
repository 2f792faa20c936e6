from __future__ import annotations

import pytest

from iam_guard.errors import PolicyError
from iam_guard.policy.grammar import OPERATORS, SET_PREFIXES, OperatorName, quoted, shown, split_operator


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("StringEquals", OperatorName("StringEquals")),
        ("StringNotEqualsIgnoreCaseIfExists", OperatorName("StringNotEqualsIgnoreCase", None, True)),
        ("ForAllValues:ArnLike", OperatorName("ArnLike", "ForAllValues")),
        ("ForAnyValue:NotIpAddressIfExists", OperatorName("NotIpAddress", "ForAnyValue", True)),
        ("Null", OperatorName("Null")),
        ("ForAnyValue:Null", OperatorName("Null", "ForAnyValue")),
    ],
)
def test_an_operator_is_taken_apart(name: str, expected: OperatorName) -> None:
    """C-30, C-34, C-35: base, set prefix, suffix; and back."""
    assert split_operator(name) == expected
    assert str(expected) == name


def test_each_operator_but_null_has_six_forms() -> None:
    """C-30, C-35."""
    assert len(OPERATORS) == 27
    for base in OPERATORS - {"Null"}:
        for prefix in ("", *(f"{each}:" for each in SET_PREFIXES)):
            assert split_operator(prefix + base).base == base
            assert split_operator(prefix + base + "IfExists").if_exists


@pytest.mark.parametrize(
    "name",
    [
        *("", "stringEquals", "STRINGEQUALS", "StringEquals ", "ForAllValues:", "forallvalues:StringEquals"),
        *("IfExists", "StringEqualsIfexists", "StringEqualsIfExistsIfExists", "IfExistsStringEquals"),
        *("ForAllValues:ForAnyValue:StringEquals", "ForAllValues: StringEquals"),
        *("BoolEquals", "StringLikeIgnoreCase", "DateNotLessThan"),
    ],
)
def test_an_unknown_operator_is_refused(name: str) -> None:
    """G-66, C-12: letter by letter."""
    with pytest.raises(PolicyError) as refused:
        split_operator(name)
    assert refused.value.finding == "INVALID_CONDITION_OPERATOR"
    assert f"`{name}`" in refused.value.message


@pytest.mark.parametrize("name", ["NullIfExists", "ForAllValues:NullIfExists", "ForAnyValue:NullIfExists"])
def test_null_takes_no_if_exists(name: str) -> None:
    """C-30."""
    with pytest.raises(PolicyError) as refused:
        split_operator(name)
    assert refused.value.finding == "NULL_WITH_IF_EXISTS"


def test_what_is_quoted_is_short_and_has_no_control_characters() -> None:
    """Messages have no line break and nothing that a terminal or XML would act on."""
    assert quoted("a\nb\x1b[31m\u202e") == r"`a\u000ab\u001b[31m\u202e`"
    assert quoted("x" * 500) == "`" + "x" * 100 + "…`"
    assert shown("x" * 500) == "x" * 500
