"""The second door of the store: rows read and changed in one transaction, for whoever changes what the store holds.

A small language over the tables of `schema`: which table, which columns have which values. A value may be a scalar,
None for an absent one, `PRESENT`, a collection of which one must match, or what `values_of` gives (a subquery). Texts
are compared byte by byte on every database, so that pages come in the same order everywhere. Must not live here: what
the rows mean, which changes are allowed (`services`), what a decision needs (`protocol`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    String,
    Table,
    and_,
    false,
    func,
    or_,
    select,
)

from iam_guard.store.engine import lock_epoch
from iam_guard.store.queries import sought

__all__ = ["PRESENT", "Records", "Row", "Table"]

Row: TypeAlias = RowMapping
"""A row by column name; JSON columns are decoded, instants are whole seconds since 1970."""

PRESENT: Final = object()
"""Stands for any value but NULL."""


class Records:
    """The rows, in one transaction. `changed` says whether anything was written."""

    def __init__(self, connection: Connection, *, writes: bool) -> None:
        self._connection = connection
        self._is_locked = not writes
        self._writes = writes
        self.changed = False

    # --- reading -------------------------------------------------------------------------------------------------

    def one(self, table: Table, **where: Any) -> Row | None:
        """Give the row, None if there is none; a condition that several rows meet is a mistake of ours."""
        return self._connection.execute(select(table).where(*_conditions(table, where))).mappings().one_or_none()

    def all(self, table: Table, *, order: Sequence[str] = (), **where: Any) -> list[Row]:
        """Give all rows, in the order of these columns."""
        found = (
            select(table).where(*_conditions(table, where)).order_by(*(self._ordered(table, each) for each in order))
        )
        return list(self._connection.execute(found).mappings())

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
        """Give at most `limit` rows by columns that tell them apart, after the one with the values `after`."""
        columns = [self._ordered(table, each) for each in order]
        found = select(table).where(*_conditions(table, where)).order_by(*columns).limit(limit)
        if after is not None:
            found = found.where(_is_after(columns, after))
        if path_prefix and path_prefix != "/":
            found = found.where(func.substr(table.c.path, 1, len(path_prefix)) == sought(path_prefix))
        return list(self._connection.execute(found).mappings())

    def count(self, table: Table, **where: Any) -> int:
        """Count rows."""
        counted = select(func.count()).select_from(table).where(*_conditions(table, where))
        return int(self._connection.execute(counted).scalar_one())

    def counts(self, table: Table, column: str, **where: Any) -> dict[str, int]:
        """Count rows by the value of a column; a value without rows is left out."""
        by = table.c[column]
        counted = select(by, func.count()).where(*_conditions(table, where)).group_by(by)
        return {str(value): int(number) for value, number in self._connection.execute(counted)}

    def values_of(self, table: Table, column: str, **where: Any) -> Select[Any]:
        """Give the values of a column, for use as a condition of another question."""
        return select(table.c[column]).where(*_conditions(table, where))

    # --- changing ------------------------------------------------------------------------------------------------

    def insert(self, table: Table, **values: Any) -> None:
        """Put in one row."""
        self._change(table.insert().values(**values))

    def update(self, table: Table, values: Mapping[str, Any], **where: Any) -> int:
        """Change rows; give how many there were."""
        return self._change(table.update().where(*_conditions(table, where)).values(**values))

    def delete(self, table: Table, **where: Any) -> int:
        """Remove rows; give how many there were."""
        return self._change(table.delete().where(*_conditions(table, where)))

    def lock(self) -> None:
        """Keep other writers out until the transaction ends, so that what is counted now still holds then."""
        if not self._is_locked:
            lock_epoch(self._connection)
            self._is_locked = True

    def _change(self, statement: Any) -> int:
        assert self._writes, "the transaction was opened for reading"  # noqa: S101  a mistake of ours
        self.changed = True
        return int(self._connection.execute(statement).rowcount)

    def _ordered(self, table: Table, column: str) -> ColumnElement[Any]:
        """Give the column as it is compared; PostgreSQL would follow the language of its database."""
        found: ColumnElement[Any] = table.c[column]
        if isinstance(found.type, String) and self._connection.dialect.name == "postgresql":
            return found.collate("C")
        return found


def _conditions(table: Table, where: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    return [_condition(table.c[name], value) for name, value in where.items()]


def _condition(column: ColumnElement[Any], value: Any) -> ColumnElement[bool]:
    if value is PRESENT:
        return column.is_not(None)
    if isinstance(value, str):
        return column == sought(value)
    if isinstance(value, Select):
        return column.in_(value)
    if isinstance(value, Collection):
        members = [sought(each) if isinstance(each, str) else each for each in value]
        return column.in_(members) if members else false()
    return column.is_(None) if value is None else column == value


def _is_after(columns: Sequence[ColumnElement[Any]], texts: Sequence[str]) -> ColumnElement[bool]:
    """Compare as a dictionary does: the first column decides, then the second."""
    ways, values = [], [sought(each) for each in texts]
    for index, column in enumerate(columns):
        same = [earlier == value for earlier, value in zip(columns[:index], values, strict=False)]
        ways.append(and_(*same, column > values[index]))
    return or_(*ways)
