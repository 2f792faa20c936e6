"""Rows read and changed in one transaction, for the services that change what is stored.

A small query language over the tables of `schema`: a table, and conditions on its columns. The value of a condition is
a scalar, None (NULL), `PRESENT` (not NULL), a collection (one of), or a `values_of` subquery. Strings are compared byte
by byte on every database, so that pages have the same order everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, RowMapping, Table

from iam_guard.store.cache.change_feed import Step
from iam_guard.store.cache.invalidation import Invalidation
from iam_guard.store.database import row_statements as statements
from iam_guard.store.database.postgresql_schema import table_name
from iam_guard.store.database.queries import storable
from iam_guard.store.identifiers import iam_arn
from iam_guard.store.quotas import QUOTAS
from iam_guard.store.schema.facts import facts_of

__all__ = ["PRESENT", "Records", "Row", "Table"]

Row: TypeAlias = RowMapping
"""A row by column name; JSON columns are decoded, instants are whole seconds since 1970."""

PRESENT: Final = object()
"""A condition for any value except NULL."""

MAX_PURGED: Final = 100
"""Expired rows that one new row deletes at most."""

Values: TypeAlias = dict[str, Any]
"""The parameters of a statement by name."""


@dataclass(frozen=True, slots=True)
class ValuesOf:
    """A subquery: the values of a column in some rows, as a condition of another query."""

    table: Table
    column: str
    where: Mapping[str, Any]


class Records:
    """Reads and changes rows in one transaction. `changed` is whether anything was written."""

    def __init__(self, connect: Callable[[], Connection], *, writes: bool, quotas: Mapping[str, int] = QUOTAS) -> None:
        self._connect = connect
        self._begun_connection: Connection | None = None
        self._writes = writes
        self.quotas = quotas
        """The quotas of the store by name."""
        self._rows: dict[Hashable, Row | None] = {}
        self.changed = False
        self.invalidation = Invalidation()
        self.step: Step | None = None
        """What the changes did to the state of the store, once they are committed."""

    @property
    def epoch(self) -> int | None:
        """Return the epoch of the changes, once they are committed."""
        return None if self.step is None else self.step.after.epoch

    @property
    def connection(self) -> Connection:
        """The connection of the transaction, which begins at the first query; some calls make none.

        What is changed with it directly must be reported with `add_change`.

        No `cached_property`: in Python 3.11 it has one lock for all objects of the class, so that a thread that waits
        for a connection here would block the one that has it.
        """
        if self._begun_connection is None:
            self._begun_connection = self._connect()
        return self._begun_connection

    # --- reading -------------------------------------------------------------------------------------------------

    def one(self, table: Table, **where: Any) -> Row | None:
        """Return the matching row, or None. Raises SQLAlchemy's `MultipleResultsFound` if there are several.

        Cached until something changes.
        """
        form, values = _split(where)
        found = statements.selected(table, form, self._order(()))
        key = (found, *values.values())
        if key not in self._rows:
            self._rows[key] = self.connection.execute(found, values).mappings().one_or_none()
        return self._rows[key]

    def all(self, table: Table, *, order: Sequence[str] = (), columns: Sequence[str] = (), **where: Any) -> list[Row]:
        """Return all matching rows, ordered by `order`; with `columns`, only these (some contain long documents)."""
        form, values = _split(where)
        found = statements.selected(table, form, self._order(order), tuple(columns))
        return list(self.connection.execute(found, values).mappings())

    def page(
        self,
        table: Table,
        *,
        order: Sequence[str],
        after: Sequence[str] | None,
        limit: int,
        columns: Sequence[str] = (),
        path_prefix: str | None = None,
        condition: Any = None,
        **where: Any,
    ) -> list[Row]:
        """Return at most `limit` rows, by columns that are unique together, after the row with the values `after`.

        `columns` are as in `all`; `condition` is one more condition of the rows, a constant of `schema`.
        """
        form, values = _split(where)
        values["limit"] = limit
        if after is not None:
            values |= {f"after{index}": storable(text) for index, text in enumerate(after)}
        has_prefix = bool(path_prefix) and path_prefix != "/"
        if path_prefix and has_prefix:
            values |= {"prefix": storable(path_prefix), "prefix_length": len(path_prefix)}
        found = statements.page(
            table,
            form,
            self._order(order),
            tuple(columns),
            is_first=after is None,
            has_prefix=has_prefix,
            condition=condition,
        )
        return list(self.connection.execute(found, values).mappings())

    def expired(self, table: Table, now: int, **where: Any) -> list[str]:
        """Return the keys of the oldest rows that the table keeps no longer, at most `MAX_PURGED`."""
        [key], until = table.primary_key.columns.keys(), facts_of(table).kept_until
        rows = self.page(table, order=(until, key), after=None, limit=MAX_PURGED, columns=(key, until), **where)
        return [row[key] for row in rows if row[until] <= now]

    def sample(self, table: Table, key: str, least: str, **where: Any) -> Row | None:
        """Return a matching row that a text selects: the first by a column with at least this value, else the first.

        The index of the conditions and the column finds it. The statement is always the same.
        """
        form, values = _split(where)
        found = self.connection.execute(statements.sampled(table, key, form), {**values, "least": storable(least)})
        return next(iter(found.mappings().all()), None)

    def first_of_each(self, table: Table, column: str, by: Sequence[str], limit: int, **where: Any) -> list[Row]:
        """Return at most `limit` rows of the least value of a column, one for each combination of the columns `by`."""
        form, values = _split(where)
        found = statements.first_of_each(table, column, tuple(by), form)
        return list(self.connection.execute(found, {**values, "limit": limit}).mappings())

    def count(self, table: Table, **where: Any) -> int:
        form, values = _split(where)
        return int(self.connection.execute(statements.counted(table, form), values).scalar_one())

    def counts(self, table: Table, column: str, **where: Any) -> dict[str, int]:
        """Return the number of rows by value of a column; values without rows are left out."""
        form, values = _split(where)
        counted = statements.counted_by(table, column, form)
        return {str(value): int(number) for value, number in self.connection.execute(counted, values)}

    def characters(self, table: Table, column: str, **where: Any) -> int:
        """Return the number of characters in a text column of all rows together."""
        form, values = _split(where)
        return int(self.connection.execute(statements.characters_of(table, column, form), values).scalar_one())

    def values_of(self, table: Table, column: str, **where: Any) -> ValuesOf:
        """Return a subquery for the values of a column, for use as a condition of another query."""
        return ValuesOf(table, column, where)

    # --- changing ------------------------------------------------------------------------------------------------

    def insert(self, table: Table, **values: Any) -> None:
        self.invalidation.add_insert(self, table, values)
        self._change(statements.inserted(table), values)

    def insert_all(self, table: Table, rows: Sequence[Values], names: Iterable[str]) -> None:
        """Insert many rows with the same columns; `names` are what they invalidate together."""
        parameters: Any = rows
        if rows:
            self._change(statements.inserted(table), parameters)
        self.invalidation.add_names(names)

    def update_statistics(self, *tables: Table) -> None:
        """Update what PostgreSQL's planner knows of tables that grow at once; without it, it may scan all rows."""
        if self.connection.dialect.name == "postgresql":
            names = ", ".join(table_name(self.connection, table) for table in tables)
            self.connection.exec_driver_sql(f"ANALYZE {names}")

    def update(self, table: Table, values: Mapping[str, Any], **where: Any) -> int:
        """Update the matching rows; return their number."""
        self.invalidation.add_update(self, table, values, where)
        form, conditions = _split(where)
        new = {f"new_{name}": value for name, value in values.items()}
        return self._change(statements.updated(table, tuple(values), form), conditions | new)

    def delete(self, table: Table, **where: Any) -> int:
        """Delete the matching rows; return their number."""
        self.invalidation.add_delete(self, table, where)
        form, values = _split(where)
        return self._change(statements.deleted(table, form), values)

    def add_change(self, names: Iterable[str]) -> None:
        """Report a change that was made with `connection`, and the names that it invalidates."""
        if not self._writes:
            raise RuntimeError("expected a transaction that was opened for writing")
        self.changed = True
        self._rows.clear()
        self.invalidation.add_names(names)

    def _change(self, statement: Any, values: Values) -> int:
        self.add_change(())
        return int(self.connection.execute(statement, values).rowcount)

    def _order(self, columns: Sequence[str]) -> statements.Order:
        """Return the sort order; PostgreSQL's default would depend on the collation of its database."""
        is_postgresql = self.connection.dialect.name == "postgresql"
        return statements.Order(tuple(columns), "C" if is_postgresql else None)


def row_arn(partition: str, row: Row) -> str:
    """Return the ARN of the user, group or role in a row."""
    return iam_arn(partition, row["account"], row["kind"], row["path"], row["name"])


def _split(where: Mapping[str, Any]) -> tuple[statements.Where, Values]:
    """Split conditions into their form and its parameters."""
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
        return statements.Subquery(value.table, value.column, _forms(value.where, values))
    if isinstance(value, str):
        value = storable(value)
    elif isinstance(value, Collection):
        form, value = "among", tuple([storable(each) if isinstance(each, str) else each for each in value])
    values[f"value{len(values)}"] = value
    return form
