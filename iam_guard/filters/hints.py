"""Conditions on tags that an index can answer: each is implied by a formula, and added to it.

Tags are read in a subquery, which no index helps. A formula that is true only for some values of a tag implies a
condition that the table can be searched by; it admits some more rows, which the formula then rejects.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from string import ascii_uppercase
from typing import Any, Final

from sqlalchemy import ColumnElement, cast, func, literal, or_, select
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql import JSONB

from iam_guard.evaluation.partial.formula import AllOf, AnyOf, Formula, OneOf
from iam_guard.filters.attributes import Attribute, Clause, one_of
from iam_guard.filters.tags import KELVIN, TAG, JsonTags, TagTable, folded_key, is_jsonb

_MAX_NAMES: Final = 16
"""Maximum number of values in one condition: each needs another search of an index."""

_LOWER: Final = {ord(char): char.lower() for char in ascii_uppercase}

Choice = Mapping[str, frozenset[str]]
"""Names of values -> texts; one of the values has one of its texts."""


def implied_choice(formula: Formula) -> Choice | None:
    """Return a choice that is necessary for a formula; None if there is none of few values."""
    if isinstance(formula, OneOf) and formula.wanted:
        return {formula.name: formula.values}
    if isinstance(formula, AllOf):
        choices = [choice for part in formula.parts if (choice := implied_choice(part)) is not None]
        return min(choices, key=_size, default=None)
    if not isinstance(formula, AnyOf):
        return None
    joined: dict[str, frozenset[str]] = {}
    for part in formula.parts:
        choice = implied_choice(part)
        if choice is None:
            return None
        for name, values in choice.items():
            joined[name] = joined.get(name, frozenset()) | values
    return joined if len(joined) <= _MAX_NAMES else None


def _size(choice: Choice) -> tuple[int, int]:
    return len(choice), sum(map(len, choice.values()))


def choice_clause(
    choice: Choice, attributes: Mapping[str, Attribute], tags: JsonTags | TagTable, dialect: str
) -> Clause | None:
    """Return the condition of rows that a choice admits, and perhaps others; None if no index could answer it."""
    clauses = []
    for name, values in choice.items():
        if not name.startswith(TAG):
            clauses.append(attributes[name].clause(OneOf(name, values, wanted=True), dialect))
        elif isinstance(tags, TagTable):
            clauses.append(_in_rows(tags, name.removeprefix(TAG), values, dialect))
        elif dialect == "postgresql" and name.isascii() and is_jsonb(tags.column):
            clauses.append(_in_json(tags, name.removeprefix(TAG), values))
        else:
            return None
    return or_(*clauses)


def _in_rows(tags: TagTable, name: str, values: frozenset[str], dialect: str) -> Clause:
    key = folded_key(tags.key, (name,), dialect) == literal(name, sqltypes.String())
    value = one_of(tags.value, sorted(values), sqltypes.String(), True, dialect)
    return tags.resource.in_(select(tags.owner).where(key, value))


def _in_json(tags: JsonTags, name: str, values: frozenset[str]) -> Clause:
    texts = sorted({_lower(value, name) for value in values})
    return one_of(folded_tag(tags, name), texts, sqltypes.Text(), True, "postgresql")


@lru_cache(maxsize=1024)
def folded_tag(tags: JsonTags, name: str) -> ColumnElement[Any]:
    """Return the value of a tag of a JSONB column, with the ASCII letters of keys and values in lower case."""
    text: ColumnElement[Any] = cast(func.jsonb_strip_nulls(tags.column), sqltypes.Text)
    if "k" in name:
        text = func.replace(text, KELVIN, "k")
    folded = cast(func.lower(text.collate("C")), JSONB)
    return folded.op("->>", return_type=sqltypes.Text())(literal(name, sqltypes.Text()))


def _lower(value: str, name: str) -> str:
    """Return a value as `folded_tag` has it."""
    value = value.replace(KELVIN, "k") if "k" in name else value
    return value.translate(_LOWER)
