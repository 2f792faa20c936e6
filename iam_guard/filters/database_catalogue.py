"""What the catalogue of a database says about the columns of a resource type, where it contradicts the declaration.

Filters rely on more than the models say: that texts are compared byte by byte, that a column holds the type of its
model, that a column is never NULL, and that a resource has a tag once. The catalogue knows all of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Column, Table
from sqlalchemy import types as sqltypes
from sqlalchemy.sql.visitors import iterate

from iam_guard.evaluation.partial.text_matching import ACCOUNT
from iam_guard.filters.attributes import Attribute, ChoiceAttribute
from iam_guard.filters.columns import AddressColumn
from iam_guard.filters.date_columns import DateAttribute, UuidAttribute
from iam_guard.filters.dialects import COMPILERS
from iam_guard.filters.number_columns import DecimalAttribute, FloatAttribute, IntegerAttribute
from iam_guard.filters.rendering import Columns
from iam_guard.filters.tags import JsonTags, is_jsonb
from iam_guard.filters.texts import TextAttribute

Execute: TypeAlias = Callable[[str, Mapping[str, "str | None"]], Iterable[Sequence[Any]]]
"""Executes a query with named parameters, such as `%(table)s`, and returns its rows."""

_TEXTS: Final = frozenset({"text", "varchar"})
_POSTGRESQL_TYPES: Final[Mapping[type[Attribute], frozenset[str]]] = {
    IntegerAttribute: frozenset({"int2", "int4", "int8"}),
    FloatAttribute: frozenset({"float8"}),
    DecimalAttribute: frozenset({"numeric"}),
    UuidAttribute: frozenset({"uuid"}),
}
_SQLITE_AFFINITIES: Final[Mapping[type[Attribute], frozenset[str]]] = {
    IntegerAttribute: frozenset({"INTEGER", "NUMERIC", "BLOB"}),
    FloatAttribute: frozenset({"REAL", "INTEGER", "NUMERIC", "BLOB"}),
    DecimalAttribute: frozenset({"REAL", "INTEGER", "NUMERIC", "BLOB"}),
    DateAttribute: frozenset({"TEXT", "NUMERIC", "BLOB"}),
}
"""Affinities that keep the values of a type as they are; texts need TEXT or none, which SQLite calls BLOB."""

_POSTGRESQL_COLUMNS: Final = """
SELECT a.attname, b.typname, b.typtype = 'e' AS is_enum, NOT (a.attnotnull OR t.typnotnull) AS is_nullable,
       coalesce(c.collisdeterministic, true) AS is_deterministic, false AS is_row_id
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
LEFT JOIN pg_collation c ON c.oid = a.attcollation
WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped"""
_POSTGRESQL_UNIQUE: Final = """
SELECT i.indexrelid, a.attname FROM pg_index i JOIN pg_attribute a
ON a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
WHERE i.indrelid = to_regclass(%(table)s) AND i.indisunique AND i.indisvalid
AND i.indpred IS NULL AND i.indexprs IS NULL"""
_SQLITE_COLUMNS: Final = """
SELECT name, type, false AS is_enum, NOT "notnull" AS is_nullable, true AS is_deterministic,
       upper(type) = 'INTEGER' AND pk = 1 AND NOT EXISTS (
       SELECT 1 FROM pragma_index_list(%(table)s, %(schema)s) WHERE origin = 'pk') AS is_row_id
FROM pragma_table_xinfo(%(table)s, %(schema)s)"""
_SQLITE_UNIQUE: Final = """
SELECT i.name, c.name FROM pragma_index_list(%(table)s, %(schema)s) i, pragma_index_xinfo(i.name, %(schema)s) c
WHERE i."unique" AND NOT i.partial AND c.key
UNION ALL SELECT '', name FROM pragma_table_xinfo(%(table)s, %(schema)s) WHERE pk"""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A declaration that is wrong about the database, or a loaded object that differs from what queries see.

    `name` is the condition key, `aws:ResourceTag/…`, a parameter of the ARN, such as `{id}`, `{account}`, or a table.
    `row` is the key of the first row that differs and `rows` how many of the sample do; None and 0 for what the
    catalogue says.
    """

    resource_type: str
    name: str
    expected: str
    got: str
    row: str | None = None
    rows: int = 0

    def __str__(self) -> str:
        if self.row is None:
            return f"{self.resource_type}, {self.name}: expected {self.expected}, got {self.got}"
        others = f" and {self.rows - 1} more" if self.rows > 1 else ""
        return f"{self.resource_type}, {self.name}: object {self.expected}, query {self.got}, in row {self.row}{others}"


class _Stored(NamedTuple):
    """A column of the catalogue."""

    type: str
    is_enum: bool
    is_nullable: bool
    is_deterministic: bool
    is_row_id: bool


