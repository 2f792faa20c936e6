"""Formulas over statements: which requests a combination of policies allows, as boxes.

The kernel of `analysis/checks` computes with one statement. A formula combines statements by and, or, and not, so that
"an identity policy allows it, every level of SCPs does, and no Deny applies" is one value. `inside` yields boxes with
all requests of a box that meet the formula, `outside` boxes with all that do not. Neither leaves one out, so no box at
all is a proof. A box may have too many requests only if it has policy variables or opaque conditions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from iam_guard.analysis.checks.boxes import RESOURCE, Box, Literal, Region, meet, subtract
from iam_guard.analysis.checks.limits import Work
from iam_guard.analysis.checks.pattern_search import has_variable
from iam_guard.analysis.checks.spaces import Space
from iam_guard.analysis.checks.statement_forms import ANY_RESOURCE, StatementForm
from iam_guard.analysis.checks.text_sets import Language, TextSet, TextUnion, open_variables


@dataclass(frozen=True, slots=True)
class Search:
    """The space of the requests that a formula is about, and what is left of the limits.

    Both readings of policy variables leave no request out. Usually a variable stands for any text. If
    `keeps_variables`, resources keep them, so that a statement with a variable takes away all of one with the same; but
    what else the resource must be is then forgotten.
    """

    space: Space
    work: Work
    keeps_variables: bool = False


@dataclass(frozen=True, slots=True)
class Meets:
    """Requests that meet all literals."""

    literals: tuple[Literal, ...]

    def inside(self, box: Box, search: Search) -> Iterator[Box]:
        """Yield the part of a box that meets the literals."""
        met = meet(box, self.literals, search.space, search.work)
        if met is not None:
            yield met

    def outside(self, box: Box, search: Search) -> Iterator[Box]:
        """Yield what the literals leave of a box."""
        yield from subtract(box, Region(self.literals, None, -1), search.space, search.work)


@dataclass(frozen=True, slots=True)
class AppliesAny:
    """Requests that at least one of some statements applies to."""

    statements: tuple[StatementForm, ...]

    def inside(self, box: Box, search: Search) -> Iterator[Box]:
        """Yield what each statement applies to of a box; the boxes may overlap."""
        for statement in self.statements:
            search.work.spend_box()
            begun, is_restricted = _begin(box, statement, search)
            for region in search.space.regions(statement, wide=True):
                literals = [one for one in region.literals if not is_restricted or one.dimension != RESOURCE]
                met = None if begun is None else meet(begun, literals, search.space, search.work)
                if met is not None:
                    yield met

    def outside(self, box: Box, search: Search) -> Iterator[Box]:
        """Yield what all statements leave of a box."""
        left = [box]
        for statement in self.statements:
            for region in search.space.regions(statement, wide=False):
                left = [piece for part in left for piece in subtract(part, region, search.space, search.work)]
                if not left:
                    return
        yield from left


@dataclass(frozen=True, slots=True)
class Conjunction:
    """Requests that meet every part."""

    parts: tuple[Formula, ...]

    def inside(self, box: Box, search: Search) -> Iterator[Box]:
        """Yield what meets every part of a box."""
        yield from _inside_all(self.parts, box, search)

    def outside(self, box: Box, search: Search) -> Iterator[Box]:
        """Yield what does not meet some part of a box; the boxes may overlap."""
        for part in self.parts:
            yield from part.outside(box, search)


@dataclass(frozen=True, slots=True)
class Disjunction:
    """Requests that meet at least one part."""

    parts: tuple[Formula, ...]

    def inside(self, box: Box, search: Search) -> Iterator[Box]:
        """Yield what meets some part of a box; the boxes may overlap."""
        for part in self.parts:
            yield from part.inside(box, search)

    def outside(self, box: Box, search: Search) -> Iterator[Box]:
        """Yield what meets no part of a box."""
        yield from _inside_all(tuple(map(Negation, self.parts)), box, search)


@dataclass(frozen=True, slots=True)
class Negation:
    """Requests that do not meet a formula."""

    part: Formula

    def inside(self, box: Box, search: Search) -> Iterator[Box]:
        """Yield what does not meet the formula of a box."""
        yield from self.part.outside(box, search)

    def outside(self, box: Box, search: Search) -> Iterator[Box]:
        """Yield what meets the formula of a box."""
        yield from self.part.inside(box, search)


Formula: TypeAlias = Meets | AppliesAny | Conjunction | Disjunction | Negation

EVERY_REQUEST: Formula = Conjunction(())
NO_REQUEST: Formula = Disjunction(())


def applies_any(statements: Iterable[StatementForm]) -> Formula:
    """Return the formula of some statements, the simplest one if a statement applies to every request."""
    listed = tuple(statements)
    return EVERY_REQUEST if any(map(_is_everything, listed)) else AppliesAny(listed)


def conjunction(parts: Iterable[Formula]) -> Formula:
    """Return the conjunction of formulas, without those that every request meets."""
    listed = tuple(part for part in parts if part != EVERY_REQUEST)
    return listed[0] if len(listed) == 1 else Conjunction(listed)


def _inside_all(parts: Sequence[Formula], box: Box, search: Search) -> Iterator[Box]:
    if not parts:
        yield box
        return
    for part in parts[0].inside(box, search):
        yield from _inside_all(parts[1:], part, search)


def _is_everything(statement: StatementForm) -> bool:
    listed, resources = statement.actions, statement.resources
    has_all_actions = listed.union.everything and not listed.is_negated
    has_all_resources = resources is None or (resources.union.everything and not resources.is_negated)
    return has_all_actions and has_all_resources and not statement.tests


def _begin(box: Box, statement: StatementForm, search: Search) -> tuple[Box | None, bool]:
    """Return a box for a statement, None for none, and whether its resources are already those of the statement."""
    listed, resources = statement.resources, box.get(RESOURCE, ANY_RESOURCE)
    if not search.keeps_variables or listed is None or listed.is_negated or listed.union.everything:
        return box, False
    if resources.has_variables:
        resources = resources.perhaps_in(listed.union, search.work)
    elif statement.has_variables:
        resources = _introduced(resources, listed.union, search.work)
    else:
        return box, False
    return ({**box, RESOURCE: resources} if resources else None), True


def _introduced(resources: TextSet, union: TextUnion, work: Work) -> TextSet:
    """Return the texts of a union, with variables, that may be among some resources."""
    varying = [pattern for pattern in union.globs if has_variable(pattern)]
    words = [(word,) if word else () for word in union.words]
    plain = TextUnion((*words, *(pattern for pattern in union.globs if not has_variable(pattern))))
    kept = [pattern for pattern in varying if resources.meet(TextUnion([open_variables(pattern)]), work)]
    return resources.meet(plain, work).join(TextSet(frozenset(), tuple(map(Language, kept))))
