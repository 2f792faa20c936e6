"""Every operator, with every modifier, in Allow and Deny, for rows in every state: the filter equals `decide`.

The rows are compared in one query per policy value. What fits the type of the column must be translated.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from iam_guard import NotFilterable
from tests.filters.comparison import compare_databases
from tests.filters.operator_states import (
    EFFECTS,
    KNOWN_KEYS,
    MODIFIERS,
    OTHER_KEYS,
    TABLES,
    TEXT_KEYS,
    Databases,
    case_of,
    conditions_of,
    opened,
    statements_of,
)
from tests.filters.vocabulary import ARNS, IGNORING_CASE, STRINGS
from tests.tables import table


@pytest.fixture(scope="module")
def texts() -> Iterator[Databases]:
    """Return the states of texts, for each model."""
    with opened(TABLES["texts"]) as databases:
        yield databases


@pytest.fixture(scope="module")
def typed() -> Iterator[Databases]:
    """Return the states of the other columns, for one model, since they are the same in all."""
    with opened(TABLES["typed"]) as databases:
        yield databases[:1]


@pytest.fixture(scope="module")
def tagged() -> Iterator[Databases]:
    """Return the hostile tags, for each model."""
    with opened(TABLES["tags"]) as databases:
        yield databases


@pytest.fixture(scope="module")
def papers() -> Iterator[Databases]:
    """Return the pairs of the parts of an ARN."""
    with opened(TABLES["resources"]) as databases:
        yield databases[1:2]


def _is_refusable(dialect: str, elements: dict[str, Any]) -> bool:
    """Return whether a statement need not be translated: letter case of texts, and IPv6 blocks on SQLite."""
    if "Condition" not in elements:
        return False
    ((operator, test),) = elements["Condition"].items()
    ((key, value),) = test.items()
    is_block = key == "docs:Address" and dialect == "sqlite" and ":" in str(value)
    return is_block or "IgnoreCase" in operator


def _check(databases: Databases, statements: list[dict[str, Any]], *, in_turn: bool = False) -> None:
    """Compare the rows for each statement, of every model or of the models `in_turn`."""
    counts = set()
    for number, elements in enumerate(statements):
        compared = [databases[number % len(databases)]] if in_turn else databases
        for comparisons, effect in product(compared, EFFECTS):
            case = case_of(comparisons[0].kind, effect, elements)
            results = compare_databases(comparisons, case)
            for comparison, (listed, differences) in zip(comparisons, results, strict=True):
                assert not differences, comparison.describe(differences[0])
                if isinstance(listed, NotFilterable):
                    assert _is_refusable(comparison.dialect, elements), (elements, listed.reason)
                else:
                    counts.add(len(listed))
    assert len(counts) != 1  # the rows matter


@table("modifier", MODIFIERS)
@table("operator", [*STRINGS, *IGNORING_CASE, *ARNS])
def test_operator_of_column_equals_decide(texts: Databases, operator: str, modifier: str) -> None:
    """Columns of texts are the same in all models; `…IgnoreCase` may be refused."""
    _check(texts[:1], statements_of(operator, "docs:Class", modifier)[1])


@pytest.mark.parametrize("operator", [*STRINGS, *IGNORING_CASE])
@table("modifier", MODIFIERS)
def test_operator_of_tag_equals_decide(texts: Databases, operator: str, modifier: str) -> None:
    """A tag in JSONB, in JSON, and in a row; a modifier means the same for each."""
    _check(texts, statements_of(operator, "aws:ResourceTag/team", modifier)[1], in_turn=modifier != "{}")


@pytest.mark.parametrize("operator", ["StringEquals", "StringNotLike", "Null"])
def test_operator_of_tag_key_equals_decide(tagged: Databases, operator: str) -> None:
    """Keys in any letter case, of which a resource may have several; in JSON also what is no tag."""
    _check(tagged, statements_of(operator, "tags")[1], in_turn=operator != "Null")


@table("modifier", MODIFIERS)
@table("operator", [*STRINGS, *ARNS])
@table("key", KNOWN_KEYS)
def test_operator_of_known_key_equals_decide(texts: Databases, key: str, operator: str, modifier: str) -> None:
    """Of a key of the caller, with values that each row has its own of."""
    _check(texts[:1], statements_of(operator, key, modifier)[1])


@pytest.mark.parametrize(("key", "operators", "values"), OTHER_KEYS)
@table("modifier", MODIFIERS)
def test_operator_of_typed_column_equals_decide(
    typed: Databases, key: str, operators: list[str], values: list[Any], modifier: str
) -> None:
    """Of numbers, booleans, datetimes and addresses; an IPv6 block may be refused on SQLite."""
    for operator in operators:
        _check(typed, conditions_of(modifier, operator, key, values))


@pytest.mark.parametrize("element", ["Resource", "NotResource"])
def test_resource_equals_decide(papers: Databases, element: str) -> None:
    """ARNs whose parts have the separators of their template, and patterns of other lengths."""
    _check(papers, statements_of(element, "")[1])


@table("operator", ["Null", "ForAnyValue:Null", "ForAllValues:Null"])
@table("key", [*TEXT_KEYS, *dict.fromkeys(key for key, _, _ in OTHER_KEYS)])
def test_null_equals_decide(texts: Databases, typed: Databases, key: str, operator: str) -> None:
    """Of every kind of key; of an empty text, too, which counts as null (rule C-33)."""
    databases = texts if key in TEXT_KEYS else typed
    _check(databases, conditions_of("{}", operator, key, [True, "false", ["true", "false"]]))
