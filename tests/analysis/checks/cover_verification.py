"""Verify the cover of a PASS without the search that found it.

A cover claims that some statements take away all requests of each Allow statement. Verification is a recursion without
boxes: what a statement leaves fails one of its literals and meets those before it, and must be covered by the rest. A
conjunction is empty if it is in one dimension. For actions and resources, plain sets of positions in the patterns are
simulated over all texts; for condition keys the sets of values are used.

A statement that both documents have covers itself. A variable in a resource is read in two ways, of which one must
suffice. Either it is a symbol, which only the entries of the statement introduce: a pattern that must match a text does
so with a `*` or the same symbol, one that may match a text matches it with anything. Or the entries have a `*` in its
place, and a pattern with a variable matches no text.

It shares the parsed patterns, the conditions and the typical callers with the search, and nothing that it computes from
them for actions and resources.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from iam_guard.analysis.checks.boxes import ACTION, RESOURCE, Literal
from iam_guard.analysis.checks.comparison import EVERY_REQUEST, CallerGroups, Query, StatementCover, divided
from iam_guard.analysis.checks.differences import Side
from iam_guard.analysis.checks.key_sets import TextTest
from iam_guard.analysis.checks.limits import Undecided, Work
from iam_guard.analysis.checks.pattern_search import ACTION_SHAPE, is_variable
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
_Conjunction: TypeAlias = tuple["_Signed", ...]


class _Signed(NamedTuple):
    """A literal that is met or not. Only the texts of the source have variables."""

    literal: Literal
    is_met: bool = True
    is_source: bool = False


class _SignedUnion(NamedTuple):
    union: TextUnion
    is_in: bool
    is_source: bool


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
        self.same = {statement.content for statement in self.new.form.denies}

    def holds_for(self, group: tuple[int, ...]) -> bool:
        """Return whether the requests of a group of callers are covered, and no Deny of `existing` applies to them."""
        start = tuple(map(_Signed, self.groups.start_literals(group)))
        for statement in self.new.form.allows:
            for resources, literals in self.space.divided(statement, self.new.callers_of(statement)):
                allowed = (*start, *map(_Signed, literals))
                readings = [allowed] if resources is None else [(*allowed, source) for source in _sources(resources)]
                if not self._is_covered(readings, statement):
                    return False
        free = [region.literals for region in self.new.free]
        denied_by = range(len(self.new.form.statements))
        always = [(*start, *map(_Signed, region.literals)) for region in self.new.always]
        return all(self._is_undenied([allowed], None, denied_by, free) for allowed in always)

    def _is_covered(self, readings: list[_Conjunction], statement: StatementForm) -> bool:
        """Return whether what an Allow applies to, in any of some readings, is covered as it is claimed."""
        cover = self.covers.get(statement.statement.index)
        if cover is None:
            return any(_is_empty(allowed, self.space) for allowed in readings)
        free = [region.literals for region in self.new.free]
        always = [region.literals for region in self.existing.always]
        denies = self._listed(self.new, cover.denied_by, [statement], allows=False)
        allows = self._listed(self.existing, cover.allowed_by, [statement], allows=True)
        regions = [*free, *denies, *always, *allows]
        is_same = any(
            allow.content == statement.content and allow.statement.index in cover.allowed_by
            for allow in self.existing.form.allows
        )
        is_covered = is_same or any(_covered(allowed, regions, self.space) for allowed in readings)
        return is_covered and self._is_undenied(readings, statement, cover.denied_by, free)

    def _is_undenied(
        self,
        readings: list[_Conjunction],
        statement: StatementForm | None,
        denied_by: Iterable[int],
        free: list[tuple[Literal, ...]],
    ) -> bool:
        """Return whether Deny statements of `new` contain what those of `existing` apply to."""
        for deny in self.existing.form.denies:
            if deny.content in self.same:
                continue
            within = [deny] if statement is None else [statement, deny]
            regions = [*free, *self._listed(self.new, denied_by, within, allows=False)]
            for region in self.space.regions(deny, wide=True, callers=self.existing.callers_of(deny)):
                denied = tuple(map(_Signed, region.literals))
                if not any(_covered((*allowed, *denied), regions, self.space) for allowed in readings):
                    return False
        return True

    def _listed(
        self, side: Side, indexes: Iterable[int], within: list[StatementForm], *, allows: bool
    ) -> Iterator[tuple[Literal, ...]]:
        """Yield what statements of a side require of requests that some other statements apply to."""
        wanted = {*indexes}
        for statement in side.form.allows if allows else side.form.denies:
            if statement.statement.index in wanted:
                has_all = any(statement.lists_all(other) for other in within)
                for region in self.space.regions(statement, wide=False, callers=side.callers_of(statement)):
                    yield tuple(literal for literal in region.literals if not has_all or literal.dimension != RESOURCE)


def _sources(resources: TextUnion) -> Iterator[_Signed]:
    """Yield the readings of entries with variables."""
    yield _Signed(Literal(RESOURCE, TextTest(((resources, True),))), is_source=True)
    if resources.opened is not resources:
        yield _Signed(Literal(RESOURCE, TextTest(((resources.opened, True),))), is_source=True)


def _covered(conjunction: _Conjunction, regions: Sequence[tuple[Literal, ...]], space: Space) -> bool:
    """Return whether regions contain all requests that meet a conjunction of literals."""
    if _is_empty(conjunction, space):
        return True
    if not regions:
        return False
    met = conjunction
    for literal in regions[0]:
        if not _covered((*met, _Signed(literal, is_met=False)), regions[1:], space):
            return False
        met = (*met, _Signed(literal))
    return True


def _is_empty(conjunction: _Conjunction, space: Space) -> bool:
    by_dimension: dict[str, list[_Signed]] = {}
    for signed in conjunction:
        by_dimension.setdefault(signed.literal.dimension, []).append(signed)
    return any(_has_no_value(dimension, signed, space) for dimension, signed in by_dimension.items())


def _has_no_value(dimension: str, conjunction: list[_Signed], space: Space) -> bool:
    if dimension not in (ACTION, RESOURCE):
        values = space.whole(dimension)
        for (_, test), is_met, _ in conjunction:
            values = test.inside(values, Work()) if is_met else test.outside(values, Work())
        return not values
    chosen: list[list[_SignedUnion]] = [[]]
    for (_, test), is_met, is_source in conjunction:
        if not isinstance(test, TextTest):
            raise Undecided("actions and resources are tested by patterns only")
        parts = [[*test.parts]] if is_met else [[*test.parts[:i], (u, not s)] for i, (u, s) in enumerate(test.parts)]
        signed = [[_SignedUnion(union, is_in, is_source) for union, is_in in part] for part in parts]
        chosen = [[*before, *part] for before in chosen for part in signed]
    return not any(_has_text(dimension, unions, space) for unions in chosen)


# --- texts -------------------------------------------------------------------------------------------------------


def _has_text(dimension: str, unions: list[_SignedUnion], space: Space) -> bool:
    """Return whether some text of a dimension is in the unions with a positive sign, and in no other."""
    whole = space.whole(dimension)
    if any(all(union.matches(word) is is_in for union, is_in, _ in unions) for word in whole.words):
        return True
    if not whole.languages or any(union.everything and not is_in for union, is_in, _ in unions):
        return False
    universe = _ARNS if dimension == RESOURCE else _ACTIONS
    signed = dict.fromkeys((_SignedUnion(universe, True, False), *unions))
    return _simulate([_automaton(*entry) for entry in signed if not entry.union.everything])


_ARNS, _ACTIONS = TextUnion([ANY_ARN]), TextUnion([ACTION_SHAPE])


@lru_cache(maxsize=4096)
def _automaton(union: TextUnion, is_in: bool, is_source: bool) -> _Automaton:
    return _Automaton([*map(units_of, _patterns(union))], is_in=is_in, is_source=is_source)


def _patterns(union: TextUnion) -> list[Pattern]:
    return [*((word,) if word else () for word in sorted(union.words) if word != EVERYTHING), *union.globs]


_Units: TypeAlias = tuple[str | Wildcard, ...]
_Places: TypeAlias = frozenset[tuple[int, int]]


class _Automaton:
    """Patterns of which a text must match one (`is_in`) or none: its places are those reached in each pattern."""

    def __init__(self, patterns: list[_Units], *, is_in: bool, is_source: bool) -> None:
        self.is_in, self.is_source = is_in, is_source
        if is_in and not is_source:
            patterns = [tuple(Wildcard.RUN if _is_symbol(unit) else unit for unit in units) for units in patterns]
        self.patterns = patterns
        self.start = self._closed({(index, 0) for index in range(len(patterns))})
        self._known: dict[tuple[_Places, str], _Places] = {}
        self._letters: dict[_Places, frozenset[str]] = {}

    def after(self, places: _Places, char: str) -> _Places:
        """Return the places that a character leads to."""
        known = self._known.get((places, char))
        if known is None:
            known = self._known[places, char] = self._after(places, char)
        return known

    def letters(self, places: _Places) -> frozenset[str]:
        """Return the characters that the patterns have at some places."""
        known = self._letters.get(places)
        if known is None:
            units = {self.patterns[index][place] for index, place in places if place < len(self.patterns[index])}
            known = self._letters[places] = frozenset(unit for unit in units if isinstance(unit, str))
        return known

    def _after(self, places: _Places, char: str) -> _Places:
        if _is_symbol(char) and self.is_in and not self.is_source:
            return frozenset(
                (index, later) for index, place in places for later in range(place, len(self.patterns[index]) + 1)
            )
        reached = set()
        for index, place in places:
            units = self.patterns[index]
            unit = units[place] if place < len(units) else None
            if unit is not None and self._accepts(unit, char):
                reached.add((index, place if unit in _RUNS else place + 1))
        return self._closed(reached)

    def _accepts(self, unit: str | Wildcard, char: str) -> bool:
        if isinstance(unit, str):
            return unit == char
        if _is_symbol(char):
            return unit is Wildcard.RUN and not self.is_source
        return char != ":" or unit in (Wildcard.RUN, Wildcard.ONE)

    def _closed(self, places: set[tuple[int, int]]) -> _Places:
        found = set(places)
        for index, place in places:
            units = self.patterns[index]
            while place < len(units) and units[place] in _RUNS:
                place += 1
                found.add((index, place))
        return frozenset(found)

    def agrees(self, places: _Places) -> bool:
        """Return whether a text that ends here is as it must be."""
        return any(place == len(self.patterns[index]) for index, place in places) is self.is_in


def _is_symbol(unit: str | Wildcard) -> bool:
    return isinstance(unit, str) and is_variable(unit)


def _simulate(automata: list[_Automaton]) -> bool:
    """Return whether a text exists: a search over the sets of places that its characters lead to.

    Only a source introduces symbols; a character that no pattern has next is like any other such.
    """
    start = tuple(automaton.start for automaton in automata)
    pending, seen = [start], {start}
    while pending:
        state = pending.pop()
        if all(automaton.agrees(places) for automaton, places in zip(automata, state, strict=True)):
            return True
        reached = [*zip(automata, state, strict=True)]
        sources = [pair for pair in reached if pair[0].is_source]
        letters = {char for automaton, places in reached for char in automaton.letters(places) if not is_variable(char)}
        letters.update(char for automaton, places in sources for char in automaton.letters(places))
        for char in {_UNUSED, ":", *letters}:
            following = tuple([automaton.after(places, char) for automaton, places in reached])
            is_dead = any(automaton.is_in and not places for automaton, places in zip(automata, following, strict=True))
            if not is_dead and following not in seen:
                seen.add(following)
                pending.append(following)
        if len(seen) > _MAX_STATES:
            raise Undecided("the patterns are too complex to verify")
    return False
