"""A condition that is compiled for the database that its statement is executed on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Boolean, ColumnElement, Dialect, null
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.visitors import InternalTraversal

from iam_guard.errors import NotFilterable
from iam_guard.filters.attributes import Clause

SQLITE: Final = SQLiteDialect()
POSTGRESQL: Final = PGDialect()  # type: ignore[no-untyped-call]
COMPILERS: Final[Mapping[str, Dialect]] = {"sqlite": SQLITE, "postgresql": POSTGRESQL}
DIALECTS: Final = (*COMPILERS,)
"""The names of the dialects that lists are filtered on."""


class DialectCondition(ColumnElement[bool]):
    """A condition in a form for each dialect. Compiling one that can't be translated raises its `NotFilterable`."""

    __visit_name__ = "dialect_condition"
    _traverse_internals = [  # noqa: RUF012  SQLAlchemy reads it for its cache of compiled statements
        ("sqlite", InternalTraversal.dp_clauseelement),
        ("postgresql", InternalTraversal.dp_clauseelement),
    ]
    inherit_cache = None

    def __init__(self, forms: Mapping[str, Clause | NotFilterable]) -> None:
        self.type = Boolean()
        self.refusals = {name: form for name, form in forms.items() if isinstance(form, NotFilterable)}
        self.sqlite, self.postgresql = (_form(forms[name]) for name in DIALECTS)

    def self_group(self, against: Any = None) -> DialectCondition:
        """Return the condition itself: it has parentheses, and is no number to be compared with 1."""
        return self


def _form(form: Clause | NotFilterable) -> ColumnElement[Any]:
    """Return a form, for one that can't be translated a clause that no other form is: a compiled one is cached."""
    return null() if isinstance(form, NotFilterable) else form


@compiles(DialectCondition)
def _compile(element: DialectCondition, compiler: Any, **options: Any) -> str:
    name = compiler.dialect.name
    if name not in DIALECTS:
        raise NotFilterable(f"lists of `{name}` are not filtered, only those of {' and '.join(DIALECTS)}")
    if name in element.refusals:
        raise element.refusals[name]
    return f"({compiler.process(getattr(element, name), **options)})"
