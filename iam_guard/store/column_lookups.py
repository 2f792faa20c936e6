"""`among`: whether a column has one of the values that a subquery finds, as a look-up by index on every database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class among(FunctionElement[bool]):  # noqa: N801  it reads as an operator
    """`column IN (subquery)`.

    On PostgreSQL the values are an array, computed first. A planner that has no statistics yet makes a join of `IN`,
    takes both sides for big, and reads both tables whole; to an array it has nothing but the look-up by index.
    """

    inherit_cache = True
    # without a type: SQLAlchemy would compare a Boolean one with 1 on SQLite, and SQLite then uses no index

    def __init__(self, column: ColumnElement[Any], wanted: Select[Any] | CompoundSelect[Any]) -> None:
        if isinstance(wanted, Select):
            wanted = wanted.correlate(None)
        super().__init__(column, wanted.scalar_subquery())


@compiles(among)
def _as_in(element: among, compiler: Any, **options: Any) -> str:
    column, wanted = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN {wanted}"


@compiles(among, "postgresql")
def _as_array(element: among, compiler: Any, **options: Any) -> str:
    column, wanted = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY (ARRAY{wanted})"
