"""The second door of the store: rows read and changed in one transaction, for whoever changes what the store holds.

A small language over the tables of `schema`: which table, which columns have which values. A value may be a scalar,
None for an absent one, `PRESENT`, a collection of which one must match, or what `values_of` gives (a subquery). Texts
are compared byte by byte on every database, so that pages come in the same order everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, RowMapping, Table

from iam_guard.store import row_statements as statements
from iam_guard.store.invalidation import Invalidation
from iam_guard.store.queries import sought

__all__ = ["PRESENT", "Records", "Row", "Table"]

Row: TypeAlias = RowMapping
"""A row by column name; JSON columns are decoded, instants are whole seconds since 1970."""

PRESENT: Final = object()
"""Stands for any value but NULL."""

Values: TypeAlias = dict[str, Any]
"""The parameters of a statement by name."""


@dataclass(frozen=True, slots=True)
class ValuesOf:
    """The values that a column has in some rows, as a condition of another question."""

    table: Table
    column: str
    where: Mapping[str, Any]


class Records:
    """The rows, in one transaction. `changed` says whether anything was written."""

    def __init__(self, connect: Callable[[], Connection], *, writes: bool) -> None:
        self._connect = connect
        self._begun: Connection | None = None
        self._writes = writes
        self._found: dict[Hashable, Row | None] = {}
        self.changed = False
        self.invalidation = Invalidation()
        self.epoch: int | None = None
        """The epoch that the changes made, once they are made for good."""

    @property
    def _connection(self) -> Connection:
        """Begin the transaction when something is asked first; some calls ask nothing.

        No `cached_property`: in Python 3.11 it has one lock for all objects of the class, so that whoever waits for a
        connection here would stop the one who has it.
        """
        if self._begun is None:
            self._begun = self._connect()
        return self._begun

    # --- reading -------------------------------------------------------------------------------------------------

    def one(self, table: Table, **where: Any) -> Row | None:
        """Return the row, None if there is none; a condition that several rows meet is a mistake of ours.

        Asked again before anything changes, it is not looked for again.
        """
        form, values = _taken_apart(where)
        found = statements.selected(table, form, self._order(()))
        key = (found, *values.values())
        if key not in self._found:
            self._found[key] = self._connection.execute(found, values).mappings().one_or_none()
        return self._found[key]

    def all(self, table: Table, *, order: Sequence[str] = (), columns: Sequence[str] = (), **where: Any) -> list[Row]:
        """Return all rows, in the order of some columns; with `columns`, these alone, for some hold long documents."""
        form, values = _taken_apart(where)
        found = statements.selected(table, form, self._order(order), tuple(columns))
        return list(self._connection.execute(found, values).mappings())

    def page(
        self,
        table: Table,
        *,
        order: Sequence[str],
        after: Sequence[str] | None,
        limit: int,
        path_prefix: str | None = None,
        **where: Any,
    ) -> list[Row]:
        """Return at most `limit` rows by columns that tell them apart, after the one with the values `after`."""
        form, values = _taken_apart(where)
        values["limit"] = limit
        if after is not None:
            values |= {f"after{index}": sought(text) for index, text in enumerate(after)}
        has_prefix = bool(path_prefix) and path_prefix != "/"
        if path_prefix and has_prefix:
            values |= {"prefix": sought(path_prefix), "prefix_length": len(path_prefix)}
        found = statements.one_page(table, form, self._order(order), is_first=after is None, has_prefix=has_prefix)
        return list(self._connection.execute(found, values).mappings())

    def count(self, table: Table, **where: Any) -> int:
        """Count rows."""
        form, values = _taken_apart(where)
        counted = statements.counted(table, form)
        return int(self._connection.execute(counted, values).scalar_one())

    def counts(self, table: Table, column: str, **where: Any) -> dict[str, int]:
        """Count rows by the value of a column; a value without rows is left out."""
        form, values = _taken_apart(where)
        counted = statements.counted_by(table, column, form)
        return {str(value): int(number) for value, number in self._connection.execute(counted, values)}

    def characters(self, table: Table, column: str, **where: Any) -> int:
        """Count the characters of a column of texts in all rows together."""
        form, values = _taken_apart(where)
        counted = statements.characters_of(table, column, form)
        return int(self._connection.execute(counted, values).scalar_one())

    def values_of(self, table: Table, column: str, **where: Any) -> ValuesOf:
        """Return the values of a column, for use as a condition of another question."""
        return ValuesOf(table, column, where)

    # --- changing ------------------------------------------------------------------------------------------------

    def insert(self, table: Table, **values: Any) -> None:
        """Put in one row."""
        self.invalidation.inserted(table.name, values)
        self._change(statements.inserted(table), values)

    def update(self, table: Table, values: Mapping[str, Any], **where: Any) -> int:
        """Change rows; give how many there were."""
        self.invalidation.changed(table.name, where, values)
        form, sought_values = _taken_apart(where)
        new = {f"new_{name}": value for name, value in values.items()}
        return self._change(statements.updated(table, tuple(values), form), sought_values | new)

    def delete(self, table: Table, **where: Any) -> int:
        """Remove rows; give how many there were."""
        self.invalidation.changed(table.name, where)
        form, values = _taken_apart(where)
        return self._change(statements.deleted(table, form), values)

    def _change(self, statement: Any, values: Values) -> int:
        if not self._writes:
            raise RuntimeError("expected a transaction that was opened for writing")
        self.changed = True
        self._found.clear()
        return int(self._connection.execute(statement, values).rowcount)

    def _order(self, columns: Sequence[str]) -> statements.Order:
        """Return how rows are sorted; PostgreSQL would follow the language of its database."""
        is_postgresql = self._connection.dialect.name == "postgresql"
        return statements.Order(tuple(columns), "C" if is_postgresql else None)


def _taken_apart(where: Mapping[str, Any]) -> tuple[statements.Where, Values]:
    """Take conditions apart: into their form, and the values as its parameters."""
    values: Values = {}
    return _forms(where, values), values


def _forms(where: Mapping[str, Any], values: Values) -> statements.Where:
    return tuple([(name, _form(value, values)) for name, value in where.items()])


def _form(value: Any, values: Values) -> statements.Form:
    form: statements.Form = "is"
    if value is PRESENT:
        return "present"
    if value is None:
        return "absent"
    if isinstance(value, ValuesOf):
        return statements.Inner(value.table, value.column, _forms(value.where, values))
    if isinstance(value, str):
        value = sought(value)
    elif isinstance(value, Collection):
        form, value = "among", tuple([sought(each) if isinstance(each, str) else each for each in value])
    values[f"value{len(values)}"] = value
    return form
