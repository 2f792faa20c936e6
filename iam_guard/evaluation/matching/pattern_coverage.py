"""Two patterns beside each other: does one match all that the other does, can both match one text?

For whoever looks at policies without a request. Both answers are exact, but for patterns so intricate that nobody
writes them: then `covers` says no, and `overlaps` yes. Strategy: a pattern is walked as a machine whose states are its
places, as the bits of one integer. To cover another pattern is to end in an accepting state for every text of that one.
Of all characters that stand for a wildcard of the narrow pattern, two are enough to try: the colon, and one that no
pattern names, for what matches that one by a wildcard is matched for every other character too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from iam_guard.evaluation.matching.pattern import (
    ARN_FIELDS,
    Pattern,
    Piece,
    Wildcard,
    keep_in_fields,
    match_pattern,
    read_wildcards,
)
from iam_guard.evaluation.matching.resource import read_resource

Unit: TypeAlias = str | Wildcard
"""One character, or a wildcard."""

_MAX_WAYS = 256
_STRANGER = "\U0010ffff"
"""A character that no pattern has; texts of policies are limited to U+00FF (rule G-12)."""
_RUNS = (Wildcard.RUN, Wildcard.RUN_IN_FIELD)
_BOUND = (Wildcard.RUN_IN_FIELD, Wildcard.ONE_IN_FIELD)


def arn_pattern(text: str) -> Pattern:
    """Read the pattern of ARNs whose first five fields are meant one by one: a wildcard there is no colon."""
    return keep_in_fields(read_wildcards(text), final_run_is_free=False)


@lru_cache(maxsize=16_384)
def open_patterns(entry: str, version: str) -> tuple[Pattern, ...]:
    """Read an entry of `Resource`, with a run of any characters in the place of each variable."""
    return tuple(_opened(template.pieces) for template in read_resource(entry, version))


@lru_cache(maxsize=16_384)
def likely_patterns(entry: str, version: str) -> tuple[Pattern, ...]:
    """Read an entry as its writer means it: with six fields, a `*` that ends one does not run on.

    By rule M-12 it does: `arn:aws:docs:*:*:folder/*` matches the ARN of a document with `:x:folder/` in its name.
    """
    patterns = open_patterns(entry, version)
    if entry.count(":") < ARN_FIELDS - 1:
        return patterns
    return tuple(keep_in_fields(pattern, final_run_is_free=False) for pattern in patterns)


def _opened(pieces: Sequence[object]) -> Pattern:
    opened: list[Piece] = []
    for piece in pieces:
        known = piece if isinstance(piece, (str, Wildcard)) else Wildcard.RUN
        if isinstance(known, str) and opened and isinstance(before := opened[-1], str):
            opened[-1] = before + known
        else:
            opened.append(known)
    return tuple(opened)


@lru_cache(maxsize=65_536)
def covers(wide: Pattern, narrow: Pattern) -> bool:
    """Return whether `wide` matches every text that `narrow` matches; no where it can't be told."""
    if wide in ((Wildcard.RUN,), narrow):
        return True
    if not match_pattern(wide, _shortest(narrow)):
        return False  # nearly always it ends here
    machine = _machine(wide)
    ways = {machine.begin}
    for unit in _units(narrow):
        ways = machine.after(ways, unit)
        if 0 in ways or len(ways) > _MAX_WAYS:
            return False
    return all(way & machine.end for way in ways)


def _shortest(pattern: Pattern) -> str:
    """Return the shortest text that a pattern matches."""
    return "".join(
        piece if isinstance(piece, str) else "" if piece in _RUNS else _STRANGER  # one piece after the other
        for piece in pattern
    )


@lru_cache(maxsize=65_536)
def overlaps(one: Pattern, other: Pattern) -> bool:
    """Return whether some text matches both."""
    first, second = _units(one), _units(other)
    pending, seen = [(0, 0)], {(0, 0)}
    while pending:
        here, there = pending.pop()
        if here == len(first) and there == len(second):
            return True
        for step in _steps(first, second, here, there):
            if step not in seen:
                seen.add(step)
                pending.append(step)
    return False


@lru_cache(maxsize=16_384)
def _units(pattern: Pattern) -> tuple[Unit, ...]:
    units: list[Unit] = []
    for piece in pattern:
        if isinstance(piece, str):
            units.extend(piece)
        else:
            units.append(piece)
    return tuple(units)


# --- covering ----------------------------------------------------------------------------------------------------


class _Machine:
    """A pattern as a machine: bit n of a state says that its first n units can have matched."""

    __slots__ = ("_runs", "_taking", "begin", "end", "units")

    def __init__(self, pattern: Pattern) -> None:
        self.units = _units(pattern)
        self._runs = sum(1 << place for place, unit in enumerate(self.units) if unit in _RUNS)
        self._taking: dict[str, int] = {}
        self.begin = self._closed(1)
        self.end = 1 << len(self.units)

    def after(self, ways: set[int], unit: Unit) -> set[int]:
        """Return the states that a unit of the narrow pattern can lead to, one for each kind of character."""
        if isinstance(unit, str):
            return {self._step(way, unit) for way in ways}
        alphabet = (_STRANGER,) if unit in _BOUND else (_STRANGER, ":")
        if unit not in _RUNS:
            return {self._step(way, char) for way in ways for char in alphabet}
        reached, pending = set(ways), list(ways)
        while pending and len(reached) <= _MAX_WAYS:
            way = pending.pop()
            for char in alphabet:
                following = self._step(way, char)
                if following not in reached:
                    reached.add(following)
                    pending.append(following)
        return reached

    def _step(self, way: int, char: str) -> int:
        taking = self._taking.get(char)
        if taking is None:
            taking = sum(1 << place for place, unit in enumerate(self.units) if _takes(unit, char))
            self._taking[char] = taking
        moving = way & taking
        return self._closed((moving & self._runs) | (moving & ~self._runs) << 1)

    def _closed(self, way: int) -> int:
        """Add the places behind a run, which are reached without a character."""
        while (more := way | (way & self._runs) << 1) != way:
            way = more
        return way


_machine = lru_cache(maxsize=16_384)(_Machine)


def _takes(unit: Unit, char: str) -> bool:
    return unit == char if isinstance(unit, str) else unit not in _BOUND or char != ":"


# --- overlapping -------------------------------------------------------------------------------------------------


def _steps(first: Sequence[Unit], second: Sequence[Unit], here: int, there: int) -> list[tuple[int, int]]:
    one = first[here] if here < len(first) else None
    other = second[there] if there < len(second) else None
    steps = []
    if one in _RUNS:
        steps.append((here + 1, there))
    if other in _RUNS:
        steps.append((here, there + 1))
    if one is None or other is None or not _meet(one, other):
        return steps
    match one in _RUNS, other in _RUNS:
        case True, False:
            steps.append((here, there + 1))
        case False, True:
            steps.append((here + 1, there))
        case False, False:
            steps.append((here + 1, there + 1))
    return steps


def _meet(one: Unit, other: Unit) -> bool:
    """Return whether one character can stand for both."""
    if isinstance(one, str):
        return _takes(other, one)
    return _takes(one, other) if isinstance(other, str) else True
