"""The statements behind `records`, each built once for its form: which table, which columns are compared how.

Building a statement takes several times as long as running it, and a request runs a dozen. What differs from one call
to the next are values, and those are parameters, named by their order: `value0`, `value1`, … Forms are written in our
own code, so there is a number of them, and each is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import count
from typing import Any, Literal, NamedTuple, TypeAlias

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Delete,
    Insert,
    Integer,
    Select,
    String,
    Table,
    Update,
    and_,
    bindparam,
    func,
    or_,
    select,
)

from iam_guard.store.column_lookups import among


class Inner(NamedTuple):
    """A column of one of the rows that are found in another table: the form of a subquery."""

    table: Table
    column: str
    where: Where


Form: TypeAlias = Literal["is", "among", "absent", "present"] | Inner
"""How a column is compared; the first two take a parameter, `among` a list."""
Where: TypeAlias = tuple[tuple[str, Form], ...]
"""Column and form, in the order of the parameters."""


class Order(NamedTuple):
    """Columns to sort by, and the collation in which texts are compared; None for the database's own."""

    columns: tuple[str, ...]
    collation: str | None


@cache
def selected(table: Table, where: Where, order: Order, columns: tuple[str, ...] = ()) -> Select[Any]:
    """Select whole rows, or some columns of them."""
    wanted = select(*(table.c[column] for column in columns)) if columns else select(table)
    return wanted.where(*_conditions(table, where)).order_by(*_ordered(table, order))


@cache
def one_page(table: Table, where: Where, order: Order, *, is_first: bool, has_prefix: bool) -> Select[Any]:
    """Select `limit` rows after those with the values `after0`, `after1`, …; paths begin with `prefix`."""
    found = selected(table, where, order).limit(bindparam("limit", type_=Integer))
    if not is_first:
        found = found.where(_is_after(_ordered(table, order)))
    if has_prefix:
        length = bindparam("prefix_length", type_=Integer)
        found = found.where(func.substr(table.c.path, 1, length) == bindparam("prefix", type_=String))
    return found


@cache
def counted(table: Table, where: Where) -> Select[Any]:
    """Count rows."""
    return select(func.count()).select_from(table).where(*_conditions(table, where))


@cache
def counted_by(table: Table, column: str, where: Where) -> Select[Any]:
    """Count rows by the value of a column."""
    by = table.c[column]
    return select(by, func.count()).where(*_conditions(table, where)).group_by(by)


@cache
def characters_of(table: Table, column: str, where: Where) -> Select[Any]:
    """Count the characters of a column of texts."""
    return select(func.coalesce(func.sum(func.length(table.c[column])), 0)).where(*_conditions(table, where))


@cache
def inserted(table: Table) -> Insert:
    """Insert a row; the parameters are named like its columns."""
    return table.insert()


@cache
def updated(table: Table, columns: tuple[str, ...], where: Where) -> Update:
    """Change columns; the new values are `new_` and the column's name."""
    new = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in columns}
    return table.update().where(*_conditions(table, where)).values(new)


@cache
def deleted(table: Table, where: Where) -> Delete:
    """Remove rows."""
    return table.delete().where(*_conditions(table, where))


def _conditions(table: Table, where: Where) -> list[ColumnElement[bool]]:
    return list(_numbered(table, where, count()))


def _numbered(table: Table, where: Where, numbers: Iterator[int]) -> Iterator[ColumnElement[bool]]:
    for name, form in where:
        column: ColumnElement[Any] = table.c[name]
        match form:
            case "absent":
                yield column.is_(None)
            case "present":
                yield column.is_not(None)
            case "is":
                yield column == _parameter(column, numbers)
            case "among":
                yield column.in_(_parameter(column, numbers, expanding=True))
            case Inner():
                wanted = form.table.c[form.column]
                yield among(column, select(wanted).where(*_numbered(form.table, form.where, numbers)))


def _parameter(column: ColumnElement[Any], numbers: Iterator[int], *, expanding: bool = False) -> BindParameter[Any]:
    return bindparam(f"value{next(numbers)}", type_=column.type, expanding=expanding)


def _ordered(table: Table, order: Order) -> list[ColumnElement[Any]]:
    """Return the columns as they are compared."""
    columns: list[ColumnElement[Any]] = [table.c[column] for column in order.columns]
    if order.collation is None:
        return columns
    return [column.collate(order.collation) if isinstance(column.type, String) else column for column in columns]


def _is_after(columns: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
    """Compare as a dictionary does: the first column decides, then the second."""
    values = [bindparam(f"after{index}", type_=column.type) for index, column in enumerate(columns)]
    ways = []
    for index, column in enumerate(columns):
        same = [earlier == value for earlier, value in zip(columns[:index], values, strict=False)]
        ways.append(and_(*same, column > values[index]))
    return or_(*ways)
