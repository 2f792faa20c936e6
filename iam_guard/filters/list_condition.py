"""The condition of a list as SQL text, for a library that executes statements of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Select, Table, literal_column, select, true
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine import Dialect

from iam_guard.errors import NotFilterable
from iam_guard.filters.attributes import Clause
from iam_guard.filters.date_columns import DateAttribute
from iam_guard.filters.dialects import DIALECTS
from iam_guard.filters.resource_type import ResourceMapping

_DIALECTS: Final[dict[str, Dialect]] = {
    "sqlite": SQLiteDialect(paramstyle="format"),
    "postgresql": PGDialect_psycopg(paramstyle="format"),  # type: ignore[no-untyped-call]
}
_CAST: Final = re.compile(r"(?<!%)%s::")
"""A parameter before a cast, which binds closer than the sign of a number that a driver writes into the statement."""


@dataclass(frozen=True, eq=False)
class ListCondition:
    """The condition of the rows of a resource type that a list shows; None for all rows. NULL means false."""

    clause: Clause | None
    resource_type: ResourceMapping

    @property
    def compares_dates(self) -> bool:
        """Whether resources have datetimes, which are stored in UTC."""
        columns = self.resource_type.columns(DIALECTS[0], self.resource_type.table)
        return any(isinstance(attribute, DateAttribute) for attribute in columns.attributes.values())

    def sql(self, dialect: str, alias: str) -> tuple[str, list[Any]]:
        """Return the condition with `%s` for each parameter, `%%` for a percent sign, and its parameters.

        `alias` is the quoted name of the resources' table in the statement. Raises `NotFilterable`.
        """
        table = self.resource_type.table
        text, parameters = _compiled(self.clause, table, dialect)
        named = _DIALECTS[dialect].identifier_preparer.format_table(table)
        return text.replace(f"{named}.", f"{alias}."), list(parameters)


@lru_cache(maxsize=256)
def _compiled(clause: Clause | None, table: Table, dialect: str) -> tuple[str, tuple[Any, ...]]:
    if dialect not in _DIALECTS:
        raise NotFilterable(f"lists of `{dialect}` are not filtered, only those of {' and '.join(DIALECTS)}")
    query: Select[Any] = select(literal_column("1")).select_from(table).where(true() if clause is None else clause)
    compiled: Any = query.compile(dialect=_DIALECTS[dialect])
    state = compiled.construct_expanded_state()  # with a parameter for each value of a list
    values = [_bound(compiled, state, name, _DIALECTS[dialect]) for name in state.positiontup]
    text = state.statement.partition("\nWHERE ")[2]
    return _CAST.sub("(%s)::", text), tuple(values)


def _bound(compiled: Any, state: Any, name: str, dialect: Dialect) -> Any:
    """Return the value of a parameter as the database's driver takes it."""
    value = state.parameters[name]
    process = state.processors.get(name)
    if process is None and name in compiled.binds:
        process = compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)
    return value if process is None else process(value)
