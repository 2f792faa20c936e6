"""Explained conditions with variables, several values and `Null`."""

from __future__ import annotations

from typing import Any

from iam_guard import AccessRequest, Principal
from iam_guard.evaluation.bundle import bundle
from iam_guard.evaluation.explainer import explain
from iam_guard.evaluation.explanation import Element
from iam_guard.model.decision import PolicyType
from tests.tables import table

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
KIND = "docs:Kind"


def condition(operator: str, values: list[str], value: Any, version: str = "2012-10-17") -> Element:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {operator: {KIND: values}}}
    policies = bundle(identity=[{"Version": version, "Statement": statement}])
    explained = explain(AccessRequest(ADA, "docs:Get", "*", {KIND: value}), policies)
    (identity,) = (found for found in explained.types if found.type is PolicyType.IDENTITY)
    return identity.levels[0].policies[0].statements[0].elements[-1]


@table(
    ("version", "matched", "note"),
    [
        ("2012-10-17", [True, False], "the request has `ada`, `bob`; it is not met by `bob`"),
        ("2008-10-17", [False, False], "the request has `ada`, `bob`; it is not met by `ada`, `bob`"),
    ],
)
def test_values_with_variables_follow_the_version(version: str, matched: list[bool], note: str) -> None:
    """V-2, G-5: both the failing request value and the matching policy value."""
    assert condition("ForAllValues:StringEquals", ["${aws:username}", "x"], ["ada", "bob"], version).note == note
    alone = condition("StringEquals", ["${aws:username}", "x"], "ada", version)
    assert [each.matched for each in alone.wanted] == matched


def test_null_condition_does_not_count_values() -> None:
    """C-7, C-32: `Null` tests presence; several values are valid."""
    found = condition("Null", ["true"], ["a", "b"])
    assert (found.matched, found.note) == (False, "the request has `a`, `b`")


@table(("count", "end"), [(20, "`19`"), (21, "`19` and 1 more")])
def test_request_values_are_cut_after_twenty(count: int, end: str) -> None:
    """Exactly at the limit."""
    found = condition("ForAnyValue:StringEquals", ["x"], [str(number) for number in range(count)])
    assert found.note.endswith(end)


@table(
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
    """V-3, V-5; wildcards next to a variable are not part of it."""
    (entry,) = condition(operator, ["*${aws:username}?${*}"], "x").wanted
    assert [variable.value for variable in entry.variables] == filled


def test_variable_without_a_value_is_shown_by_its_name() -> None:
    """V-6, V-7, V-9: a multivalued key never has one, another may be missing."""
    (entry,) = condition("StringLike", ["${aws:TagKeys}-${docs:None}"], "x").wanted
    assert [(variable.name, variable.value) for variable in entry.variables] == [
        ("${aws:tagkeys}", None),
        ("${docs:none}", None),
    ]


class Recorded(AccessRequest):
    """A request of which one value was not recorded."""

    def is_unknown(self, folded_key: str) -> bool:
        return folded_key == "docs:kind"


@table(
    ("operator", "note"),
    [
        ("StringEquals", "the value was not recorded, and counts as missing"),
        ("StringNotEquals", "the value was not recorded, and counts as missing, which meets the condition"),
    ],
)
def test_value_that_was_not_recorded_is_not_missing(operator: str, note: str) -> None:
    """In any letter case of the key."""
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {operator: {KIND: "x"}}}
    policies = bundle(identity=[{"Version": "2012-10-17", "Statement": statement}])
    (identity,) = (
        found for found in explain(Recorded(ADA, "docs:Get", "*"), policies).types if found.type is PolicyType.IDENTITY
    )
    found = identity.levels[0].policies[0].statements[0].elements[-1]
    assert (found.note, found.missing, found.unknown) == (note, False, True)


@table(("key", "unknown"), [("docs:Kind", True), ("docs:Other", False), ("aws:username", False)])
def test_variable_that_was_not_recorded_is_marked(key: str, unknown: bool) -> None:
    """In a condition and in a resource."""
    condition = {"StringEquals": {"docs:X": f"${{{key}}}"}}
    statement = {"Effect": "Allow", "Action": "*", "Resource": f"arn:aws:docs:::${{{key}}}", "Condition": condition}
    policies = bundle(identity=[{"Version": "2012-10-17", "Statement": statement}])
    explained = explain(Recorded(ADA, "docs:Get", "arn:aws:docs:::x", {"docs:X": "x"}), policies)
    (identity,) = (found for found in explained.types if found.type is PolicyType.IDENTITY)
    elements = identity.levels[0].policies[0].statements[0].elements
    variables = [variable for element in elements for entry in element.wanted for variable in entry.variables]
    assert [variable.unknown for variable in variables] == [unknown, unknown]
