"""Filters of findings by themselves: every operator, absent attributes, laws (AA-13)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.api.access_analyzer.analyzer_errors import InvalidMember
from iam_guard.api.access_analyzer.finding_filters import COLUMNS, Criterion, FindingFilter, attributes_of, check_key
from tests.tables import table

ROW: dict[str, Any] = {
    "id": "1",
    "type": "ExternalAccess",
    "resource": "arn:aws:docs:::document/a",
    "resource_type": "docs:document",
    "owner": "111122223333",
    "status": "ACTIVE",
    "content": {
        "error": None,
        "details": [
            {
                "externalAccessDetails": {
                    "principal": {"AWS": "444455556666"},
                    "action": ["docs:Get", "docs:List"],
                    "condition": {"aws:SourceVpc": "vpc-1"},
                    "isPublic": False,
                }
            }
        ],
    },
}


@table(
    ("criterion", "values", "matches"),
    [
        ({"eq": ["a", "b"]}, ["b"], True),
        ({"eq": ["a", "b"]}, ["c", "b"], True),
        ({"eq": ["a"]}, ["A"], False),
        ({"eq": ["a"]}, [], False),
        ({"neq": ["a"]}, ["b"], True),
        ({"neq": ["a"]}, ["b", "a"], False),
        ({"neq": ["a"]}, [], True),
        ({"contains": ["x", "b"]}, ["abc"], True),
        ({"contains": ["x"]}, ["abc"], False),
        ({"contains": ["x"]}, [], False),
        ({"exists": True}, ["a"], True),
        ({"exists": True}, [], False),
        ({"exists": False}, ["a"], False),
        ({"exists": False}, [], True),
        ({"contains": ["a"], "neq": ["ab"]}, ["ab"], False),
        ({"contains": ["a"], "neq": ["ab"]}, ["ac"], True),
    ],
)
def test_operator_compares_values(criterion: dict[str, Any], values: list[str], matches: bool) -> None:
    """Several operators of one criterion must all match."""
    assert FindingFilter.of({"resource": criterion}).matches({"resource": values}) is matches


def test_attributes_are_those_of_columns_and_details() -> None:
    assert attributes_of(ROW) == {
        "id": ["1"],
        "findingType": ["ExternalAccess"],
        "resource": ["arn:aws:docs:::document/a"],
        "resourceType": ["docs:document"],
        "resourceOwnerAccount": ["111122223333"],
        "status": ["ACTIVE"],
        "principal.AWS": ["444455556666"],
        "condition.aws:sourcevpc": ["vpc-1"],
        "action": ["docs:Get", "docs:List"],
        "isPublic": ["false"],
    }


@table("key", ["resource", "principal.Federated", "condition.aws:PrincipalOrgID", "accessType", "error"])
def test_known_key_is_accepted(key: str) -> None:
    check_key(key)


@table("key", ["", "Resource", "principal", "principal.Service", "condition", "condition.a b", "createdAt"])
def test_unknown_key_is_rejected(key: str) -> None:
    with pytest.raises(InvalidMember, match="expected the name of an attribute"):
        check_key(key)


TEXTS = st.lists(st.sampled_from(["a", "ab", "b", ""]), max_size=3)


@given(TEXTS, TEXTS, TEXTS)
def test_operators_are_laws(values: list[str], listed: list[str], parts: list[str]) -> None:
    """`neq` is the complement of `eq`; `contains` is implied by `eq`; more values never match less."""
    eq, neq = Criterion(eq=frozenset(listed)), Criterion(neq=frozenset(listed))
    assert eq.matches(values) is not neq.matches(values)
    contains = Criterion(contains=tuple(listed))
    assert contains.matches(values) or not eq.matches(values)
    assert Criterion(contains=(*listed, *parts)).matches(values) or not contains.matches(values)
    assert Criterion(exists=True).matches(values) is bool(values)


@given(st.dictionaries(st.sampled_from(sorted(COLUMNS)), st.fixed_dictionaries({"eq": TEXTS.filter(bool)})))
def test_columns_of_the_query_never_exclude_a_match(given_filter: dict[str, Any]) -> None:
    """The query that reads the findings only leaves out what the filter leaves out."""
    wanted = FindingFilter.of(given_filter)
    row = {**ROW, **{COLUMNS[key]: criterion["eq"][0] for key, criterion in given_filter.items()}}
    assert wanted.matches(attributes_of(row))
    assert all(row[column] in values for column, values in wanted.columns.items())
