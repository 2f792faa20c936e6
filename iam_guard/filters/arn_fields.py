"""Match a text column with an ARN pattern, field by field (rules C-25, C-27).

A wildcard of the first five fields matches no colon, which neither GLOB nor LIKE can say: the fields are cut out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, String, and_, case, false, func, not_, or_

from iam_guard.evaluation.matching.pattern import ARN_FIELDS, Wildcard
from iam_guard.filters.attributes import Attribute, Clause, bound_text
from iam_guard.filters.texts import TextAttribute, binary, pattern_clause

_Pieces: TypeAlias = list[str | Wildcard | Attribute]


def arn_clause(value: Attribute, pattern: Sequence[str | Wildcard | Attribute], wanted: bool, dialect: str) -> Clause:
    """Return whether a text is an ARN that matches; if not `wanted`, the negation, which is true for absent values."""
    *early, last = _fields(pattern)
    clauses: list[Clause] = []
    rest: ColumnElement[Any] = value.expression
    literal = ""
    for field in early:
        if all(isinstance(piece, str) for piece in field):
            literal += "".join(map(str, field)) + ":"
            continue
        if literal:
            clauses.append(_matches(value, rest, [literal, Wildcard.RUN], dialect))
            rest, literal = func.substr(rest, len(literal) + 1, type_=String()), ""
        colon = func.instr(rest, ":") if dialect == "sqlite" else func.strpos(rest, ":")
        if field == [Wildcard.RUN_IN_FIELD]:
            clauses.append(colon > 0)
        else:
            content = func.substr(rest, 1, colon - 1, type_=String())
            free = [_FREE.get(piece, piece) if isinstance(piece, Wildcard) else piece for piece in field]
            clauses.append(case((colon > 0, _matches(value, content, free, dialect)), else_=false()))
        rest = func.substr(rest, colon + 1, type_=String())
    clauses.append(_matches(value, rest, [literal, *last] if literal else last, dialect))
    matched = and_(*clauses)
    if wanted:
        return matched
    blank = [
        or_(piece.expression.is_(None), binary(piece.as_text(dialect), dialect) == bound_text(""))
        for piece in last
        if isinstance(piece, Attribute)
    ]
    return or_(value.expression.is_(None), *blank, not_(matched))


_FREE = {Wildcard.RUN_IN_FIELD: Wildcard.RUN, Wildcard.ONE_IN_FIELD: Wildcard.ONE}


def _matches(value: Attribute, text: ColumnElement[Any], pieces: _Pieces, dialect: str) -> Clause:
    part = TextAttribute(value.name, text)
    return pattern_clause([part], _joined(pieces), True, dialect)


def _joined(pieces: _Pieces) -> _Pieces:
    """Join adjacent literal texts."""
    joined: _Pieces = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(before := joined[-1], str):
            joined[-1] = before + piece
        else:
            joined.append(piece)
    return joined


def _fields(pattern: Sequence[str | Wildcard | Attribute]) -> list[_Pieces]:
    """Split a pattern at its first five colons."""
    fields: list[_Pieces] = [[]]
    for piece in pattern:
        if not isinstance(piece, str):
            fields[-1].append(piece)
            continue
        first, *others = piece.split(":", ARN_FIELDS - len(fields))
        if first:
            fields[-1].append(first)
        fields.extend([other] if other else [] for other in others)
    return fields
