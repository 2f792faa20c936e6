"""Explained conditions, where variables, several values and `Null` meet."""

from __future__ import annotations

from typing import Any

import pytest

from iam_guard import AccessRequest, Principal
from iam_guard.evaluation.bundle import bundle
from iam_guard.evaluation.explainer import explain
from iam_guard.evaluation.explanation import Element
from iam_guard.model.decision import PolicyType

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
KIND = "docs:Kind"


def condition(operator: str, wanted: list[str], value: Any, version: str = "2012-10-17") -> Element:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {operator: {KIND: wanted}}}
    policies = bundle(identity=[{"Version": version, "Statement": statement}])
    explained = explain(AccessRequest(ADA, "docs:Get", "*", {KIND: value}), policies)
    (identity,) = (each for each in explained.types if each.type is PolicyType.IDENTITY)
    return identity.levels[0].policies[0].statements[0].elements[-1]


@pytest.mark.parametrize(
    ("version", "matched", "note"),
    [
        ("2012-10-17", [True, False], "the request has `ada`, `bob`; what does not meet it is `bob`"),
        ("2008-10-17", [False, False], "the request has `ada`, `bob`; what does not meet it is `ada`, `bob`"),
    ],
)
def test_values_with_variables_are_read_as_the_version_says(version: str, matched: list[bool], note: str) -> None:
    """V-2, G-5: which value of the request fails, and which value of the policy would be met, by the same reading."""
    assert condition("ForAllValues:StringEquals", ["${aws:username}", "x"], ["ada", "bob"], version).note == note
    alone = condition("StringEquals", ["${aws:username}", "x"], "ada", version)
    assert [each.matched for each in alone.wanted] == matched


def test_a_null_condition_does_not_count_values() -> None:
    """C-7, C-32: `Null` asks for presence; several values are no fault of the request."""
    found = condition("Null", ["true"], ["a", "b"])
    assert (found.matched, found.note) == (False, "the request has `a`, `b`")


@pytest.mark.parametrize(("count", "end"), [(20, "`19`"), (21, "`19` and 1 more")])
def test_what_the_request_has_is_cut_after_twenty(count: int, end: str) -> None:
    """Neither one too early nor one too late."""
    found = condition("ForAnyValue:StringEquals", ["x"], [str(number) for number in range(count)])
    assert found.note.endswith(end)


@pytest.mark.parametrize(
    ("operator", "filled"),
    [
        ("StringEquals", ["ada"]),
        ("StringLike", ["ada"]),
        ("ArnLike", ["ada"]),
        ("Bool", ["ada"]),
        ("NumericEquals", []),
        ("IpAddress", []),
    ],
)
def test_only_operators_with_variables_show_them(operator: str, filled: list[str]) -> None:
    """V-3, V-5; wildcards beside a variable are none of it."""
    (wanted,) = condition(operator, ["*${aws:username}?${*}"], "x").wanted
    assert [variable.value for variable in wanted.variables] == filled


def test_a_variable_without_a_value_is_shown_by_its_name() -> None:
    """V-6, V-7, V-9: a key of the multivalued kind never has one, another may be missing."""
    (wanted,) = condition("StringLike", ["${aws:TagKeys}-${docs:None}"], "x").wanted
    assert [(variable.name, variable.value) for variable in wanted.variables] == [
        ("${aws:tagkeys}", None),
        ("${docs:none}", None),
    ]
