"""The values of a resource that a query can compare: columns, by the type of their values.

An attribute gives one value in two ways, which must agree: `given` for a decision about a loaded object, and `clause`
for the condition of a query. `simplify` replaces an atom about the attribute by the forms that `clause` translates,
or by a constant: a text that no column can hold is equal to none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Literal, TypeAlias

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    String,
    all_,
    any_,
    bindparam,
    case,
    literal,
    literal_column,
    not_,
    or_,
    true,
    type_coerce,
)
from sqlalchemy import types as sqltypes

from iam_guard.errors import ContextError, NotFilterable
from iam_guard.evaluation.matching.operators import OPERATORS, compile_operands
from iam_guard.evaluation.matching.pattern import ARN_FIELDS, Pattern, match_pattern
from iam_guard.evaluation.partial.formula import (
    Atom,
    Compares,
    Formula,
    Matches,
    MatchesArn,
    OneOf,
    Open,
    Parses,
    Presence,
    Readable,
    Text,
)
from iam_guard.model.context import Given, Lazy
from iam_guard.policy.document import LATEST

Absent: TypeAlias = Literal["null", "empty", "never"]
"""What counts as an absent key: NULL, NULL or the empty string, or nothing, because the column is never NULL."""
Clause: TypeAlias = ColumnElement[bool]

NEVER: Final = literal_column("1") == literal_column("0")
COMPARISONS: Final = {
    "Equals": "=",
    "LessThan": "<",
    "LessThanEquals": "<=",
    "GreaterThan": ">",
    "GreaterThanEquals": ">=",
}
NUMBERS: Final = frozenset(f"Numeric{name}" for name in COMPARISONS)
DATES: Final = frozenset(f"Date{name}" for name in COMPARISONS)
ADDRESSES: Final = frozenset({"IpAddress", "ArnEquals", "ArnLike"})


@dataclass(frozen=True)
class Attribute(ABC):
    """A value of each resource. `name` is its condition key in lower case, or `{name}` for a part of the ARN.

    `expression` is its value in SQL, None outside of a query.
    """

    kind: ClassVar[str] = "a value"
    never: ClassVar[frozenset[str]] = frozenset()
    """Operators whose form no value of the kind has, so that they are never met."""
    always: ClassVar[frozenset[str]] = frozenset()
    """Operators whose form every value of the kind has."""
    name: str
    expression: ColumnElement[Any]
    absent: Absent = "null"

    def given(self, value: Any) -> Given | Lazy:
        """Return the condition value of a loaded value: None if absent, a function that raises if it has none."""
        if value is None:
            return unreadable(self.name, "a value, since it is never absent") if self.absent == "never" else None
        return self._given(value)

    def _given(self, value: Any) -> Given | Lazy:
        return value  # type: ignore[no-any-return]

    def readable(self, dialect: str) -> Clause | None:
        """Return the condition of rows whose value can be read; None if all can."""
        is_nullable = getattr(self.expression, "nullable", True)
        return self.expression.is_not(None) if self.absent == "never" and is_nullable else None

    def simplify(self, atom: Atom, dialect: str) -> Formula:
        """Return an atom that can be translated, or a constant. Raises `NotFilterable`."""
        if isinstance(atom, Readable):
            return True if self.readable(dialect) is None else atom
        if isinstance(atom, Presence):
            return atom.wanted if self.absent == "never" and not self._may_be_blank(atom) else atom
        if isinstance(atom, OneOf):
            values = frozenset(value for value in atom.values if self._bound(value) is not None)
            if not values:
                return not atom.wanted
            return atom if len(values) == len(atom.values) else replace(atom, values=values)
        return self._simplified(atom, dialect)

    def clause(self, atom: Atom, dialect: str) -> Clause:
        """Return the condition of rows for which a simplified atom is true."""
        if isinstance(atom, Readable):
            readable = self.readable(dialect)
            return true() if readable is None else readable
        if isinstance(atom, Presence):
            return self._presence(atom, dialect)
        if isinstance(atom, OneOf):
            values = [self._bound(value) for value in sorted(atom.values)]
            return self._member(values, atom.wanted, dialect)
        return self._clause(atom, dialect)

    def as_text(self, dialect: str) -> ColumnElement[str]:
        """Return the value as the text that a decision compares. Raises `NotFilterable` if a database has another."""
        raise NotFilterable(f"`{self.name}`, which is {self.kind}, as a part of a text")

    def _may_be_blank(self, atom: Presence) -> bool:
        return False

    def _presence(self, atom: Presence, dialect: str) -> Clause:
        return self.expression.is_not(None) if atom.wanted else self.expression.is_(None)

    def _member(self, values: list[Any], wanted: bool, dialect: str) -> Clause:
        compared = self._compared_value(dialect)
        if len(values) == 1:
            value = self._literal(values[0])
            clause = compared == value if wanted else compared != value
        else:
            clause = one_of(compared, values, self._bound_type(), wanted, dialect)
        return clause if wanted or self.absent == "never" else or_(self.expression.is_(None), clause)

    def _compared_value(self, dialect: str) -> ColumnElement[Any]:
        return self.expression

    def _bound_type(self) -> sqltypes.TypeEngine[Any]:
        """Return the type of bound values: one that does not shorten or round them."""
        return self.expression.type

    def _literal(self, value: Any) -> ColumnElement[Any]:
        return literal(value, self._bound_type())

    @abstractmethod
    def _bound(self, text: str) -> Any:
        """Return the value whose text is this one, None if no row can have it."""

    def _simplified(self, atom: Atom, dialect: str) -> Formula:
        operator = getattr(atom, "operator", "StringLike" if isinstance(atom, Matches) else "ArnLike")
        if operator in self.never and not isinstance(atom, (Matches, Readable)):
            return not atom.wanted
        if isinstance(atom, Parses) and operator in self.always:
            return self.simplify(Presence(self.name, atom.wanted), dialect)
        raise NotFilterable(f"`{operator}` on `{self.name}`, which is {self.kind}")

    def _clause(self, atom: Atom, dialect: str) -> Clause:
        raise NotFilterable(f"no translation of {type(atom).__name__}")


def one_of(
    value: ColumnElement[Any], values: list[Any], type: sqltypes.TypeEngine[Any], wanted: bool, dialect: str
) -> Clause:
    """Return whether a value is one of several, or none of them. PostgreSQL gets them as one parameter."""
    if dialect == "postgresql":
        array = literal(values, ARRAY(type))
        return value == any_(array) if wanted else value != all_(array)
    listed = bindparam(None, values, type, expanding=True)
    return value.in_(listed) if wanted else value.not_in(listed)


def bound_text(text: str) -> ColumnElement[str]:
    """Return a text as a parameter, of a type without length, which a database would shorten it to."""
    return literal(text, String())


def unreadable(name: str, expected: str) -> Lazy:
    def read() -> Given:
        raise ContextError(f"expected {expected}", place=name)

    return read


def choose(clause: Clause, wanted: bool, attribute: Attribute) -> Clause:
    """Return a clause that is unknown for NULL, or its negation, which is true for NULL."""
    return clause if wanted else or_(attribute.expression.is_(None), not_(clause))


# --- values of a few texts ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ChoiceAttribute(Attribute):
    """A boolean or an enumeration: every operator is evaluated now, for each value. `choices`: text -> value."""

    kind: ClassVar[str] = "a choice"
    choices: tuple[tuple[str, Any], ...] = ()

    def _member(self, values: list[Any], wanted: bool, dialect: str) -> Clause:
        if dialect != "sqlite" or not isinstance(values[0], bool):
            return super()._member(values, wanted, "")  # few values: no array of an enumeration
        number: ColumnElement[int] = type_coerce(self.expression, sqltypes.Integer())  # a value but 0 is true
        chosen = [number != 0 if value else number == 0 for value in values]
        return choose(or_(*chosen), wanted, self)

    def _bound(self, text: str) -> Any:
        return next((value for choice, value in self.choices if choice == text), None)

    def _simplified(self, atom: Atom, dialect: str) -> Formula:
        met = frozenset(text for text, _ in self.choices if _holds(atom, text))
        wanted = getattr(atom, "wanted", True)
        return self.simplify(OneOf(self.name, met, wanted), dialect)

    def as_text(self, dialect: str) -> ColumnElement[str]:
        return case(*((self._member([value], True, dialect), text) for text, value in self.choices))

    def _given(self, value: Any) -> Given | Lazy:
        for text, choice in self.choices:
            if choice == value:
                return text
        return unreadable(self.name, "one of the values of the column")


def _has_open(pattern: Text) -> bool:
    return any(isinstance(piece, Open) for piece in pattern)


def _closed(pattern: Text) -> Pattern:
    return tuple(piece for piece in pattern if not isinstance(piece, Open))


def _holds(atom: Atom, text: str) -> bool:
    """Return whether an atom that is wanted would be true for a text."""
    match atom:
        case Compares(_, operator, operands, _):
            test = compile_operands(OPERATORS[operator], operands, LATEST).fixed
            return test is not None and test(text)
        case Parses(_, operator, _):
            return OPERATORS[operator].value(text) is not None
        case Matches(subject, pattern, _) if len(subject) == 1 and not _has_open(pattern):
            return match_pattern(_closed(pattern), text)
        case MatchesArn(_, pattern, _) if not _has_open(pattern):
            return text.count(":") >= ARN_FIELDS - 1 and match_pattern(_closed(pattern), text)
    raise NotFilterable("a comparison of two values of the resource, one of which is a choice")
