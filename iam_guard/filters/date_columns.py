"""Columns of datetimes and of UUIDs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Any, ClassVar, Final

from sqlalchemy import Boolean, ColumnElement, String, and_, cast, func, literal_column, or_, type_coerce

from iam_guard.evaluation.matching.operators import OPERATORS
from iam_guard.evaluation.partial.formula import Atom, Compares, Formula, Matches
from iam_guard.filters.attributes import (
    ADDRESSES,
    DATES,
    NEVER,
    NUMBERS,
    Attribute,
    Clause,
    bound_text,
    choose,
    unreadable,
)
from iam_guard.filters.number_columns import loosest
from iam_guard.filters.texts import concatenated
from iam_guard.model.context import Given, Lazy, scalar_text

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_LENGTHS: Final = (10, 19, 23, 26)
"""Lengths of the texts that are datetimes in SQLite: a day, and a time with a fraction of 0, 3 or 6 digits."""
_GROUPS: Final = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
"""Start and length of the five groups of a UUID in its 32 digits, which SQLite stores."""


@dataclass(frozen=True)
class DateAttribute(Attribute):
    """A column of datetimes, in UTC if without time zone. `is_aware`: with one."""

    kind: ClassVar[str] = "a datetime"
    never: ClassVar[frozenset[str]] = ADDRESSES | NUMBERS | {"Bool"}
    always: ClassVar[frozenset[str]] = DATES
    is_aware: bool = False

    def _given(self, value: Any) -> Given | Lazy:
        return value if isinstance(value, datetime) else unreadable(self.name, "a datetime")

    def readable(self, dialect: str) -> Clause | None:
        if dialect != "sqlite":
            return super().readable(dialect)
        day = self.expression.op("GLOB", return_type=Boolean())(literal_column(f"'{_DAY}*'"))
        known = and_(day, func.length(self.expression).in_(_LENGTHS))
        return known if self.absent == "never" else or_(self.expression.is_(None), known)

    def _compared_value(self, dialect: str) -> ColumnElement[Any]:
        """Return the text of SQLite with all digits, as SQLAlchemy writes it; `CURRENT_TIMESTAMP` has no fraction."""
        if dialect != "sqlite":
            return self.expression
        text = func.replace(type_coerce(self.expression, String()), "T", " ")
        completed = func.substr(text.op("||")(func.substr(" 00:00:00.000000", func.length(text) - 9)), 1, 26)
        return type_coerce(completed, self.expression.type)

    def _bound(self, text: str) -> datetime | None:
        try:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            return None
        is_canonical = moment.tzinfo is not None and scalar_text(moment, self.name) == text
        return self._stored(moment.astimezone(UTC)) if is_canonical else None

    def _stored(self, moment: datetime) -> datetime:
        return moment if self.is_aware else moment.replace(tzinfo=None)

    def _simplified(self, atom: Atom, dialect: str) -> Formula:
        if isinstance(atom, Compares) and atom.operator.startswith("Date"):
            return loosest(atom, [Decimal(OPERATORS[atom.operator].operand(text)) for text in atom.operands])
        return super()._simplified(atom, dialect)

    def _clause(self, atom: Atom, dialect: str) -> Clause:
        if not isinstance(atom, Compares):
            return super()._clause(atom, dialect)
        compared = or_(*(self._compared(atom.operator, Decimal(bound), dialect) for bound in atom.operands))
        return choose(compared, atom.wanted, self)

    def _compared(self, sign: str, seconds: Decimal, dialect: str) -> Clause:
        value = self._compared_value(dialect)
        never = and_(self.expression.is_not(None), NEVER)
        floor = (seconds * 1_000_000).to_integral_value(ROUND_FLOOR)
        is_exact = floor == seconds * 1_000_000
        try:
            moment = self._stored(_EPOCH + timedelta(microseconds=int(floor)))
        except OverflowError:  # years that no column can hold
            is_below = (seconds > 0) == (sign in ("<", "<="))
            return self.expression.is_not(None) if is_below and sign != "=" else never
        if sign == "=":
            return value == moment if is_exact else never
        if sign in ("<", "<="):
            return value < moment if sign == "<" and is_exact else value <= moment
        return value >= moment if sign == ">=" and is_exact else value > moment


@dataclass(frozen=True)
class UuidAttribute(Attribute):
    """A column of UUIDs."""

    kind: ClassVar[str] = "a UUID"
    never: ClassVar[frozenset[str]] = ADDRESSES | NUMBERS | DATES | {"Bool", "BinaryEquals"}
    as_uuid: bool = True

    def readable(self, dialect: str) -> Clause | None:
        if dialect != "sqlite":
            return super().readable(dialect)
        is_hexadecimal = self.expression.op("GLOB", return_type=Boolean())(bound_text("[0-9a-f]" * 32))
        return is_hexadecimal if self.absent == "never" else or_(self.expression.is_(None), is_hexadecimal)

    def as_text(self, dialect: str) -> ColumnElement[str]:
        if dialect != "sqlite":
            return cast(self.expression, String)
        parts = [func.substr(self.expression, start, length, type_=String()) for start, length in _GROUPS]
        hyphen = bound_text("-")
        return concatenated([parts[0], *(piece for part in parts[1:] for piece in (hyphen, part))])

    def _given(self, value: Any) -> Given | Lazy:
        return str(value)

    def _bound(self, text: str) -> Any:
        try:
            value = uuid.UUID(text)
        except ValueError:
            return None
        return (value if self.as_uuid else text) if str(value) == text else None

    def _simplified(self, atom: Atom, dialect: str) -> Formula:
        return atom if isinstance(atom, Matches) else super()._simplified(atom, dialect)
