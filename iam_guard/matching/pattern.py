"""Wildcards: `*` and `?`, in plain text and in the fields of an ARN (rules M-4, M-6, M-12, M-15, M-16, C-11, C-25).

A pattern is a sequence of pieces: literal text, and wildcards that know whether they may match a colon. That one flag
is all that tells the three readings of a `*` apart:

- plain text (actions, `StringLike`): every wildcard matches every character;
- `Resource`: in the first five fields a wildcard stays within its field, but a `*` that ends a field may run on (M-12);
- ARN conditions: in the first five fields every wildcard stays within its field (C-25).

Strategy: `compile_pattern` takes the cheapest matcher that is exact: equality, prefix, suffix, containment; else, where
every wildcard is a free `*`, the literal segments from left to right, each at its first place, which is linear; else,
where every wildcard is a free `?`, each literal at its only place; else, where no wildcard leaves its field, field by
field; else an automaton whose states are the bits of one integer, which costs one step per character whatever the
pattern. There is no backtracking anywhere.

Must not live here: variables (`variables`), which entry matches which request (`resource`, `statement`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import TypeAlias

ARN_FIELDS = 6


class Wildcard(Enum):
    """What a `*` (a run of any length) or a `?` (exactly one character) may stand for."""

    RUN = "*"
    ONE = "?"
    RUN_IN_FIELD = "*, but no colon"
    ONE_IN_FIELD = "?, but no colon"


Piece: TypeAlias = str | Wildcard
Pattern: TypeAlias = tuple[Piece, ...]
"""Literal texts are not empty and never stand side by side."""

Matcher: TypeAlias = Callable[[str], bool]

_WILDCARD = re.compile(r"([*?])")
_READ = {"*": Wildcard.RUN, "?": Wildcard.ONE}
_IN_FIELD = {Wildcard.RUN: Wildcard.RUN_IN_FIELD, Wildcard.ONE: Wildcard.ONE_IN_FIELD}
_FREE = {within: free for free, within in _IN_FIELD.items()}


def read_wildcards(text: str) -> Pattern:
    """Read `*` and `?` as wildcards that match every character, everything else as itself."""
    if "*" not in text and "?" not in text:
        return (text,) if text else ()
    return tuple(_READ.get(part, part) for part in _WILDCARD.split(text) if part)


def is_literal(text: str) -> bool:
    """Tell whether a policy text has neither wildcard nor variable, so that it matches itself alone."""
    return "*" not in text and "?" not in text and "${" not in text


def literal_prefix(text: str) -> str:
    """Give what everything that matches a policy text begins with: the text before the first wildcard or variable."""
    return re.split(r"[*?]|\$\{", text, maxsplit=1)[0]


def keep_in_fields(pattern: Pattern, *, final_run_is_free: bool) -> Pattern:
    """Forbid the wildcards of the first five ARN fields to match a colon.

    With `final_run_is_free` a `*` that is the last character of its field keeps its freedom (rule M-12).
    """
    kept: list[Piece] = []
    colons = 0
    for piece, following in zip(pattern, (*pattern[1:], ":"), strict=False):
        if isinstance(piece, str):
            colons += piece.count(":")
            kept.append(piece)
            continue
        ends_field = isinstance(following, str) and following.startswith(":")
        is_free = final_run_is_free and ends_field and piece is Wildcard.RUN
        kept.append(piece if is_free or colons >= ARN_FIELDS - 1 else _IN_FIELD[piece])
    return tuple(kept)


# --- choosing the matcher ----------------------------------------------------------------------------------------


def always(_: object) -> bool:
    """Match everything."""
    return True


def never(_: object) -> bool:
    """Match nothing."""
    return False


def compile_glob(text: str) -> Matcher:
    """Compile a text with wildcards that match every character (rules M-4, C-11)."""
    return compile_pattern(read_wildcards(text))


def compile_any(patterns: Iterable[Pattern]) -> Matcher:
    """Compile many patterns into one matcher that holds when any of them matches; no pattern matches nothing."""
    literals: set[str] = set()
    prefixes: list[str] = []
    matchers: list[Matcher] = []
    for pattern in patterns:
        match pattern:
            case () | (str(),):
                literals.add("".join(str(piece) for piece in pattern))
            case (Wildcard.RUN,):
                return always
            case (str() as prefix, Wildcard.RUN):
                prefixes.append(prefix)
            case _:
                matchers.append(compile_pattern(pattern))
    if prefixes:
        matchers.insert(0, _starts_with(tuple(prefixes)))
    if literals:
        matchers.insert(0, frozenset(literals).__contains__)
    return _first_of(matchers)


def compile_pattern(pattern: Pattern) -> Matcher:
    """Compile one pattern into the cheapest matcher that is exact."""
    wildcards = {piece for piece in pattern if isinstance(piece, Wildcard)}
    if wildcards <= {Wildcard.RUN}:
        return _compile_segments(_segments(pattern))
    if wildcards == {Wildcard.ONE}:
        return _compile_places(pattern)
    fields = _split_fields(pattern)
    stays_in_fields = not any(piece in (Wildcard.RUN, Wildcard.ONE) for field in fields[:-1] for piece in field)
    if len(fields) == ARN_FIELDS and stays_in_fields:
        return _compile_fields(fields)
    return _compile_automaton(pattern)


def _first_of(matchers: Sequence[Matcher]) -> Matcher:
    if len(matchers) <= 1:
        return matchers[0] if matchers else never

    def matches(text: str) -> bool:
        for matcher in matchers:  # noqa: SIM110  a generator would double the cost
            if matcher(text):
                return True
        return False

    return matches


def _starts_with(prefixes: str | tuple[str, ...]) -> Matcher:
    return lambda text: text.startswith(prefixes)


# --- free runs only: literal segments from left to right ---------------------------------------------------------


def _segments(pattern: Pattern) -> list[str]:
    segments = [""]
    for piece in pattern:
        if isinstance(piece, str):
            segments[-1] += piece
        else:
            segments.append("")
    return segments


def _compile_segments(segments: list[str]) -> Matcher:
    match segments:
        case [whole]:
            return whole.__eq__
        case ["", ""]:
            return always
        case [prefix, ""]:
            return _starts_with(prefix)
        case ["", suffix]:
            return lambda text: text.endswith(suffix)
        case ["", part, ""]:
            return lambda text: part in text
        case _:
            return lambda text: match_segments(segments, text)


def match_segments(segments: Sequence[str], text: str) -> bool:
    """Match literal segments with a run of any length between each two, anchored at both ends."""
    if len(segments) == 1:
        return text == segments[0]
    first, last = segments[0], segments[-1]
    place, end = len(first), len(text) - len(last)
    if place > end or not text.startswith(first) or not text.endswith(last):
        return False
    for segment in segments[1:-1]:  # the first place leaves most room for the rest, so no other needs a try
        found = text.find(segment, place, end)
        if found < 0:
            return False
        place = found + len(segment)
    return True


# --- free single characters only: every literal has its place -----------------------------------------------------


def _compile_places(pattern: Pattern) -> Matcher:
    literals: list[tuple[str, int]] = []
    length = 0
    for piece in pattern:
        if isinstance(piece, str):
            literals.append((piece, length))
        length += len(piece) if isinstance(piece, str) else 1

    def matches(text: str) -> bool:
        if len(text) != length:
            return False
        for literal, place in literals:  # noqa: SIM110  a generator would double the cost
            if not text.startswith(literal, place):
                return False
        return True

    return matches


# --- wildcards that stay in their fields -------------------------------------------------------------------------


def _split_fields(pattern: Pattern) -> list[Pattern]:
    """Split at the first five literal colons; the last field keeps its colons."""
    fields: list[list[Piece]] = [[]]
    for piece in pattern:
        if isinstance(piece, Wildcard):
            fields[-1].append(piece)
            continue
        begin, *rest = piece.split(":", ARN_FIELDS - len(fields))
        fields[-1] += [begin] if begin else []
        fields += [[part] if part else [] for part in rest]
    return [tuple(field) for field in fields]


def _compile_fields(fields: list[Pattern]) -> Matcher:
    free = [tuple(_FREE.get(piece, piece) if isinstance(piece, Wildcard) else piece for piece in f) for f in fields]
    tests = [(index, compile_pattern(field)) for index, field in enumerate(free) if field != (Wildcard.RUN,)]

    def matches(text: str) -> bool:
        actual = text.split(":", ARN_FIELDS - 1)
        if len(actual) != ARN_FIELDS:
            return False
        for index, test in tests:  # noqa: SIM110  a generator would double the cost
            if not test(actual[index]):
                return False
        return True

    return matches


# --- everything else: an automaton in one integer ----------------------------------------------------------------


def _compile_automaton(pattern: Pattern) -> Matcher:
    """Follow all ways through the pattern at once.

    Bit n of the state says that the first n characters-or-`?` of the pattern are matched. A character moves a bit up
    where it is accepted, and lets a bit stand where a run comes next.
    """
    steps = [unit for piece in pattern for unit in (piece if isinstance(piece, str) else (piece,))]
    accepts: dict[str, int] = {":": 0}
    any_one = no_colon_one = free_run = run_in_field = done = 0
    for step in steps:
        bit = 1 << done
        match step:
            case Wildcard.RUN:
                free_run |= bit
            case Wildcard.RUN_IN_FIELD:
                run_in_field |= bit
            case Wildcard.ONE:
                any_one |= bit
            case Wildcard.ONE_IN_FIELD:
                no_colon_one |= bit
            case literal:
                accepts[literal] = accepts.get(literal, 0) | bit
        done += step not in (Wildcard.RUN, Wildcard.RUN_IN_FIELD)
    other = any_one | no_colon_one
    moves = {char: bits | (any_one if char == ":" else other) for char, bits in accepts.items()}
    stays = {":": free_run}
    elsewhere = free_run | run_in_field

    def matches(text: str) -> bool:
        state = 1
        for char in text:
            state = (state & moves.get(char, other)) << 1 | state & stays.get(char, elsewhere)
            if not state:
                return False
        return bool(state >> done & 1)

    return matches
