"""Conditions on tags that an index can answer: each is implied by a formula, and added to it.

Tags are read in a subquery, which no index helps. A formula that is true only for some values of a tag implies a
condition that the table can be searched by; it admits some more rows, which the formula then rejects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from string import ascii_uppercase
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    and_,
    any_,
    cast,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql import JSONB

from iam_guard.evaluation.partial.formula import AllOf, AnyOf, Formula, OneOf
from iam_guard.filters.attributes import Attribute, Clause, one_of
from iam_guard.filters.tags import KELVIN, TAG, JsonTags, TagTable, folded_key, is_jsonb

_MAX_NAMES: Final = 16
"""Maximum number of values in one condition: each needs another search of an index."""
_MIN_PARSED: Final = 3
"""Minimum number of tags in one condition for which it is worth reading them twice."""

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
    choice: Choice, attributes: Mapping[str, Attribute], tags: JsonTags | TagTable, table: FromClause, dialect: str
) -> Clause | None:
    """Return the condition of rows that a choice admits, and perhaps others; None if no index could answer it."""
    named = {name.removeprefix(TAG): values for name, values in choice.items() if name.startswith(TAG)}
    others = [
        attributes[name].clause(OneOf(name, values, wanted=True), dialect)
        for name, values in choice.items()
        if not name.startswith(TAG)
    ]
    if isinstance(tags, TagTable):
        return or_(*others, *(_in_rows(tags, name, values, dialect) for name, values in named.items()))
    if not named:
        return or_(*others)
    if dialect == "postgresql" and is_jsonb(tags.column) and all(map(str.isascii, named)):
        return _in_json(tags, named, others, table)
    return None


def _in_rows(tags: TagTable, name: str, values: frozenset[str], dialect: str) -> Clause:
    key = folded_key(tags.key, (name,), dialect) == literal(name, sqltypes.String())
    value = one_of(tags.value, sorted(values), sqltypes.String(), True, dialect)
    return tags.resource.in_(select(tags.owner).where(key, value))


def _in_json(tags: JsonTags, named: Choice, others: Sequence[Clause], table: FromClause) -> Clause:
    """Return the condition that indexes answer, and for many tags, a second one that parses them once.

    Where no index is used, the first one would parse them for each tag. PostgreSQL evaluates the condition that it
    estimates as cheaper first; `array_position` keeps the second one so.
    """
    texts = {name: literal(_lower(values), ARRAY(sqltypes.Text())) for name, values in named.items()}
    searched = or_(*others, *(folded_tag(tags, name) == any_(listed) for name, listed in texts.items()))
    if len(named) < _MIN_PARSED:
        return searched
    parsed = select(_folded(tags, named).label("tags")).correlate(table).offset(literal_column("0")).subquery()
    places = [func.array_position(listed, _member(parsed.c.tags, name)) for name, listed in texts.items()]
    found = or_(*others, *(place.is_not(None) for place in places))
    return and_(exists(select(literal_column("1")).select_from(parsed).where(found).correlate(table)), searched)


@lru_cache(maxsize=1024)
def folded_tag(tags: JsonTags, name: str) -> ColumnElement[Any]:
    """Return the value of a tag of a JSONB column, with the ASCII letters of keys and values in lower case."""
    return _member(_folded(tags, (name,)), name)


def _folded(tags: JsonTags, names: Iterable[str]) -> ColumnElement[Any]:
    """Return all tags in lower case, as far as a comparison with these names needs it."""
    text: ColumnElement[Any] = cast(func.jsonb_strip_nulls(tags.column), sqltypes.Text)
    if any("k" in name for name in names):
        text = func.replace(text, KELVIN, "k")
    return cast(func.lower(text.collate("C")), JSONB)


def _member(document: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    return document.op("->>", return_type=sqltypes.Text())(literal(name, sqltypes.Text()))


def _lower(values: frozenset[str]) -> list[str]:
    """Return values as `_folded` may have them."""
    folded = values | {value.replace(KELVIN, "k") for value in values}
    return sorted({value.translate(_LOWER) for value in folded})
