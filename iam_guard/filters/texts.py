"""Texts in SQL: equality byte by byte, and patterns as GLOB (SQLite) or LIKE (PostgreSQL).

SQLite's LIKE ignores the case of ASCII letters, its GLOB does not. Texts are compared with the collation BINARY there;
PostgreSQL compares them byte by byte in all collations but nondeterministic ones, which are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from sqlalchemy import ColumnElement, String, and_, case, collate, false, func, literal, literal_column, not_, or_
from sqlalchemy import types as sqltypes

from iam_guard.evaluation.matching.operators import OPERATORS
from iam_guard.evaluation.matching.pattern import ARN_FIELDS, Wildcard
from iam_guard.evaluation.partial.formula import Atom, Compares, Formula, MatchesArn, OneOf, Parses, Presence
from iam_guard.filters.addresses import is_address, is_inside
from iam_guard.filters.attributes import Attribute, Clause, bound_text, unreadable
from iam_guard.model.context import Given, Lazy

IN_FIELD: Final = frozenset({Wildcard.RUN_IN_FIELD, Wildcard.ONE_IN_FIELD})
_ESCAPE: Final = "!"
_MAX_GLOB: Final = 10_000
"""SQLite refuses patterns above 50,000 bytes; a text of a row in a pattern is limited to this many characters."""
_ANYTHING: Final = {"sqlite": "*", "postgresql": "%"}
_ONE: Final = {"sqlite": "?", "postgresql": "_"}
_SPECIAL: Final = {"sqlite": "[*?", "postgresql": "!%_"}


def is_storable(text: str, dialect: str) -> bool:
    """Return whether a column can hold a text: no lone surrogates, and in PostgreSQL no U+0000."""
    if "\0" in text and dialect == "postgresql":
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escaped(text: str, dialect: str) -> str:
    """Return a literal text as a pattern."""
    before, after = ("[", "]") if dialect == "sqlite" else (_ESCAPE, "")
    return "".join(f"{before}{char}{after}" if char in _SPECIAL[dialect] else char for char in text)


def escaped_value(value: ColumnElement[str], dialect: str) -> ColumnElement[str]:
    """Return the text of a row as a pattern that matches it alone."""
    for char in _SPECIAL[dialect]:
        value = func.replace(value, literal(char, String()), literal(escaped(char, dialect), String()), type_=String())
    return value


def like(subject: ColumnElement[str], pattern: ColumnElement[str], dialect: str) -> Clause:
    """Return whether a text matches a pattern of the dialect."""
    if dialect == "sqlite":
        return subject.op("GLOB", is_comparison=True, return_type=sqltypes.Boolean())(pattern)
    return subject.like(pattern, escape=_ESCAPE)


def concatenated(parts: Sequence[ColumnElement[str]]) -> ColumnElement[str]:
    """Return the concatenation of texts; NULL if one is NULL."""
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.op("||", return_type=String())(part)
    return joined


def pattern_clause(
    subject: Sequence[str | Attribute], pattern: Sequence[str | Wildcard | Attribute], wanted: bool, dialect: str
) -> Clause:
    """Return whether a text of literal parts and values matches a pattern of the same; false for an absent value.

    A value in the pattern must not be empty. If not `wanted`, return the negation, which is true for absent values.
    """
    subject_text = concatenated(
        [bound_text(part) if isinstance(part, str) else part.as_text(dialect) for part in subject]
    )
    values = [piece for piece in pattern if isinstance(piece, Attribute)]
    if any(isinstance(piece, Wildcard) for piece in pattern):
        clause = like(subject_text, _pattern_text(pattern, dialect), dialect)
        if dialect == "sqlite":
            limits = [func.length(value.as_text(dialect)) <= _MAX_GLOB for value in values]
            complete = [_ends_nowhere(part.as_text(dialect)) for part in subject if isinstance(part, Attribute)]
            clause = case((and_(*limits, *complete), clause), else_=None if wanted else literal_column("1"))
    else:
        parts = [
            bound_text(piece) if isinstance(piece, str) else piece.as_text(dialect)
            for piece in pattern
            if not isinstance(piece, Wildcard)
        ]
        clause = binary(subject_text, dialect) == concatenated(parts)
    filled = [binary(value.as_text(dialect), dialect) != bound_text("") for value in values]
    if wanted:
        return and_(*filled, clause) if filled else clause
    absent = [part.expression.is_(None) for part in subject if isinstance(part, Attribute)]
    blank = [
        or_(value.expression.is_(None), binary(value.as_text(dialect), dialect) == bound_text("")) for value in values
    ]
    return or_(*absent, *blank, not_(clause))


def _pattern_text(pattern: Sequence[str | Wildcard | Attribute], dialect: str) -> ColumnElement[str]:
    parts: list[ColumnElement[str]] = []
    written = ""
    for piece in pattern:
        if isinstance(piece, Attribute):
            if written:
                parts.append(bound_text(written))
            parts.append(escaped_value(piece.as_text(dialect), dialect))
            written = ""
        elif isinstance(piece, str):
            written += escaped(piece, dialect)
        else:
            written += _ANYTHING[dialect] if piece is Wildcard.RUN else _ONE[dialect]
    return concatenated([*parts, bound_text(written)] if written or not parts else parts)


def _ends_nowhere(text: ColumnElement[str]) -> Clause:
    """Return whether a text has no U+0000, which GLOB ends at."""
    return func.instr(text, literal_column("char(0)")) == literal_column("0")


def binary(value: ColumnElement[Any], dialect: str) -> ColumnElement[Any]:
    """Return a text with the collation that compares bytes."""
    return collate(value, "BINARY") if dialect == "sqlite" else value


@dataclass(frozen=True)
class TextAttribute(Attribute):
    """A column of texts, or the value of a tag."""

    kind: ClassVar[str] = "text"

    def given(self, value: Any) -> Given | Lazy:
        return super().given(None if value == "" and self.absent == "empty" else value)

    def _given(self, value: Any) -> Given | Lazy:
        return value if isinstance(value, str) else unreadable(self.name, "text")

    def readable(self, dialect: str) -> Clause | None:
        if dialect != "sqlite":
            return super().readable(dialect)
        is_text = func.typeof(self.expression) == literal_column("'text'")  # a column of SQLite may hold bytes
        return is_text if self.absent == "never" else or_(self.expression.is_(None), is_text)

    def as_text(self, dialect: str) -> ColumnElement[str]:
        return self.expression

    def _bound_type(self) -> sqltypes.TypeEngine[Any]:
        return String()

    def _compared_value(self, dialect: str) -> ColumnElement[Any]:
        return binary(self.expression, dialect)

    def _bound(self, text: str) -> str | None:
        return None if text == "" and self.absent == "empty" else text

    def _may_be_blank(self, atom: Presence) -> bool:
        return atom.or_blank

    def _presence(self, atom: Presence, dialect: str) -> Clause:
        if not atom.or_blank and self.absent != "empty":
            return super()._presence(atom, dialect)
        value = binary(self.expression, dialect)
        blank = value == bound_text("")
        if atom.wanted:
            return value != bound_text("")
        return blank if self.absent == "never" else or_(self.expression.is_(None), blank)

    def simplify(self, atom: Atom, dialect: str) -> Formula:
        if isinstance(atom, OneOf):
            storable = frozenset(value for value in atom.values if is_storable(value, dialect))
            atom = atom if len(storable) == len(atom.values) else replace(atom, values=storable)
        return super().simplify(atom, dialect)

    def _simplified(self, atom: Atom, dialect: str) -> Formula:
        match atom:
            case MatchesArn(_, pattern, wanted):
                texts = [piece for piece in pattern if isinstance(piece, str)]
                is_possible = sum(text.count(":") for text in texts) >= ARN_FIELDS - 1  # C-27
                return atom if is_possible and all(is_storable(text, dialect) for text in texts) else not wanted
            case Compares(_, "IpAddress", _, _) | Parses(_, "IpAddress" | "ArnEquals" | "ArnLike", _):
                return atom
        return super()._simplified(atom, dialect)

    def _clause(self, atom: Atom, dialect: str) -> Clause:
        match atom:
            case Parses(_, "IpAddress", wanted):
                return _known(is_address(self.expression, dialect), wanted)
            case Parses(_, _, wanted):
                colons = (Wildcard.RUN, *((":", Wildcard.RUN) * (ARN_FIELDS - 1)))
                return pattern_clause([self], colons, wanted, dialect)
            case Compares(_, operator, operands, wanted):
                blocks = [block for operand in operands if (block := OPERATORS[operator].operand(operand)) is not None]
                return _known(is_inside(self.expression, blocks, dialect), wanted)
        return super()._clause(atom, dialect)


@dataclass(frozen=True)
class AccountAttribute(TextAttribute):
    """The account of a resource: 12 digits, or the resource is not listed."""

    def readable(self, dialect: str) -> Clause | None:
        if dialect == "sqlite":
            digits = bound_text("[0-9]" * 12)
            return self.expression.op("GLOB", is_comparison=True, return_type=sqltypes.Boolean())(digits)
        return self.expression.regexp_match(bound_text("^[0-9]{12}$"))


def _known(clause: Clause, wanted: bool) -> Clause:
    """Return a clause that may be unknown, or its negation, which is true where it is unknown."""
    return clause if wanted else not_(func.coalesce(clause, false()))
