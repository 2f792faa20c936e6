"""Tags of resources: the members of a JSON column, or rows of a table. All tags of a condition are read in one pass.

Keys of tags are compared in lower case, as condition keys are (rule C-3). A key that a resource has in two letter cases
cannot be read (rule C-4).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    String,
    and_,
    case,
    cast,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql import JSONB

from iam_guard.errors import NotFilterable
from iam_guard.filters.attributes import Clause, bound_text
from iam_guard.filters.dialects import POSTGRESQL
from iam_guard.filters.texts import TextAttribute, is_storable

TAG: Final = "aws:resourcetag/"
_EMPTY: Final[ColumnElement[Any]] = literal_column("'{}'")
KELVIN: Final = "\N{KELVIN SIGN}"
"""The only character beyond ASCII with a lower case in ASCII."""
_OBJECT: Final[ColumnElement[Any]] = literal_column("'object'")
_ZERO: Final[ColumnElement[Any]] = literal_column("0")
_ONE: Final[ColumnElement[Any]] = literal_column("1")


@dataclass(frozen=True)
class TagAttribute(TextAttribute):
    """The value of one tag: a column of the table that `read_tags` returns. `count`: how many tags have its key."""

    count: ColumnElement[int] | None = None

    def readable(self, dialect: str) -> Clause | None:
        return _ONE == _ONE if self.count is None else self.count <= _ONE


@dataclass(frozen=True)
class TagRows:
    """Tags in a table of their own, one row a tag: its model, and the columns with the resource, the key and the value.

    `owner` refers to the resource's key. The table must have a unique constraint on owner and key.
    """

    model: Any
    owner: Any
    key: Any
    value: Any


@dataclass(frozen=True)
class JsonTags:
    """Tags in a JSON column: an object of strings. Members of another type are absent tags."""

    column: ColumnElement[Any]


@dataclass(frozen=True)
class TagTable:
    """Tags in rows of `table`, those of a resource where `owner` equals `resource`."""

    table: FromClause
    owner: ColumnElement[Any]
    key: ColumnElement[str]
    value: ColumnElement[str]
    resource: ColumnElement[Any]


def tag_attribute(name: str, number: int) -> TagAttribute:
    """Return a tag by its condition key in lower case, as the columns of `read_tags`."""
    return TagAttribute(name, column(f"tag_{number}", String()), count=column(f"tag_count_{number}", Integer()))


@lru_cache(maxsize=1024)  # lists of one application ask for few combinations
def read_tags(
    tags: JsonTags | TagTable, names: tuple[tuple[str, int], ...], resource_table: FromClause, dialect: str
) -> FromClause:
    """Return a subquery of one row with the named tags of a resource: condition keys in lower case, and numbers."""
    short = {number: name.removeprefix(TAG) for name, number in names}
    source, key, value = tag_elements(tags, dialect)
    folded = folded_key(key, tuple(short.values()), dialect)
    query = select(folded.label("tag_key"), value.label("tag_value")).select_from(source).correlate(resource_table)
    is_indexed = isinstance(tags, JsonTags) and dialect == "postgresql" and is_jsonb(tags.column)
    if isinstance(tags, TagTable):
        query = query.where(tags.owner == tags.resource)
    elif is_indexed:
        query = query.where(source.c.value != literal_column("'null'::jsonb"))
    found = query.offset(_ZERO).subquery()  # a database would compute the key again for each use without OFFSET
    counted = _ONE if is_indexed else found.c.tag_value  # `hints.folded_tag` finds one member of a name only
    columns: list[ColumnElement[Any]] = []
    for number, name in short.items():
        is_named = found.c.tag_key == bound_text(name)
        columns.append(func.max(case((is_named, found.c.tag_value))).label(f"tag_{number}"))
        columns.append(func.count(case((is_named, counted))).label(f"tag_count_{number}"))
    return select(*columns).subquery()


def tag_elements(tags: JsonTags | TagTable, dialect: str) -> tuple[FromClause, ColumnElement[Any], ColumnElement[Any]]:
    """Return the source of tags, and their keys and values in it; a value that is no text is NULL."""
    if isinstance(tags, TagTable):
        return tags.table, tags.key, tags.value
    document: ColumnElement[Any] = tags.column
    if dialect == "sqlite":
        is_object = func.json_valid(document) == _ONE
        whole = case((is_object, case((func.json_type(document) == _OBJECT, document), else_=_EMPTY)), else_=_EMPTY)
        element = func.json_each(whole).table_valued("key", "value", "type")
        return element, element.c.key, case((element.c.type == literal_column("'text'"), element.c.value))
    if is_jsonb(document):
        whole = case((func.jsonb_typeof(document) == _OBJECT, document), else_=literal_column("'{}'::jsonb"))
    else:
        is_object = and_(_is_complete(document, dialect), func.json_typeof(document) == _OBJECT)
        whole = case((is_object, cast(document, JSONB)), else_=literal_column("'{}'::jsonb"))
    element = func.jsonb_each(whole).table_valued("key", "value")
    value = element.c.value.op("#>>", return_type=String())(literal_column("'{}'"))
    return element, element.c.key, case((func.jsonb_typeof(element.c.value) == literal_column("'string'"), value))


def complete_tags(tags: JsonTags | TagTable, dialect: str) -> list[Clause]:
    """Return the condition of rows whose tags a database reads as Python does, if not all are such."""
    if isinstance(tags, TagTable) or (dialect == "postgresql" and is_jsonb(tags.column)):
        return []
    return [_is_complete(tags.column, dialect)]


def is_jsonb(column: ColumnElement[Any]) -> bool:
    """Return whether PostgreSQL stores a JSON column as JSONB."""
    return isinstance(column.type.dialect_impl(POSTGRESQL), JSONB)  # the type may be a variant


def _is_complete(column: ColumnElement[Any], dialect: str) -> Clause:
    """Return whether a JSON text has no U+0000, which SQLite ends a text at, and PostgreSQL fails for."""
    position = func.instr if dialect == "sqlite" else func.strpos
    return func.coalesce(position(cast(column, sqltypes.Text), literal_column("'\\u0000'")), literal_column("0")) == (
        literal_column("0")
    )


def folded_key(key: ColumnElement[Any], names: tuple[str, ...], dialect: str) -> ColumnElement[str]:
    """Return a key in lower case, as far as a comparison with `names` needs it, exactly as Python does."""
    for name in names:
        if not is_storable(name, dialect) or "σ" in name or "ς" in name:
            raise NotFilterable(f"the tag `{name}`, whose letter case a database compares in another way")
    for upper, lower in dict.fromkeys(pair for name in names for pair in _uppercase(name)):
        key = func.replace(key, upper, lower)
    return func.lower(key.collate("C") if dialect == "postgresql" else key, type_=String())


@lru_cache(maxsize=1024)
def _uppercase(name: str) -> tuple[tuple[str, str], ...]:
    """Return every character beyond ASCII whose lower case is in a name, with that."""
    if name.isascii():
        return ((KELVIN, "k"),) if "k" in name else ()
    return tuple((char, lower) for char, lower in _lowercase() if lower in name)


@cache
def _lowercase() -> tuple[tuple[str, str], ...]:
    """Return all characters beyond ASCII that have another lower case, with that."""
    characters = map(chr, range(128, 0x110000))
    return tuple((char, lower) for char in characters if (lower := char.lower()) != char)
