"""A formula as a condition of a query: atoms are rendered by the attributes that they are about.

Everything above the atoms is AND and OR, so an atom that is unknown where it should be false changes nothing: WHERE
keeps the rows for which the whole is true.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from sqlalchemy import FromClause, Select, and_, column, exists, false, func, literal_column, not_, or_, select, true
from sqlalchemy import table as table_clause

from iam_guard.errors import NotFilterable
from iam_guard.evaluation.matching.pattern import Wildcard
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.partial.formula import (
    AllOf,
    AnyOf,
    Atom,
    Attached,
    Formula,
    Matches,
    MatchesArn,
    Open,
    Readable,
    Text,
    TextPiece,
    all_of,
    atoms_of,
    mapped,
    names_in,
)
from iam_guard.evaluation.partial.open_decision import OpenDecision, OpenResult
from iam_guard.evaluation.partial.open_request import OpenRequest
from iam_guard.evaluation.partial.text_matching import ACCOUNT
from iam_guard.filters.arn_fields import arn_clause
from iam_guard.filters.attributes import Attribute, Clause, bound_text
from iam_guard.filters.hints import choice_clause, implied_choice
from iam_guard.filters.tags import TAG, JsonTags, TagAttribute, TagTable, complete_tags, read_tags, tag_attribute
from iam_guard.filters.texts import IN_FIELD, TextAttribute, concatenated, is_storable, pattern_clause
from iam_guard.forking import fork_safe_lock

K = TypeVar("K")
V = TypeVar("V")
_MAX_CLAUSES: Final = 20_000
_MAX_HINTS: Final = 256
_MAX_PARTS: Final = 200


@dataclass(frozen=True, eq=False)
class Columns:
    """The attributes of a resource type in queries from one table, for one dialect. Safe to share between threads."""

    attributes: Mapping[str, Attribute]
    tags: JsonTags | TagTable | None
    table: FromClause
    dialect: str
    statements: dict[tuple[CompiledStatement, Text], OpenResult] = field(default_factory=dict)
    """Formulas of statements that depend on nothing but the resource, with the ARN that they are about."""
    _clauses: dict[Atom, Clause] = field(default_factory=dict)
    _simplified: dict[Atom, Formula] = field(default_factory=dict)
    _hints: dict[tuple[tuple[str, frozenset[str]], ...], Clause | None] = field(default_factory=dict)
    _tags: dict[str, TagAttribute] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    """Tag, as condition key in lower case -> its number in the query."""
    _lock: threading.Lock = field(default_factory=fork_safe_lock)

    def of_alias(
        self, table: FromClause, attributes: Mapping[str, Attribute], tags: JsonTags | TagTable | None
    ) -> Columns:
        """Return the attributes in queries from an alias of the table, whose formulas are the same."""
        return replace(self, table=table, attributes=attributes, tags=tags, _clauses={}, _hints={})

    def decision(
        self, request: OpenRequest, context: Collection[str] | None, *, is_superset: bool = False
    ) -> OpenDecision:
        """Return the decision of a request about any resource; `context` are the keys that are given by hand."""
        results = self.statements if request.is_usual(context) else {}
        return OpenDecision(request, self.simplified, is_superset, results)

    def readable_parameters(self) -> list[Formula]:
        """Return whether a resource has each parameter of its ARN but the account."""
        names = [name for name in self.attributes if name.startswith("{") and name != ACCOUNT.name]
        return [self.simplify(Readable(name)) for name in names]

    def simplify(self, atom: Atom) -> Formula:
        """Return an atom that can be rendered, or a constant. Raises `NotFilterable`."""
        return _cached(self._simplified, atom, self._simplified_atom, _MAX_CLAUSES)

    def _simplified_atom(self, atom: Atom) -> Formula:
        for name in names_in(atom):
            self._attribute(name)
        if isinstance(atom, Matches):
            return self._simplified_match(atom)
        if isinstance(atom, Attached):
            self._require_texts(names_in(atom))
            return atom
        if isinstance(atom, MatchesArn):
            self._require_texts(names_in(atom)[1:])
        return self._attribute(names_in(atom)[0]).simplify(atom, self.dialect)

    def _require_texts(self, names: Iterable[str]) -> None:
        """Raise `NotFilterable` for a value whose text a query can't compute as a decision does."""
        for name in names:
            self._attribute(name).as_text(self.dialect)

    def simplified(self, formula: Formula) -> Formula:
        """Return a formula of simplified atoms."""
        return mapped(formula, self.simplify)

    def _attribute(self, name: str) -> Attribute:
        attribute = self.attributes.get(name)
        if attribute is not None:
            return attribute
        if self.tags is not None and name.startswith(TAG):
            return _cached(self._tags, name, self._tag, _MAX_CLAUSES)
        raise NotFilterable(f"no column gives `{name}`")

    def _simplified_match(self, atom: Matches) -> Formula:
        texts = [piece for piece in (*atom.subject, *atom.pattern) if isinstance(piece, str)]
        if not all(is_storable(text, self.dialect) for text in texts):
            return not atom.wanted
        if any(piece in IN_FIELD for piece in atom.pattern):
            raise NotFilterable("a wildcard of the first five fields of an ARN, behind one that matches several fields")
        values = [*map(self._attribute, names_in(atom))]
        if len(values) == len(atom.subject) == 1 and isinstance(atom.subject[0], Open):
            attribute = values[0]
            return atom if isinstance(attribute, TextAttribute) else attribute.simplify(atom, self.dialect)
        self._require_texts(names_in(atom))
        return atom

    def condition(self, formula: Formula) -> Clause:
        """Return the condition of the rows for which a formula is true."""
        if isinstance(formula, bool):
            return true() if formula else false()
        parts = formula.parts if isinstance(formula, AllOf) else (formula,)
        tags = [_tags_of(part) for part in parts]
        clauses = [self._clause(part) for part, names in zip(parts, tags, strict=True) if not names]
        tagged = [part for part, names in zip(parts, tags, strict=True) if names]
        if tagged:
            clauses.append(self._with_tags(tagged, sorted(set().union(*tags))))
        return _joined(and_, clauses)

    def _with_tags(self, parts: Sequence[Formula], names: Sequence[str]) -> Clause:
        """Return the condition of formulas about tags: whether the row of a resource's tags is one that meets them."""
        if self.tags is None:
            raise RuntimeError("expected tags")
        found = read_tags(self.tags, tuple((name, self._number(name)) for name in names), self.table, self.dialect)
        choice = implied_choice(all_of(parts))
        hint = None if choice is None else _cached(self._hints, tuple(choice.items()), self._hint, _MAX_HINTS)
        condition = _joined(and_, [*complete_tags(self.tags, self.dialect), *map(self._clause, parts)])
        met = exists(select(literal_column("1")).select_from(found).where(condition).correlate(self.table))
        return met if hint is None else and_(hint, met)

    def _hint(self, choice: tuple[tuple[str, frozenset[str]], ...]) -> Clause | None:
        tags = self.tags
        return None if tags is None else choice_clause(dict(choice), self.attributes, tags, self.table, self.dialect)

    def _tag(self, name: str) -> TagAttribute:
        return tag_attribute(name, self._number(name))

    def _number(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            with self._lock:  # two names must never have one number
                number = self._numbers.setdefault(name, len(self._numbers))
        return number

    def _clause(self, formula: Formula) -> Clause:
        if isinstance(formula, AllOf):
            return _joined(and_, [*map(self._clause, formula.parts)])
        if isinstance(formula, AnyOf):
            return _joined(or_, [*map(self._clause, formula.parts)])
        if isinstance(formula, bool):
            return true() if formula else false()
        return _cached(self._clauses, formula, self._atom, _MAX_CLAUSES)

    def _atom(self, atom: Atom) -> Clause:
        def resolve(piece: TextPiece) -> str | Wildcard | Attribute:
            return self._attribute(piece.name) if isinstance(piece, Open) else piece

        if isinstance(atom, Matches):
            subject = [self._attribute(piece.name) if isinstance(piece, Open) else str(piece) for piece in atom.subject]
            return pattern_clause(subject, [*map(resolve, atom.pattern)], atom.wanted, self.dialect)
        if isinstance(atom, Attached):
            return self._attached(atom)
        if isinstance(atom, MatchesArn):
            pattern = [*map(resolve, atom.pattern)]
            return arn_clause(self._attribute(atom.name), pattern, atom.wanted, self.dialect)
        return self._attribute(atom.name).clause(atom, self.dialect)

    def _attached(self, atom: Attached) -> Clause:
        rows = table_clause("resource_statements", column("arn"), column("digest"), schema=atom.schema)
        arn = concatenated(
            [
                self._attribute(piece.name).as_text(self.dialect) if isinstance(piece, Open) else bound_text(str(piece))
                for piece in atom.subject
            ]
        )
        digests = [bound_text(digest) for digest in atom.digests]
        found: Select[Any] = select(literal_column("1")).select_from(rows)
        found = found.where(rows.c.arn == arn, rows.c.digest.in_(digests))
        clause = exists(found.correlate(self.table))
        return clause if atom.wanted else not_(clause)


def _cached(cache: dict[K, V], key: K, make: Callable[[K], V], limit: int) -> V:
    """Return what `make` returns for a key, from a cache that other threads may clear meanwhile."""
    found = cache.get(key)
    if found is None:
        if len(cache) >= limit:
            cache.clear()
        found = cache[key] = make(key)
    return found


def _joined(join: Callable[..., Clause], parts: list[Clause]) -> Clause:
    """Join conditions, many of them in groups that are values: SQLite limits the depth of an expression to 1,000."""
    while len(parts) > _MAX_PARTS:
        groups = [parts[start : start + _MAX_PARTS] for start in range(0, len(parts), _MAX_PARTS)]
        parts = [func.coalesce(join(*group), false()) for group in groups]
    return join(*parts)


def _tags_of(formula: Formula) -> list[str]:
    return [name for atom in atoms_of(formula) for name in names_in(atom) if name.startswith(TAG)]
