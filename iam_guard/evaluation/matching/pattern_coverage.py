"""Compare two patterns: does one match every text that the other matches (covers), is there a text of both (overlaps)?

For analysis of policies without a request. `overlaps` is exact; `covers` returns False for extremely complex patterns.

Strategy: a pattern is a nondeterministic automaton whose state set is the bits of one integer. A pattern covers another
if its automaton accepts every text of the other. Two characters are sufficient for a wildcard of the narrow pattern:
the colon, and one that no pattern contains, because what matches that one by a wildcard matches every other character
too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from iam_guard.evaluation.matching.pattern import (
    ARN_FIELDS,
    Pattern,
    Wildcard,
    keep_in_fields,
    match_pattern,
    read_wildcards,
)
from iam_guard.evaluation.matching.resource import read_resource

Unit: TypeAlias = str | Wildcard
"""One character, or a wildcard."""

_MAX_STATES = 256
_UNUSED_CHARACTER = "\U0010ffff"
"""A character that no pattern contains; policies are limited to U+00FF (rule G-12)."""
_RUNS = (Wildcard.RUN, Wildcard.RUN_IN_FIELD)
_IN_FIELD = (Wildcard.RUN_IN_FIELD, Wildcard.ONE_IN_FIELD)


def arn_pattern(text: str) -> Pattern:
    """Parse an ARN pattern in which the wildcards of the first five fields do not match a colon."""
    return keep_in_fields(read_wildcards(text), final_run_is_free=False)


@lru_cache(maxsize=16_384)
def open_patterns(entry: str, version: str) -> tuple[Pattern, ...]:
    """Parse an entry of `Resource` with a `*` in place of each variable."""
    return tuple(
        tuple(piece if isinstance(piece, (str, Wildcard)) else Wildcard.RUN for piece in template.pieces)
        for template in read_resource(entry, version)
    )


@lru_cache(maxsize=16_384)
def intended_patterns(entry: str, version: str) -> tuple[Pattern, ...]:
    """Parse an entry as its author intends it: with six fields, and a `*` at the end of a field matches no colon.

    By rule M-12 it does: `arn:aws:docs:*:*:folder/*` matches the ARN of a document with `:x:folder/` in its name.
    """
    patterns = open_patterns(entry, version)
    if entry.count(":") < ARN_FIELDS - 1:
        return patterns
    return tuple(keep_in_fields(pattern, final_run_is_free=False) for pattern in patterns)


@lru_cache(maxsize=65_536)
def covers(wide: Pattern, narrow: Pattern) -> bool:
    """Return whether `wide` matches every text that `narrow` matches; False if that is too complex to determine."""
    if wide in ((Wildcard.RUN,), narrow):
        return True
    if not match_pattern(wide, _shortest(narrow)):
        return False  # the usual case
    automaton = _automaton(wide)
    states = {automaton.start}
    for unit in units_of(narrow):
        states = automaton.after(states, unit)
        if 0 in states or len(states) > _MAX_STATES:
            return False
    return all(state & automaton.end for state in states)


def _shortest(pattern: Pattern) -> str:
    """Return the shortest text that a pattern matches."""
    return "".join(
        piece if isinstance(piece, str) else "" if piece in _RUNS else _UNUSED_CHARACTER for piece in pattern
    )


@lru_cache(maxsize=65_536)
def overlaps(one: Pattern, other: Pattern) -> bool:
    """Return whether some text matches both patterns."""
    first, second = units_of(one), units_of(other)
    pending, seen = [(0, 0)], {(0, 0)}
    while pending:
        i, j = pending.pop()
        if i == len(first) and j == len(second):
            return True
        for step in _steps(first, second, i, j):
            if step not in seen:
                seen.add(step)
                pending.append(step)
    return False


@lru_cache(maxsize=16_384)
def units_of(pattern: Pattern) -> tuple[Unit, ...]:
    """Return the characters and wildcards of a pattern."""
    units: list[Unit] = []
    for piece in pattern:
        if isinstance(piece, str):
            units.extend(piece)
        else:
            units.append(piece)
    return tuple(units)


# --- covering ----------------------------------------------------------------------------------------------------


class _Automaton:
    """A pattern as an automaton: bit n of a state is set if its first n units can have matched."""

    __slots__ = ("_accepting", "_runs", "end", "start", "units")

    def __init__(self, pattern: Pattern) -> None:
        self.units = units_of(pattern)
        self._runs = sum(1 << index for index, unit in enumerate(self.units) if unit in _RUNS)
        self._accepting: dict[str, int] = {}
        self.start = self._closure(1)
        self.end = 1 << len(self.units)

    def after(self, states: set[int], unit: Unit) -> set[int]:
        """Return the states after a unit of the narrow pattern, one for each kind of character."""
        if isinstance(unit, str):
            return {self._step(state, unit) for state in states}
        alphabet = (_UNUSED_CHARACTER,) if unit in _IN_FIELD else (_UNUSED_CHARACTER, ":")
        if unit not in _RUNS:
            return {self._step(state, char) for state in states for char in alphabet}
        reached, pending = set(states), list(states)
        while pending and len(reached) <= _MAX_STATES:
            state = pending.pop()
            for char in alphabet:
                following = self._step(state, char)
                if following not in reached:
                    reached.add(following)
                    pending.append(following)
        return reached

    def _step(self, state: int, char: str) -> int:
        accepting = self._accepting.get(char)
        if accepting is None:
            accepting = sum(1 << index for index, unit in enumerate(self.units) if _accepts(unit, char))
            self._accepting[char] = accepting
        matched = state & accepting
        return self._closure((matched & self._runs) | (matched & ~self._runs) << 1)

    def _closure(self, state: int) -> int:
        """Add the positions after a run, which are reached without a character."""
        while (extended := state | (state & self._runs) << 1) != state:
            state = extended
        return state


_automaton = lru_cache(maxsize=16_384)(_Automaton)


def _accepts(unit: Unit, char: str) -> bool:
    return unit == char if isinstance(unit, str) else unit not in _IN_FIELD or char != ":"


# --- overlapping -------------------------------------------------------------------------------------------------


def _steps(first: Sequence[Unit], second: Sequence[Unit], i: int, j: int) -> list[tuple[int, int]]:
    one = first[i] if i < len(first) else None
    other = second[j] if j < len(second) else None
    steps = []
    if one in _RUNS:
        steps.append((i + 1, j))
    if other in _RUNS:
        steps.append((i, j + 1))
    if one is None or other is None or not _share_a_character(one, other):
        return steps
    match one in _RUNS, other in _RUNS:
        case True, False:
            steps.append((i, j + 1))
        case False, True:
            steps.append((i + 1, j))
        case False, False:
            steps.append((i + 1, j + 1))
    return steps


def _share_a_character(one: Unit, other: Unit) -> bool:
    """Return whether one character can match both."""
    if isinstance(one, str):
        return _accepts(other, one)
    return _accepts(one, other) if isinstance(other, str) else True
