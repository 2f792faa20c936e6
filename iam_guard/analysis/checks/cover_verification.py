"""Verify the cover of a PASS without the search that found it.

A cover claims that some statements take away all requests of each Allow statement. Verification is a recursion without
boxes: what a statement leaves fails one of its literals and meets those before it, and must be covered by the rest. A
conjunction is empty if it is in one dimension. For actions and resources, plain sets of positions in the patterns are
simulated over all texts; for condition keys the sets of values are used.

It shares the parsed patterns, the conditions and the typical callers with the search, and nothing that it computes from
them for actions and resources. Statements with variables are not verified.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from iam_guard.analysis.checks.boxes import ACTION, RESOURCE, Literal, Region
from iam_guard.analysis.checks.comparison import EVERY_REQUEST, CallerGroups, Query, StatementCover, divided
from iam_guard.analysis.checks.key_sets import TextTest
from iam_guard.analysis.checks.limits import Undecided, Work
from iam_guard.analysis.checks.pattern_search import ACTION_SHAPE
from iam_guard.analysis.checks.spaces import Space
from iam_guard.analysis.checks.statement_forms import ANY_ARN, StatementForm, form_of
from iam_guard.analysis.checks.text_sets import TextUnion
from iam_guard.evaluation.compiler import CompiledDocument
from iam_guard.evaluation.matching.pattern import Pattern, Wildcard
from iam_guard.evaluation.matching.pattern_coverage import units_of
from iam_guard.evaluation.matching.resource import EVERYTHING

_MAX_STATES = 20_000
_UNUSED = "\U0010ffff"
_RUNS = (Wildcard.RUN, Wildcard.RUN_IN_FIELD)
_Signed: TypeAlias = tuple[Literal, bool]
_SignedUnion: TypeAlias = tuple[TextUnion, bool]


def verify_cover(
    existing: CompiledDocument, new: CompiledDocument, cover: Iterable[StatementCover], query: Query = EVERY_REQUEST
) -> bool:
    """Return whether a cover proves that `new` allows no more than `existing`; False if it cannot be verified."""
    covers = {claim.statement: claim for claim in cover}
    try:
        for groups in divided(CallerGroups([form_of(existing), form_of(new)], query, ())):
            verification = _Verification(groups, covers)
            if not all(verification.holds_for(group) for group in groups.all()):
                return False
    except Undecided:
        return False
    return True


class _Verification:
    def __init__(self, groups: CallerGroups, covers: dict[int, StatementCover]) -> None:
        self.groups, self.covers, self.space = groups, covers, groups.space
        self.existing, self.new = (groups.side(form) for form in groups.forms)
        if any(form.has_variables for side in (self.existing, self.new) for form in side.form.statements):
            raise Undecided("statements with variables are not verified")

    def holds_for(self, group: tuple[int, ...]) -> bool:
        """Return whether the requests of a group of callers are covered, and no Deny of `existing` applies to them."""
        start = [(literal, True) for literal in self.groups.start_literals(group)]
        for statement in self.new.form.allows:
            cover = self.covers.get(statement.statement.index)
            for region in self._regions(self.new.callers_of(statement), statement):
                allowed = [*start, *((literal, True) for literal in region.literals)]
                if cover is None:
                    if not _is_empty(allowed, self.space):
                        return False
                elif not self._is_covered(allowed, cover):
                    return False
        always = [[*start, *((literal, True) for literal in region.literals)] for region in self.new.always]
        return all(self._is_undenied(allowed, range(len(self.new.form.statements))) for allowed in always)

    def _is_covered(self, allowed: list[_Signed], cover: StatementCover) -> bool:
        denies = [*self.new.free, *self._listed(cover.denied_by, allows=False)]
        allows = [*self.existing.always, *self._listed(cover.allowed_by, allows=True)]
        return _covered(allowed, [*denies, *allows], self.space) and self._is_undenied(allowed, cover.denied_by)

    def _is_undenied(self, allowed: list[_Signed], denied_by: Iterable[int]) -> bool:
        same = {statement.content for statement in self.new.form.denies}
        regions = [*self.new.free, *self._listed(denied_by, allows=False)]
        return all(
            _covered([*allowed, *((literal, True) for literal in region.literals)], regions, self.space)
            for statement in self.existing.form.denies
            if statement.content not in same
            for region in self._regions(self.existing.callers_of(statement), statement)
        )

    def _listed(self, indexes: Iterable[int], *, allows: bool) -> Iterator[Region]:
        side = self.existing if allows else self.new
        wanted = {*indexes}
        for statement in side.form.allows if allows else side.form.denies:
            if statement.statement.index in wanted:
                yield from self._regions(side.callers_of(statement), statement)

    def _regions(self, callers: int, statement: StatementForm) -> Sequence[Region]:
        return self.space.regions(statement, wide=True, callers=callers)


def _covered(conjunction: list[_Signed], regions: Sequence[Region], space: Space) -> bool:
    """Return whether regions contain all requests that meet a conjunction of literals."""
    if _is_empty(conjunction, space):
        return True
    if not regions:
        return False
    region, rest = regions[0], regions[1:]
    met = conjunction
    for literal in region.literals:
        if not _covered([*met, (literal, False)], rest, space):
            return False
        met = [*met, (literal, True)]
    return True


def _is_empty(conjunction: Iterable[_Signed], space: Space) -> bool:
    by_dimension: dict[str, list[_Signed]] = {}
    for signed in conjunction:
        by_dimension.setdefault(signed[0].dimension, []).append(signed)
    return any(_has_no_value(dimension, signed, space) for dimension, signed in by_dimension.items())


def _has_no_value(dimension: str, conjunction: list[_Signed], space: Space) -> bool:
    if dimension not in (ACTION, RESOURCE):
        values = space.whole(dimension)
        for (_, test), is_met in conjunction:
            values = test.inside(values, Work()) if is_met else test.outside(values, Work())
        return not values
    chosen: list[list[_SignedUnion]] = [[]]
    for (_, test), is_met in conjunction:
        if not isinstance(test, TextTest):
            raise Undecided("actions and resources are tested by patterns only")
        parts = [[*test.parts]] if is_met else [[*test.parts[:i], (u, not s)] for i, (u, s) in enumerate(test.parts)]
        chosen = [[*before, *part] for before in chosen for part in parts]
    return not any(_has_text(dimension, unions, space) for unions in chosen)


# --- texts -------------------------------------------------------------------------------------------------------


def _has_text(dimension: str, unions: list[_SignedUnion], space: Space) -> bool:
    """Return whether some text of a dimension is in the unions with a positive sign, and in no other."""
    whole = space.whole(dimension)
    if any(all(union.matches(word) is is_in for union, is_in in unions) for word in whole.words):
        return True
    if not whole.languages or any(union.everything and not is_in for union, is_in in unions):
        return False
    universe = ANY_ARN if dimension == RESOURCE else ACTION_SHAPE
    patterns = [[universe], *(_patterns(union) for union, _ in unions if not union.everything)]
    signs = [True, *(is_in for union, is_in in unions if not union.everything)]
    return _simulate([[units_of(pattern) for pattern in listed] for listed in patterns], signs)


def _patterns(union: TextUnion) -> list[Pattern]:
    return [*((word,) if word else () for word in sorted(union.words) if word != EVERYTHING), *union.globs]


_Units: TypeAlias = tuple[str | Wildcard, ...]
_State: TypeAlias = tuple[frozenset[tuple[int, int]], ...]


def _simulate(unions: list[list[_Units]], signs: list[bool]) -> bool:
    """Return whether a text exists: a search over the sets of positions that its characters lead to."""
    alphabet = {_UNUSED, ":", *(unit for union in unions for units in union for unit in units if isinstance(unit, str))}
    start: _State = tuple(_closed(union, {(index, 0) for index in range(len(union))}) for union in unions)
    pending, seen = [start], {start}
    while pending:
        state = pending.pop()
        if all(_is_matched(union, places) is sign for union, places, sign in zip(unions, state, signs, strict=True)):
            return True
        for char in alphabet:
            following = tuple(_after(union, places, char) for union, places in zip(unions, state, strict=True))
            is_dead = any(sign and not places for places, sign in zip(following, signs, strict=True))
            if not is_dead and following not in seen:
                seen.add(following)
                pending.append(following)
        if len(seen) > _MAX_STATES:
            raise Undecided("the patterns are too complex to verify")
    return False


def _after(union: list[_Units], places: frozenset[tuple[int, int]], char: str) -> frozenset[tuple[int, int]]:
    reached = set()
    for index, place in places:
        unit = union[index][place] if place < len(union[index]) else None
        if unit is None or (isinstance(unit, str) and unit != char):
            continue
        if unit in (Wildcard.RUN_IN_FIELD, Wildcard.ONE_IN_FIELD) and char == ":":
            continue
        reached.add((index, place if unit in _RUNS else place + 1))
    return _closed(union, reached)


def _closed(union: list[_Units], places: set[tuple[int, int]]) -> frozenset[tuple[int, int]]:
    found = set(places)
    for index, place in places:
        while place < len(union[index]) and union[index][place] in _RUNS:
            place += 1
            found.add((index, place))
    return frozenset(found)


def _is_matched(union: list[_Units], places: frozenset[tuple[int, int]]) -> bool:
    return any(place == len(union[index]) for index, place in places)