class DatabaseCatalogue:
    """The catalogue of a database; tables are read once."""

    def __init__(self, dialect: str, execute: Execute) -> None:
        self.dialect = dialect
        self._execute = execute
        self._columns: dict[str, dict[str, _Stored]] = {}

    def mismatches(self, resource_type: str, columns: Columns, keys: frozenset[str]) -> Iterator[Mismatch]:
        """Yield what contradicts the columns of a resource type; `keys` are its condition keys in lower case."""
        for name, expected, got in (*self._of_encoding(), *self._of_attributes(columns, keys), *self._of_tags(columns)):
            yield Mismatch(resource_type, name, expected, got)

    def unique_columns(self, table: Table) -> list[frozenset[str]]:
        """Return the sets of columns of which no two rows have the same values, unless one is NULL."""
        found: dict[Any, set[str]] = {}
        query = _POSTGRESQL_UNIQUE if self.dialect == "postgresql" else _SQLITE_UNIQUE
        for index, column in self._execute(query, self._named(table)):
            found.setdefault(index, set()).add(column)  # None for an expression, which is no column
        return [frozenset(names) for names in found.values()]

    def _of_encoding(self) -> Iterator[tuple[str, str, str]]:
        if self.dialect == "postgresql":
            [[encoding]] = self._execute("SHOW server_encoding", {})
            if encoding != "UTF8":
                yield "database", "the encoding UTF8", str(encoding)

    def _of_attributes(self, columns: Columns, keys: frozenset[str]) -> Iterator[tuple[str, str, str]]:
        for name, attribute in columns.attributes.items():
            if name == ACCOUNT.name:
                continue  # the same column as `aws:ResourceAccount`
            yield from self._of_attribute(attribute)
            column = attribute.expression
            stored = self._stored(column)
            if stored is None or attribute.absent != "never":
                continue
            is_row_id = isinstance(attribute, IntegerAttribute) and attribute.is_row_id
            if self.dialect == "sqlite" and is_row_id:
                if not stored.is_row_id:
                    yield name, "the type INTEGER PRIMARY KEY", stored.type
            elif stored.is_nullable and (name in keys or attribute.readable(self.dialect) is None):
                yield name, "a column that is NOT NULL", "one that may be NULL"

    def _of_attribute(self, attribute: Attribute) -> Iterator[tuple[str, str, str]]:
        for column in iterate(attribute.expression):
            if not isinstance(column, Column) or not isinstance(column.table, Table):
                continue
            stored = self._stored(column)
            if stored is None:
                yield attribute.name, f"the column `{column.name}` in `{column.table.name}`", "none"
            elif column is attribute.expression and not self._is_of_type(stored, attribute):
                yield attribute.name, f"a column that stores {attribute.kind}", stored.type
            elif stored.type in ("citext", "bpchar") or not stored.is_deterministic:
                got = stored.type if stored.is_deterministic else "a nondeterministic collation"
                yield attribute.name, "a column that compares texts byte by byte", got

    def _is_of_type(self, stored: _Stored, attribute: Attribute) -> bool:
        if self.dialect == "sqlite":
            affinity = _affinity(stored.type)
            if isinstance(attribute.expression.type, sqltypes.Boolean):
                return affinity in _SQLITE_AFFINITIES[IntegerAttribute]
            return affinity in _SQLITE_AFFINITIES.get(type(attribute), ("TEXT", "BLOB"))
        if isinstance(attribute.expression, AddressColumn):
            return stored.type == "inet"
        if isinstance(attribute, DateAttribute):
            return stored.type == ("timestamptz" if attribute.is_aware else "timestamp")
        if isinstance(attribute, ChoiceAttribute):
            is_boolean = isinstance(attribute.expression.type, sqltypes.Boolean)
            return stored.type == "bool" if is_boolean else stored.is_enum or stored.type in _TEXTS
        return stored.type in _POSTGRESQL_TYPES.get(type(attribute), _TEXTS | {"citext", "bpchar"})

    def _of_tags(self, columns: Columns) -> Iterator[tuple[str, str, str]]:
        tags = columns.tags
        if isinstance(tags, JsonTags):
            stored = self._stored(tags.column)
            declared = "jsonb" if is_jsonb(tags.column) else "json"
            if stored is not None and self.dialect == "postgresql" and stored.type != declared:
                yield "tags", f"a column of the type {declared}", stored.type
        elif tags is not None:
            owners = [column for column in (tags.owner, tags.resource) if isinstance(column.type, sqltypes.String)]
            for column in (tags.key, tags.value, *owners):
                yield from self._of_attribute(TextAttribute("tags", column))
            names = {tags.owner.name, tags.key.name}
            if not any(unique <= names for unique in self.unique_columns(tags.owner.table)):
                columns_written = " and ".join(f"`{name}`" for name in (tags.owner.name, tags.key.name))
                yield "tags", f"a unique constraint on {columns_written}", "none in the database"

    def _stored(self, column: Any) -> _Stored | None:
        """Return what the catalogue says about a column; None if it has none, or for an expression."""
        if not isinstance(column, Column) or not isinstance(column.table, Table):
            return None
        table = column.table
        known = self._columns.get(table.fullname)
        if known is None:
            query = _POSTGRESQL_COLUMNS if self.dialect == "postgresql" else _SQLITE_COLUMNS
            rows = self._execute(query, self._named(table))
            known = self._columns[table.fullname] = {name: _Stored(*values) for name, *values in rows}
        return known.get(column.name)

    def _named(self, table: Table) -> dict[str, str | None]:
        if self.dialect == "postgresql":
            return {"table": COMPILERS[self.dialect].identifier_preparer.format_table(table)}
        return {"table": table.name, "schema": table.schema}


def _affinity(declared: str) -> str:
    """Return the affinity of a column of SQLite by its declared type (https://sqlite.org/datatype3.html, 3.1)."""
    name = declared.upper()
    if "INT" in name:
        return "INTEGER"
    if any(part in name for part in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if "BLOB" in name or not name:
        return "BLOB"
    return "REAL" if any(part in name for part in ("REAL", "FLOA", "DOUB")) else "NUMERIC"
