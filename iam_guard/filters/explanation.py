"""What a filter is made of: the SQL, the statement behind each part, and what no index can answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, literal_column, select

from iam_guard.errors import NotFilterable
from iam_guard.evaluation.matching.pattern import Wildcard
from iam_guard.evaluation.partial.formula import Atom, Formula, Matches, MatchesArn, Open, atoms_of, names_in
from iam_guard.evaluation.partial.open_decision import StatementFormula
from iam_guard.filters.attributes import Clause
from iam_guard.filters.dialects import COMPILERS
from iam_guard.filters.rendering import Columns
from iam_guard.filters.tags import TAG, JsonTags, is_jsonb


@dataclass(frozen=True, slots=True)
class FilterPart:
    """A statement about the action, and the condition of the rows that it allows, or that it does not deny.

    `condition` is `true` or `false` if the statement does not depend on the row.
    """

    policy: str
    statement: int
    sid: str | None
    effect: str
    condition: str
    notes: tuple[str, ...]
    """Why an index cannot answer a part of the condition."""


@dataclass(frozen=True, slots=True)
class FilterExplanation:
    """A filter for one dialect. `sql` is the whole condition, with placeholders for `parameters`.

    `refusals` are the statements that can't be translated; the list is decided again in memory if there are any.
    """

    sql: str
    parameters: Mapping[str, Any]
    parts: tuple[FilterPart, ...]
    refusals: tuple[NotFilterable, ...] = ()

    def __str__(self) -> str:
        lines = [f"WHERE {self.sql}"]
        for part in self.parts:
            name = f" ({part.sid})" if part.sid else ""
            lines.append(f"{part.effect} in statement {part.statement}{name} of {part.policy}: {part.condition}")
            lines += [f"  not indexable: {note}" for note in part.notes]
        return "\n".join(lines)


def explain_filter(
    formula: Formula,
    statements: Iterable[StatementFormula],
    columns: Columns,
    refusals: Sequence[NotFilterable] = (),
) -> FilterExplanation:
    """Return the explanation of a filter in the dialect of its columns."""
    sql, parameters = _compiled(columns.condition(formula), columns)
    parts = tuple(
        FilterPart(
            part.policy.ref.name,
            part.statement.index,
            part.statement.sid,
            part.statement.effect.value,
            _compiled(columns.condition(part.formula), columns)[0],
            tuple(dict.fromkeys(_notes(part.formula, columns))),
        )
        for part in statements
    )
    return FilterExplanation(sql, parameters, parts, tuple(refusals))


def _compiled(clause: Clause, columns: Columns) -> tuple[str, Mapping[str, Any]]:
    """Return a condition as it is in a query from the table, and its parameters."""
    query: Select[Any] = select(literal_column("1")).select_from(columns.table).where(clause)
    compiled = query.compile(dialect=COMPILERS[columns.dialect], compile_kwargs={"render_postcompile": True})
    return str(compiled).partition("WHERE ")[2], dict(compiled.params)


def _notes(formula: Formula, columns: Columns) -> Iterator[str]:
    for atom in atoms_of(formula):
        note = _note(atom, columns)
        if note:
            yield note


def _note(atom: Atom, columns: Columns) -> str | None:
    """Return why no index helps to find the rows for which an atom is true; None if one can."""
    name = names_in(atom)[0]
    if not getattr(atom, "wanted", True):
        return f"`{name}` is excluded by a Deny or a negated operator"
    if isinstance(atom, (Matches, MatchesArn)):
        if isinstance(atom, Matches) and len(atom.subject) > 1:
            return f"`{name}` is joined with other columns"
        if any(isinstance(piece, Open) for piece in atom.pattern):
            return f"`{name}` is compared with another value of the row"
        if isinstance(atom.pattern[0], Wildcard):
            return f"`{name}` is matched with a pattern that begins with a wildcard"
    is_json = isinstance(columns.tags, JsonTags) and name.startswith(TAG)
    if is_json and not (columns.dialect == "postgresql" and is_jsonb(columns.tags.column)):  # type: ignore[union-attr]
        return f"`{name}` is in a JSON column; only those of type JSONB on PostgreSQL can be indexed"
    return None
