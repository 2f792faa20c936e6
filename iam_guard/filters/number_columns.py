"""Columns of numbers: integers, floating-point numbers, decimal numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from math import inf, isfinite
from typing import Any, ClassVar, Final

from sqlalchemy import ColumnElement, String, and_, cast, func, literal, or_
from sqlalchemy import types as sqltypes

from iam_guard.errors import NotFilterable
from iam_guard.evaluation.partial.formula import Atom, Compares, Formula, Matches, MatchesArn, OneOf
from iam_guard.filters.attributes import ADDRESSES, COMPARISONS, NEVER, NUMBERS, Attribute, Clause, choose, unreadable
from iam_guard.model.context import Given, Lazy

_INTEGERS: Final = range(-(2**63), 2**63)


@dataclass(frozen=True)
class IntegerAttribute(Attribute):
    """A column of integers. `is_row_id`: the only key of its table, which has no other values in SQLite."""

    kind: ClassVar[str] = "an integer"
    never: ClassVar[frozenset[str]] = ADDRESSES | {"Bool"}
    always: ClassVar[frozenset[str]] = NUMBERS
    is_row_id: bool = False

    def as_text(self, dialect: str) -> ColumnElement[str]:
        return cast(self.expression, String)

    def _bound_type(self) -> sqltypes.TypeEngine[Any]:
        return sqltypes.BigInteger()

    def _given(self, value: Any) -> Given | Lazy:
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        return value if is_integer else unreadable(self.name, "an integer")

    def readable(self, dialect: str) -> Clause | None:
        if self.is_row_id:
            return None
        if dialect != "sqlite":
            return super().readable(dialect)
        is_integer = func.typeof(self.expression) == "integer"  # a column of SQLite may hold other types
        return is_integer if self.absent == "never" else func.typeof(self.expression).in_(("integer", "null"))

    def _bound(self, text: str) -> int | None:
        try:
            value = int(text)
        except ValueError:
            return None
        return value if str(value) == text and value in _INTEGERS else None

    def _simplified(self, atom: Atom, dialect: str) -> Formula:
        match atom:
            case Compares(_, operator, operands, _) if operator in NUMBERS:
                return loosest(atom, [*map(Decimal, operands)])
            case Compares(name, "StringEqualsIgnoreCase", operands, wanted):
                return self.simplify(OneOf(name, frozenset(operands), wanted), dialect)
            case Matches(_, pattern, wanted):
                written = "".join(piece for piece in pattern if isinstance(piece, str))
                return atom if set(written) <= set("-0123456789") else not wanted
            case MatchesArn():
                return not atom.wanted
        return super()._simplified(atom, dialect)

    def _clause(self, atom: Atom, dialect: str) -> Clause:
        if isinstance(atom, Compares):
            return choose(self._compared(atom, dialect), atom.wanted, self)
        return super()._clause(atom, dialect)

    def _compared(self, atom: Compares, dialect: str) -> Clause:
        sign, bound = atom.operator, Decimal(atom.operands[0])
        if sign == "=":
            whole = [int(number) for number in map(Decimal, atom.operands) if number == number.to_integral_value()]
            whole = [value for value in whole if value in _INTEGERS]
            return self._member(whole, True, dialect) if whole else and_(self.expression.is_not(None), NEVER)
        floor = bound.to_integral_value(ROUND_FLOOR)
        below = int(floor) if sign == "<=" or bound != floor else int(floor) - 1  # values up to it are below
        if sign in ("<", "<="):
            if below < _INTEGERS[0]:
                return and_(self.expression.is_not(None), NEVER)
            return self.expression <= self._literal(min(below, _INTEGERS[-1]))
        above = int(floor) if sign == ">=" and bound == floor else int(floor) + 1
        if above > _INTEGERS[-1]:
            return and_(self.expression.is_not(None), NEVER)
        return self.expression >= self._literal(max(above, _INTEGERS[0]))


def loosest(atom: Compares, operands: list[Decimal]) -> Formula:
    """Return a comparison with the loosest operand (C-14), its operator as a sign."""
    sign = COMPARISONS[atom.operator.removeprefix("Numeric").removeprefix("Date")]
    kept = operands if sign == "=" else [max(operands) if sign in ("<", "<=") else min(operands)]
    return replace(atom, operator=sign, operands=tuple(map(str, kept)))


@dataclass(frozen=True)
class FloatAttribute(Attribute):
    """A column of floating-point numbers. A decision compares their shortest decimal form."""

    kind: ClassVar[str] = "a floating-point number"
    never: ClassVar[frozenset[str]] = ADDRESSES | {"Bool"}
    always: ClassVar[frozenset[str]] = NUMBERS

    def _given(self, value: Any) -> Given | Lazy:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
        return float(value) if is_number else unreadable(self.name, "a finite number")

    def readable(self, dialect: str) -> Clause | None:
        limit = 1.7976931348623157e308
        finite: Clause = self.expression.between(-limit, limit)
        if dialect == "sqlite":
            finite = and_(func.typeof(self.expression).in_(("real", "integer")), finite)
        return finite if self.absent == "never" else or_(self.expression.is_(None), finite)

    def _bound(self, text: str) -> float | None:
        raise NotFilterable(f"a comparison of texts on `{self.name}`, which is {self.kind}")

    def _simplified(self, atom: Atom, dialect: str) -> Formula:
        if isinstance(atom, Compares) and atom.operator in NUMBERS:
            return loosest(atom, [*map(Decimal, atom.operands)])
        return super()._simplified(atom, dialect)

    def _clause(self, atom: Atom, dialect: str) -> Clause:
        if not isinstance(atom, Compares):
            return super()._clause(atom, dialect)
        return choose(
            or_(*(self._compared(atom.operator, bound) for bound in map(Decimal, atom.operands))), atom.wanted, self
        )

    def _compared(self, sign: str, bound: Decimal) -> Clause:
        nearest = float(bound) if abs(bound) <= Decimal("1.7976931348623157e308") else inf if bound > 0 else -inf
        shown = Decimal(repr(nearest)) if isfinite(nearest) else bound
        if sign == "=":
            is_possible = isfinite(nearest) and shown == bound
            return self.expression == nearest if is_possible else and_(self.expression.is_not(None), NEVER)
        if sign in ("<", "<="):
            includes = shown < bound or (sign == "<=" and shown == bound)
            return self.expression <= nearest if includes else self.expression < nearest
        includes = shown > bound or (sign == ">=" and shown == bound)
        return self.expression >= nearest if includes else self.expression > nearest


@dataclass(frozen=True)
class DecimalAttribute(FloatAttribute):
    """A column of decimal numbers. SQLite stores these as floating-point numbers, so they are not filtered there."""

    kind: ClassVar[str] = "a decimal number"

    def _given(self, value: Any) -> Given | Lazy:
        is_finite = isinstance(value, Decimal) and value.is_finite()
        return value if is_finite else unreadable(self.name, "a finite number")

    def readable(self, dialect: str) -> Clause | None:
        if dialect == "sqlite":
            return super().readable(dialect)
        odd = [cast(literal(text, String), sqltypes.Numeric) for text in ("NaN", "Infinity", "-Infinity")]
        finite = self.expression.not_in(odd)
        return finite if self.absent == "never" else or_(self.expression.is_(None), finite)

    def _simplified(self, atom: Atom, dialect: str) -> Formula:
        if dialect == "sqlite":
            raise NotFilterable(f"`{self.name}` is a decimal number, which SQLite stores with a rounding error")
        return super()._simplified(atom, dialect)

    def _compared(self, sign: str, bound: Decimal) -> Clause:
        return self.expression.op(sign, is_comparison=True)(literal(bound, sqltypes.Numeric))
