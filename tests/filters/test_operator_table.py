"""Every operator, with every modifier, in Allow and Deny, for rows in every state: the filter equals `decide`.

The rows are compared in one query per policy value. What fits the type of the column must be translated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import pytest

from iam_guard import NotFilterable
from tests.filters.comparison import compare_databases
from tests.filters.models import KINDS, Kind
from tests.filters.operator_states import (
    EFFECTS,
    KNOWN_KEYS,
    MODIFIERS,
    OTHER_KEYS,
    TEXT_KEYS,
    WITH_EMPTY,
    States,
    case_of,
    conditions_of,
    opened,
    statements_of,
)
from tests.filters.vocabulary import ARNS, IGNORING_CASE, STRINGS
from tests.tables import table


@pytest.fixture(scope="module")
def states() -> Iterator[States]:
    """Open the databases."""
    with opened() as found:
        yield found


OF_COLUMNS = [KINDS[0], WITH_EMPTY]
"""Kinds of one model, since columns are the same in all."""


def _is_refusable(dialect: str, elements: dict[str, Any]) -> bool:
    """Return whether a statement need not be translated: letter case of texts, and IPv6 blocks on SQLite."""
    if "Condition" not in elements:
        return False
    ((operator, test),) = elements["Condition"].items()
    ((key, value),) = test.items()
    is_block = key == "docs:Address" and dialect == "sqlite" and ":" in str(value)
    return is_block or "IgnoreCase" in operator


def _check(
    states: States,
    table: str,
    statements: list[dict[str, Any]],
    *,
    kinds: Sequence[Kind] = KINDS,
    in_turn: bool = False,
) -> None:
    """Compare the rows of a table for each statement, of all kinds or of the kinds `in_turn`."""
    counts = set()
    of_kinds = states.of_table(table, kinds)
    for place, elements in enumerate(statements):
        compared = [of_kinds[place % len(of_kinds)]] if in_turn else of_kinds
        for (comparisons, numbers), effect in product(compared, EFFECTS):
            case = case_of(comparisons[0].kind, effect, elements)
            results = compare_databases(comparisons, case, numbers)
            for comparison, (listed, differences) in zip(comparisons, results, strict=True):
                assert not differences, comparison.describe(differences[0])
                if isinstance(listed, NotFilterable):
                    assert _is_refusable(comparison.dialect, elements), (elements, listed.reason)
                else:
                    counts.add(len(listed))
    assert len(counts) != 1  # the rows matter


@pytest.mark.parametrize("operator", [*STRINGS, *IGNORING_CASE, *ARNS])
@table("modifier", MODIFIERS)
def test_operator_of_column_equals_decide(states: States, operator: str, modifier: str) -> None:
    """Columns of texts are the same in all models; `…IgnoreCase` may be refused."""
    _check(states, *statements_of(operator, "docs:Class", modifier), kinds=OF_COLUMNS, in_turn=modifier != "{}")


@pytest.mark.parametrize("operator", [*STRINGS, *IGNORING_CASE])
@table("modifier", MODIFIERS)
def test_operator_of_tag_equals_decide(states: States, operator: str, modifier: str) -> None:
    """A tag in JSONB, in JSON, and in a row; a modifier means the same for each."""
    _check(states, *statements_of(operator, "aws:ResourceTag/team", modifier), in_turn=modifier != "{}")


@pytest.mark.parametrize("operator", ["StringEquals", "StringNotLike", "Null"])
def test_operator_of_tag_key_equals_decide(states: States, operator: str) -> None:
    """Keys in any letter case, of which a resource may have several; in JSON also what is no tag."""
    _check(states, *statements_of(operator, "tags"), in_turn=operator != "Null")


@table("modifier", MODIFIERS)
@table("operator", [*STRINGS, *ARNS])
@table("key", KNOWN_KEYS)
def test_operator_of_known_key_equals_decide(states: States, key: str, operator: str, modifier: str) -> None:
    """Of a key of the caller, with values that each row has its own of."""
    _check(states, *statements_of(operator, key, modifier), kinds=OF_COLUMNS, in_turn=True)


@pytest.mark.parametrize(("key", "operators", "values"), OTHER_KEYS)
@table("modifier", MODIFIERS)
def test_operator_of_typed_column_equals_decide(
    states: States, key: str, operators: list[str], values: list[Any], modifier: str
) -> None:
    """Of numbers, booleans, datetimes and addresses; a modifier means the same for each kind.

    An IPv6 block may be refused on SQLite.
    """
    for operator in operators:
        kinds, in_turn = OF_COLUMNS if key == "docs:Address" else KINDS, modifier != "{}"
        _check(states, "typed", conditions_of(modifier, operator, key, values), kinds=kinds, in_turn=in_turn)


@pytest.mark.parametrize("element", ["Resource", "NotResource"])
def test_resource_equals_decide(states: States, element: str) -> None:
    """ARNs whose parts have the separators of their template, and patterns of other lengths."""
    _check(states, *statements_of(element, ""))


@table("operator", ["Null", "ForAnyValue:Null", "ForAllValues:Null"])
@table("key", [*TEXT_KEYS, *dict.fromkeys(key for key, _, _ in OTHER_KEYS)])
def test_null_equals_decide(states: States, key: str, operator: str) -> None:
    """Of every kind of key; of an empty text, too, which counts as null (rule C-33)."""
    conditions = conditions_of("{}", operator, key, [True, "false", ["true", "false"]])
    _check(states, "texts" if key in TEXT_KEYS else "typed", conditions, kinds=KINDS if "Tag" in key else OF_COLUMNS)
