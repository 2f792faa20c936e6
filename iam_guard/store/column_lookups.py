"""`among`: `column IN (subquery)`, compiled so that every database uses an index."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


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
