"""What precedes a comparison in a condition: absent keys, lists, `IfExists`, set prefixes, `Null`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.errors import PolicyError
from iam_guard.evaluation.matching.condition import compile_condition
from iam_guard.evaluation.matching.operators import OPERATORS
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import LATEST, ConditionTest
from tests.tables import table

ALICE = Principal.from_arn("arn:aws:iam::111122223333:user/alice", userid="AIDAALICE", tags={"Team": "red"})
ABSENT: Any = None
EMPTY: list[str] = []
NEGATED = sorted(name for name, row in OPERATORS.items() if row.negated)
POSITIVE = sorted(name for name, row in OPERATORS.items() if not row.negated)
A_VALUE = {"Numeric": "1", "Date": "2026-01-01", "Ip": "10.0.0.1", "Not": "10.0.0.1", "Arn": "arn:aws:s3:::b"}


def is_met(operator: str, policy: list[str], value: Any, key: str = "docs:Key") -> bool:
    condition = compile_condition(ConditionTest(operator, key, tuple(policy)), LATEST)
    return condition(AccessRequest(ALICE, "docs:GetPage", "*", {"docs:Key": value}))


def a_value(operator: str) -> str:
    """Return a valid value for the operator."""
    return next((value for begin, value in A_VALUE.items() if operator.startswith(begin)), "true")


# --- the key -----------------------------------------------------------------------------------------------------


@table("key", ["docs:Key", "DOCS:KEY", "docs:key"])
def test_key_is_found_in_any_letter_case(key: str) -> None:
    """Rule C-3."""
    assert is_met("StringEquals", ["eng"], "eng", key)
    assert not is_met("StringEquals", ["ENG"], "eng", key)


@table("key", ["aws:PrincipalTag/Team", "AWS:principaltag/tEAM"])
def test_tag_key_is_found_in_any_letter_case(key: str) -> None:
    """Rule C-3, for keys that the principal supplies."""
    assert is_met("StringEquals", ["red"], ABSENT, key)


@table("operator", POSITIVE)
def test_absent_key_fails_a_positive_operator(operator: str) -> None:
    """Rules C-5, N-10: an empty list is an absent key."""
    value = a_value(operator)
    assert not is_met(operator, [value], ABSENT)
    assert not is_met(operator, [value], EMPTY)


@table("operator", NEGATED)
def test_absent_key_meets_a_negated_operator(operator: str) -> None:
    """Rules C-5, N-10: an empty list is an absent key."""
    value = a_value(operator)
    assert is_met(operator, [value], ABSENT)
    assert is_met(operator, [value], EMPTY)


@table("operator", sorted(OPERATORS))
def test_if_exists_only_adds_a_match_for_absent_keys(operator: str) -> None:
    """Rules C-30, C-31, N-10."""
    value = a_value(operator)
    assert is_met(f"{operator}IfExists", [value], ABSENT)
    assert is_met(f"{operator}IfExists", [value], EMPTY)
    for present in (value, "other", "", [value], [value, value]):
        assert is_met(f"{operator}IfExists", [value], present) is is_met(operator, [value], present)


@table("operator", sorted(OPERATORS))
def test_list_needs_a_set_operator(operator: str) -> None:
    """Rules C-7, C-8: one element is that element; two or more are false, for positive and negated alike."""
    value = a_value(operator)
    assert is_met(operator, [value], [value]) is is_met(operator, [value], value)
    assert is_met(operator, ["other"], [value]) is is_met(operator, ["other"], value)
    assert not is_met(operator, [value], [value, value])
    assert not is_met(operator, ["other"], [value, value])
    assert not is_met(f"{operator}IfExists", ["other"], [value, value])


def test_plain_operator_compares_the_empty_string() -> None:
    """Rule C-33, second half."""
    assert is_met("StringEquals", [""], "")
    assert not is_met("StringNotEquals", [""], "")
    assert not is_met("StringEqualsIfExists", ["a"], "")


@table("name", ["stringequals", "StringMatches", "NullIfExists", "ForAll:StringEquals", ""])
def test_unknown_operator_is_refused(name: str) -> None:
    """Rules G-66, C-30: refused when the statement is compiled, never skipped."""
    with pytest.raises(PolicyError):
        compile_condition(ConditionTest(name, "docs:Key", ("a",)), LATEST)


# --- Null --------------------------------------------------------------------------------------------------------


@table(
    ("value", "is_null"),
    [
        (ABSENT, True),
        (EMPTY, True),
        ("", True),
        ([""], True),
        ("a", False),
        (["a"], False),
        (["", "a"], False),
        ("false", False),
        (False, False),
        (0, False),
    ],
)
def test_null_tests_presence(value: Any, is_null: bool) -> None:
    """Rules C-32, C-33."""
    assert is_met("Null", ["true"], value) is is_null
    assert is_met("Null", ["false"], value) is not is_null
    assert is_met("Null", ["TRUE"], value) is is_null
    assert is_met("Null", ["true", "false"], value)
    assert not is_met("Null", ["yes"], value)
    assert not is_met("Null", [], value)


@table("value", [ABSENT, EMPTY, "a", ["a", "b"]])
@table("word", ["true", "false"])
def test_null_with_a_set_prefix_is_constant(value: Any, word: str) -> None:
    """Rule C-34."""
    assert is_met("ForAllValues:Null", [word], value)
    assert not is_met("ForAnyValue:Null", [word], value)


# --- set prefixes ------------------------------------------------------------------------------------------------


@table(
    ("operator", "policy", "value", "for_all", "for_any"),
    [
        ("StringEquals", ["a", "b"], ["a", "b"], True, True),
        ("StringEquals", ["a", "b"], ["a"], True, True),
        ("StringEquals", ["a", "b"], ["a", "c"], False, True),
        ("StringEquals", ["a", "b"], ["c", "d"], False, False),
        ("StringEquals", ["a"], ["a", ""], False, True),  # with other values an empty string counts
        # C-41: a single value is a set of one
        ("StringEquals", ["a"], "a", True, True),
        ("StringEquals", ["a"], "b", False, False),
        # C-38: negated, for each value by itself
        ("StringNotEquals", ["a", "b"], ["c", "d"], True, True),
        ("StringNotEquals", ["a", "b"], ["a", "c"], False, True),
        ("StringNotEquals", ["a", "b"], ["a", "b"], False, False),
        ("StringNotLike", ["a*"], ["b", "c"], True, True),
        ("StringNotLike", ["a*"], ["b", "ab"], False, True),
        ("NumericLessThan", ["10"], ["1", "20"], False, True),
        ("NumericNotEquals", ["10"], ["1", "many"], False, True),
        ("StringEquals", ["${aws:username}"], ["alice", "alice"], True, True),
        ("StringEquals", ["${aws:username}"], ["alice", "bob"], False, True),
        # C-36, C-37, C-39: no value at all
        ("StringEquals", ["a"], ABSENT, True, False),
        ("StringEquals", ["a"], EMPTY, True, False),
        ("StringEquals", ["a"], "", True, False),
        ("StringEquals", ["a"], [""], True, False),
        ("StringNotEquals", ["a"], ABSENT, True, False),
        ("StringNotLike", ["a"], EMPTY, True, False),
        ("StringNotEquals", ["a"], "", True, False),
    ],
)
def test_set_prefixes_combine_the_values(
    operator: str, policy: list[str], value: Any, for_all: bool, for_any: bool
) -> None:
    """Rules C-35 to C-39, C-41."""
    assert is_met(f"ForAllValues:{operator}", policy, value) is for_all
    assert is_met(f"ForAnyValue:{operator}", policy, value) is for_any


@table(("value", "for_any"), [(ABSENT, True), (EMPTY, True), ("", False), ([""], False), ("a", True), ("b", False)])
def test_set_prefixes_with_if_exists(value: Any, for_any: bool) -> None:
    """Rules C-35, C-40, N-10: an empty string counts as no value, before `IfExists` is applied."""
    assert is_met("ForAnyValue:StringEqualsIfExists", ["a"], value) is for_any
    assert is_met("ForAllValues:StringEqualsIfExists", ["a"], value) is (value != "b")


@given(
    base=st.sampled_from(["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"]),
    policy=st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3),
    values=st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4),
)
def test_set_prefixes_use_the_base_operator(base: str, policy: list[str], values: list[str]) -> None:
    """Rules C-36 to C-38: all or any of the base operator's results for each value."""
    each = [is_met(base, policy, value) for value in values]
    assert is_met(f"ForAllValues:{base}", policy, values) is all(each)
    assert is_met(f"ForAnyValue:{base}", policy, values) is any(each)


# --- no values in the policy -------------------------------------------------------------------------------------


@table("operator", sorted(OPERATORS))
def test_empty_list_in_the_policy(operator: str) -> None:
    """Rule C-42."""
    is_negated = operator in NEGATED
    for present in ("a", a_value(operator), ["a"], ""):
        assert is_met(operator, [], present) is is_negated
        assert not is_met(f"{operator}IfExists", [], present)
        assert not is_met(f"ForAnyValue:{operator}", [], present)
        assert is_met(f"ForAllValues:{operator}", [], present) is (present == "")
    assert not is_met(operator, [], ["a", "b"])
    assert is_met(operator, [], ABSENT) is is_negated
    assert is_met(f"{operator}IfExists", [], ABSENT)
    assert is_met(f"ForAllValues:{operator}", [], ABSENT)
    assert not is_met(f"ForAnyValue:{operator}", [], ABSENT)
