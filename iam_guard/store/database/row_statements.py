"""The SQL statements of `records`, cached by their form: the table, and how each column is compared.

Building a statement takes several times as long as running it, and a request runs a dozen. The values of a call are
parameters, named by their order: `value0`, `value1`, … Forms come from this package's code only, so their number is
limited and the caches need no bound. `among` is a comparison with a subquery, also for `decision_query`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import count
from typing import Any, Literal, NamedTuple, TypeAlias

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
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
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class Subquery(NamedTuple):
    """The form of a subquery: a column of matching rows of another table."""

    table: Table
    column: str
    where: Where


Form: TypeAlias = Literal["is", "among", "absent", "present"] | Subquery
"""How a column is compared; `is` takes a parameter, `among` a list."""
Where: TypeAlias = tuple[tuple[str, Form], ...]
"""The columns and their forms, in the order of the parameters."""


class Order(NamedTuple):
    """The columns to sort by, and the collation of strings; None for the database's default."""

    columns: tuple[str, ...]
    collation: str | None


@cache
def selected(table: Table, where: Where, order: Order, columns: tuple[str, ...] = ()) -> Select[Any]:
    """Select whole rows, or some columns of them."""
    statement = select(*(table.c[column] for column in columns)) if columns else select(table)
    return statement.where(*_conditions(table, where)).order_by(*_ordered(table, order))


@cache
def page(
    table: Table,
    where: Where,
    order: Order,
    columns: tuple[str, ...] = (),
    *,
    is_first: bool,
    has_prefix: bool,
    condition: ColumnElement[bool] | None = None,
) -> Select[Any]:
    """Select `limit` rows after the values `after0`, `after1`, …; with `has_prefix`, paths that begin with `prefix`.

    `condition` is a constant of `schema`.
    """
    statement = selected(table, where, order, columns).limit(bindparam("limit", type_=Integer))
    if condition is not None:
        statement = statement.where(condition)
    if not is_first:
        statement = statement.where(_is_after(_ordered(table, order)))
    if has_prefix:
        length = bindparam("prefix_length", type_=Integer)
        statement = statement.where(func.substr(table.c.path, 1, length) == bindparam("prefix", type_=String))
    return statement


@cache
def sampled(table: Table, key: str, where: Where) -> CompoundSelect[Any]:
    """Select the first row by a column with at least the value `least`, and the first of all, each if there is one.

    In the database's own order, so that an index of the column has it, whatever its collation.
    """
    first = select(table).where(*_conditions(table, where)).order_by(table.c[key]).limit(1)
    least = first.where(table.c[key] >= bindparam("least", type_=table.c[key].type))
    both = [select(found.subquery(), literal(rank).label("rank")) for rank, found in enumerate((least, first))]
    return union_all(*both).order_by("rank")


@cache
def counted(table: Table, where: Where) -> Select[Any]:
    return select(func.count()).select_from(table).where(*_conditions(table, where))


@cache
def first_of_each(table: Table, column: str, by: tuple[str, ...], where: Where) -> Select[Any]:
    """Select the least value of a column, for each combination of others."""
    groups = [table.c[name] for name in by]
    least = func.min(table.c[column]).label(column)
    return select(least, *groups).where(*_conditions(table, where)).group_by(*groups).limit(bindparam("limit"))


@cache
def counted_by(table: Table, column: str, where: Where) -> Select[Any]:
    by = table.c[column]
    return select(by, func.count()).where(*_conditions(table, where)).group_by(by)


@cache
def characters_of(table: Table, column: str, where: Where) -> Select[Any]:
    return select(func.coalesce(func.sum(func.length(table.c[column])), 0)).where(*_conditions(table, where))


@cache
def inserted(table: Table) -> Insert:
    """Insert a row; the parameters are the names of its columns."""
    return table.insert()


@cache
def updated(table: Table, columns: tuple[str, ...], where: Where) -> Update:
    """Update columns; the parameter of a new value is `new_` and the column's name."""
    new = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in columns}
    return table.update().where(*_conditions(table, where)).values(new)


@cache
def deleted(table: Table, where: Where) -> Delete:
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
            case Subquery():
                inner = form.table.c[form.column]
                yield among(column, select(inner).where(*_numbered(form.table, form.where, numbers)))


def _parameter(column: ColumnElement[Any], numbers: Iterator[int], *, expanding: bool = False) -> BindParameter[Any]:
    return bindparam(f"value{next(numbers)}", type_=column.type, expanding=expanding)


def _ordered(table: Table, order: Order) -> list[ColumnElement[Any]]:
    """Return the columns to sort by, with their collation."""
    columns: list[ColumnElement[Any]] = [table.c[column] for column in order.columns]
    if order.collation is None:
        return columns
    return [column.collate(order.collation) if isinstance(column.type, String) else column for column in columns]


def _is_after(columns: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
    """Return whether a row comes after the given values, in lexicographic order."""
    values = [bindparam(f"after{index}", type_=column.type) for index, column in enumerate(columns)]
    alternatives = []
    for index, column in enumerate(columns):
        same = [earlier == value for earlier, value in zip(columns[:index], values, strict=False)]
        alternatives.append(and_(*same, column > values[index]))
    return or_(*alternatives)


class among(FunctionElement[bool]):  # noqa: N801  it reads as an operator
    """`column IN (subquery)`.

    On PostgreSQL the subquery becomes an array, which is computed first. Without statistics, the planner turns `IN`
    into a join, assumes that both sides are big, and scans both tables; for an array it uses the index.
    """

    inherit_cache = True
    # without a type: on SQLite, SQLAlchemy would compare a Boolean with 1, and SQLite would then use no index

    def __init__(self, column: ColumnElement[Any], subquery: Select[Any] | CompoundSelect[Any]) -> None:
        if isinstance(subquery, Select):
            subquery = subquery.correlate(None)
        super().__init__(column, subquery.scalar_subquery())


@compiles(among)
def _as_in(element: among, compiler: Any, **options: Any) -> str:
    column, subquery = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN {subquery}"


@compiles(among, "postgresql")
def _as_array(element: among, compiler: Any, **options: Any) -> str:
    column, subquery = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY (ARRAY{subquery})"
