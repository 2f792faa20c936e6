"""Wildcards `*` and `?` in plain text and in ARNs (rules M-4, M-6, M-12, M-15, M-16, C-11, C-25).

A pattern is a sequence of pieces: literal texts, and wildcards that can or cannot match a colon. This flag is the only
difference between the three uses:

- plain text (actions, `StringLike`): every wildcard matches every character;
- `Resource`: in the first five fields a wildcard matches within its field, except a `*` at the end of a field (M-12);
- ARN conditions: in the first five fields every wildcard matches within its field (C-25).

Strategy: the cheapest exact matcher. If every wildcard is a free `*`: equality, prefix, suffix, containment, or the
literal segments from left to right, each at its first occurrence, which is linear. Other patterns are matched piece by
piece while there is only one possible position in the text, and then as a nondeterministic automaton with all positions
as the bits of one integer: one step per character of the pattern, without backtracking. A pattern that cannot match
(too long, or a literal that the text does not contain) is rejected first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from functools import lru_cache, partial
from itertools import chain, zip_longest
from typing import TypeAlias

ARN_FIELDS = 6


class Wildcard(Enum):
    """What a `*` (a run of any length) or a `?` (exactly one character) matches."""

    RUN = "*"
    ONE = "?"
    RUN_IN_FIELD = "*, but no colon"
    ONE_IN_FIELD = "?, but no colon"

    __hash__ = object.__hash__  # faster than `Enum.__hash__`, which is Python code


Piece: TypeAlias = str | Wildcard
Pattern: TypeAlias = tuple[Piece, ...]
"""Literal texts are not empty and never adjacent."""

Matcher: TypeAlias = Callable[[str], bool]

_RUN, _ONE, _RUN_IN_FIELD, _ONE_IN_FIELD = Wildcard

_WILDCARD = re.compile(r"([*?])")
_RUNS = re.compile(r"\*{2,}+")
_READ: dict[str, Piece] = {"*": Wildcard.RUN, "?": Wildcard.ONE}
_EARLY = re.compile(r"(\*(?=:|\Z))|([*?])")
"""Splits at the wildcards of the first five fields: a run at the end of a field, and others."""
_IN_FIELD = {Wildcard.RUN: Wildcard.RUN_IN_FIELD, Wildcard.ONE: Wildcard.ONE_IN_FIELD}
_READ_IN_FIELD: dict[str, Piece] = {"*": Wildcard.RUN_IN_FIELD, "?": Wildcard.ONE_IN_FIELD}
_NOT_SEGMENTS = frozenset(Wildcard) - {Wildcard.RUN}


def read_wildcards(text: str) -> Pattern:
    """Parse `*` and `?` as wildcards that match every character, and everything else as literal text."""
    if "*" not in text and "?" not in text:
        return (text,) if text else ()
    if "**" in text:
        text = _RUNS.sub("*", text)  # runs in a row match what one does
    parts = [*filter(None, _WILDCARD.split(text))]
    return tuple(map(_READ.get, parts, parts))


def is_literal(text: str) -> bool:
    """Return whether a policy text has neither wildcards nor variables, so that it matches only itself."""
    return "*" not in text and "?" not in text and "${" not in text


def literal_prefix(text: str) -> str:
    """Return the text before the first wildcard or variable, which every match starts with."""
    return re.split(r"[*?]|\$\{", text)[0]


def keep_in_fields(pattern: Pattern, *, final_run_is_free: bool) -> Pattern:
    """Restrict the wildcards of the first five ARN fields to characters other than a colon.

    With `final_run_is_free` a `*` that is the last character of its field is not restricted (rule M-12).
    """
    kept = [*pattern]
    colons = 0
    for index, piece in enumerate(pattern):
        if isinstance(piece, str):
            colons += piece.count(":")
            if colons >= ARN_FIELDS - 1:
                break
        elif not (final_run_is_free and piece is _RUN and _ends_field(pattern, index)):
            kept[index] = _IN_FIELD.get(piece, piece)
    return tuple(kept)


def _ends_field(pattern: Pattern, index: int) -> bool:
    return index + 1 == len(pattern) or str(pattern[index + 1]).startswith(":")


# --- choosing the matcher ----------------------------------------------------------------------------------------


def read_arn(text: str, *, final_run_is_free: bool) -> Pattern:
    """Parse `*` and `?` like `keep_in_fields(read_wildcards(text), …)`, in one step for many short texts."""
    if "**" in text:
        text = _RUNS.sub("*", text)
    *early, last = text.split(":", ARN_FIELDS - 1)
    if len(early) < ARN_FIELDS - 1:
        return tuple(_read_early(text, final_run_is_free))
    sixth = read_wildcards(last)
    pieces = [*_read_early(":".join((*early, "")), final_run_is_free)]
    if sixth and isinstance(sixth[0], str):
        pieces[-1] = f"{pieces[-1]}{sixth[0]}"  # the piece before ends with a colon
        sixth = sixth[1:]
    return (*pieces, *sixth)


def _read_early(text: str, final_run_is_free: bool) -> Iterator[Piece]:
    parts = _EARLY.split(text)
    ends = map((_READ if final_run_is_free else _READ_IN_FIELD).get, parts[1::3])
    return filter(None, chain.from_iterable(zip_longest(parts[::3], ends, map(_READ_IN_FIELD.get, parts[2::3]))))


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
    """Compile many patterns into one matcher that matches if any of them does; without patterns it matches nothing."""
    literals: set[str] = set()
    prefixes: list[str] = []
    matchers: list[Matcher] = []
    for pattern in dict.fromkeys(patterns):
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
    return first_of(matchers)


def compile_texts(texts: Iterable[str], read: Callable[[str], Pattern]) -> Matcher:
    """Compile policy texts into one matcher that matches if any of them does; `read` parses a text.

    A text with wildcards is parsed once the matcher gets a value that has all its literal parts. Most never do.
    """
    simple: list[Pattern] = []
    others: list[str] = []
    for text in dict.fromkeys(texts):
        if "?" not in text and text.find("*") in (-1, len(text) - 1):
            simple.append(read(text))
        else:
            others.append(text)
    if not others:
        return compile_any(simple)
    matches_others = _compile_on_demand(others, read)
    return first_of([compile_any(simple), matches_others]) if simple else matches_others


def _compile_on_demand(texts: Sequence[str], read: Callable[[str], Pattern]) -> Matcher:
    entries = tuple([(text, *_needs(text)) for text in texts])
    compiled: dict[str, Matcher] = {}

    def matches(value: str) -> bool:
        length = len(value)
        for text, min_length, part, end in entries:
            if min_length <= length and part in value and value.endswith(end):
                matcher = compiled.get(text)
                if matcher is None:
                    if not all(map(value.__contains__, _literals(text))):
                        continue
                    matcher = compiled[text] = _compile_passing(read(text))
                if matcher(value):
                    return True
        return False

    return matches


def _needs(text: str) -> tuple[int, str, str]:
    """Return what a value needs to match: its minimum length, a part that it must have, and its end."""
    literals = _literals(text)
    return len(text) - text.count("*"), max(reversed(literals[1:]), key=len), literals[-1]


def _literals(text: str) -> list[str]:
    return text.replace("?", "*").split("*")


def _compile_passing(pattern: Pattern) -> Matcher:
    """Compile a pattern that is only asked about texts with what it needs."""
    return compile_pattern(pattern) if _NOT_SEGMENTS.isdisjoint(pattern) else partial(match_pattern, pattern)


def compile_pattern(pattern: Pattern) -> Matcher:
    """Compile one pattern into the cheapest exact matcher."""
    if _NOT_SEGMENTS.isdisjoint(pattern):
        return _compile_segments(_segments(pattern))
    return _compile_pieces(pattern)


def first_of(matchers: Sequence[Matcher]) -> Matcher:
    """Return the matcher that matches if any of them does."""
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


def _ends_with(suffix: str) -> Matcher:
    return lambda text: text.endswith(suffix)


# --- free runs only: literal segments from left to right ---------------------------------------------------------


def _segments(pattern: Pattern) -> list[str]:
    segments = [""]
    for piece in pattern:
        if isinstance(piece, str):
            segments[-1] = piece
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
            return _ends_with(suffix)
        case ["", part, ""]:
            return lambda text: part in text
        case _:
            min_length = sum(map(len, segments))
            return lambda text: min_length <= len(text) and match_segments(segments, text)


def match_segments(segments: Sequence[str], text: str) -> bool:
    """Match literal segments with a run of any length between each two, anchored at both ends."""
    if len(segments) == 1:
        return text == segments[0]
    first, last = segments[0], segments[-1]
    position, end = len(first), len(text) - len(last)
    if position > end or not text.startswith(first) or not text.endswith(last):
        return False
    for segment in segments[1:-1]:  # the first occurrence leaves the most text for the rest: no backtracking
        found = text.find(segment, position, end)
        if found < 0:
            return False
        position = found + len(segment)
    return True


# --- other patterns: piece by piece, then all positions at once ------------------------------------------------------


def _compile_pieces(pattern: Pattern) -> Matcher:
    literals = [piece for piece in pattern if isinstance(piece, str)]
    min_length = sum(map(len, literals)) + sum(piece is _ONE or piece is _ONE_IN_FIELD for piece in pattern)
    longest = max(literals[1:], key=len, default="")  # the first literal is matched first anyway
    end = literals[-1] if isinstance(pattern[-1], str) else ""

    def matches(text: str) -> bool:
        can_match = min_length <= len(text) and text.endswith(end) and longest in text
        return can_match and match_pattern(pattern, text)

    return matches


def match_pattern(pattern: Pattern, text: str) -> bool:
    """Match a pattern without compiling it, for patterns that are used for one request only."""
    position = 0
    for index, piece in enumerate(pattern):
        if isinstance(piece, str):
            if not text.startswith(piece, position):
                return False
            position += len(piece)
        elif piece is _ONE or piece is _ONE_IN_FIELD:
            if text[position : position + 1] in ("", ":" if piece is _ONE_IN_FIELD else ""):
                return False
            position += 1
        elif piece is _RUN_IN_FIELD and _starts_with_colon(pattern, index + 1):
            position = text.find(":", position)  # the run must end there: the only possible position
            if position < 0:
                return False
        else:
            return _match_rest(pattern[index:], text, position)
    return position == len(text)


def _starts_with_colon(pattern: Pattern, index: int) -> bool:
    return index < len(pattern) and str(pattern[index]).startswith(":")


def _match_rest(pattern: Pattern, text: str, position: int) -> bool:
    """Match the rest of a pattern, which starts with a run, with the text from `position` on."""
    if _NOT_SEGMENTS.isdisjoint(pattern):
        return match_segments(_segments(pattern), text[position:])
    return _match_all_positions(pattern, text, 1 << position)


def _match_all_positions(pattern: Pattern, text: str, states: int) -> bool:
    """Match with all positions at once: bit n is set if the pattern so far can match the first n characters."""
    positions = _positions_of(text)
    every = (1 << len(text)) - 1
    no_colon = every ^ positions[":"]
    for piece in pattern:
        if isinstance(piece, str):
            for char in piece:
                states = (states & positions[char]) << 1
        elif piece is _ONE:
            states = (states & every) << 1
        elif piece is _ONE_IN_FIELD:
            states = (states & no_colon) << 1
        elif piece is _RUN:
            states = -(states & -states) & (every << 1 | 1)  # the lowest position and all after it
        else:
            states |= ((states & no_colon) + no_colon) ^ no_colon  # the carry propagates to the next colon
        if not states:
            return False
    return bool(states >> len(text))


class _CharacterPositions(dict[str, int]):
    """The positions of each character of a text, as bits; computed on first access."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __missing__(self, char: str) -> int:
        bits = bytearray(len(self._text) // 8 + 1)
        position = self._text.find(char)
        while position >= 0:
            bits[position >> 3] |= 1 << (position & 7)
            position = self._text.find(char, position + 1)
        self[char] = int.from_bytes(bits, "little")
        return self[char]


_positions_of = lru_cache(maxsize=8)(_CharacterPositions)
"""Cached, because many patterns are matched with the same text."""
