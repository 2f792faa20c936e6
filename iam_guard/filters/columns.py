"""The columns of a model: their attribute in SQL by their type, and their value of a loaded object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from sqlalchemy import Column, ColumnElement, Table, inspect, select
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import object_session

from iam_guard.errors import ConfigurationError
from iam_guard.filters.attributes import Absent, Attribute, ChoiceAttribute
from iam_guard.filters.date_columns import DateAttribute, UuidAttribute
from iam_guard.filters.dialects import COMPILERS, SQLITE
from iam_guard.filters.number_columns import DecimalAttribute, FloatAttribute, IntegerAttribute
from iam_guard.filters.texts import TextAttribute

_TRUTH: Final = (("true", True), ("false", False))
_ABSENT: Final = get_args(Absent)


class AddressColumn(Column[str]):
    """A column of addresses, which are INET in PostgreSQL: its text as an ORM loads it."""

    inherit_cache = True


@compiles(AddressColumn, "postgresql")
def _compile(element: AddressColumn, compiler: Any, **options: Any) -> str:
    return f"abbrev({compiler.visit_column(element, **options)})"


@dataclass(frozen=True)
class ModelColumn:
    """An attribute, and how its value is read of a loaded object."""

    attribute: Attribute
    read: Callable[[Any], Any]


def expression_of(source: Any, place: str) -> ColumnElement[Any]:
    """Return the SQL expression of a model's attribute, a column or an expression."""
    element = source.__clause_element__() if hasattr(source, "__clause_element__") else source
    columns = getattr(getattr(source, "property", None), "columns", None)
    if columns:
        element = columns[0]  # without the annotations of the ORM
    if not isinstance(element, ColumnElement):
        raise ConfigurationError(f"expected a column or an SQL expression, got `{type(source).__name__}`", place=place)
    return element


def read_attribute(source: Any, place: str) -> Callable[[Any], Any]:
    """Return the function that reads the value of a loaded object: an instance, a row, or a mapping."""
    expression = expression_of(source, place)
    names = [
        name for name in (getattr(source, "key", None), getattr(expression, "name", None)) if isinstance(name, str)
    ]

    def read(item: Any) -> Any:
        values = getattr(item, "_mapping", item)
        for name in names:
            if isinstance(values, Mapping):
                if name in values:
                    return values[name]
            elif hasattr(item, name):
                return getattr(item, name)
        return _computed(expression, item, place)

    return read


def _computed(expression: ColumnElement[Any], item: Any, place: str) -> Any:
    """Return the value of an SQL expression for a loaded instance, as its session computes it."""
    state = inspect(item, raiseerr=False)
    session = None if state is None else object_session(item)
    if session is None or not state.has_identity:
        raise ConfigurationError(
            "expected an object with all columns of its resource type, or in a session", place=place
        )
    mapper = state.mapper
    key = [column == value for column, value in zip(mapper.primary_key, state.identity, strict=True)]
    return session.scalar(select(expression).select_from(mapper.persist_selectable).where(*key))


def attribute_of(name: str, source: Any, absent: Absent, place: str) -> Attribute:
    """Return the attribute of a column by its type. Raises `ConfigurationError` for a type that can't be compared."""
    expression = expression_of(source, place)
    if absent not in _ABSENT:
        raise ConfigurationError(f"expected one of {', '.join(_ABSENT)} in `absent`, got `{absent}`", place=place)
    attribute = _attribute_of(name, expression, expression.type, absent)
    variants = [
        _attribute_of(name, expression, expression.type.dialect_impl(dialect), absent) for dialect in COMPILERS.values()
    ]
    if attribute is None or {type(attribute)} != {*map(type, variants)}:
        message = f"expected text, a number, a boolean, a datetime or a UUID for `{name}`, got `{expression.type!r}`"
        raise ConfigurationError(message, place=place)
    if absent == "empty" and not isinstance(attribute, TextAttribute):
        raise ConfigurationError(f"expected text where the empty string is absent, got {attribute.kind}", place=place)
    return attribute


def _attribute_of(
    name: str, expression: ColumnElement[Any], type: sqltypes.TypeEngine[Any], absent: Absent
) -> Attribute | None:
    match type:
        case sqltypes.Enum():
            return _choice_of(name, expression, type, absent)
        case sqltypes.Boolean():
            return ChoiceAttribute(name, expression, absent, choices=_TRUTH)
        case sqltypes.Integer():
            return IntegerAttribute(name, expression, absent, is_row_id=_is_row_id(expression))
        case sqltypes.Float(asdecimal=False) if not _is_single(type):
            return FloatAttribute(name, expression, absent)
        case sqltypes.Numeric(asdecimal=True) if not isinstance(type, sqltypes.Float):
            return DecimalAttribute(name, expression, absent)
        case sqltypes.DateTime():
            return DateAttribute(name, expression, absent, is_aware=type.timezone)
        case sqltypes.Uuid(native_uuid=True):
            return UuidAttribute(name, expression, absent, as_uuid=type.as_uuid)
        case sqltypes.CHAR() | CITEXT():
            return None  # compare padded, or without letter case
        case sqltypes.String():
            return TextAttribute(name, expression, absent)
    return None


def _choice_of(name: str, expression: ColumnElement[Any], type: sqltypes.Enum, absent: Absent) -> Attribute | None:
    members = list(type.enum_class) if type.enum_class is not None else type.enums
    if not all(isinstance(member, str) for member in members):
        return None  # a member that is no string is no condition value
    return ChoiceAttribute(name, expression, absent, choices=tuple((str.__str__(member), member) for member in members))


def _is_single(type: sqltypes.Float[Any]) -> bool:
    """Return whether PostgreSQL stores four bytes, of which drivers make different numbers."""
    return isinstance(type, sqltypes.REAL) or (type.precision or 53) <= 24


def _is_row_id(expression: ColumnElement[Any]) -> bool:
    """Return whether SQLite stores the column as the row's number, which is never anything else."""
    if not isinstance(expression, Column) or not isinstance(expression.table, Table):
        return False
    is_integer = expression.type.compile(dialect=SQLITE) == "INTEGER"
    return is_integer and list(expression.table.primary_key.columns) == [expression]
