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
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import lru_cache
from typing import TypeAlias

ARN_FIELDS = 6


class Wildcard(Enum):
    """What a `*` (a run of any length) or a `?` (exactly one character) matches."""

    RUN = "*"
    ONE = "?"
    RUN_IN_FIELD = "*, but no colon"
    ONE_IN_FIELD = "?, but no colon"


Piece: TypeAlias = str | Wildcard
Pattern: TypeAlias = tuple[Piece, ...]
"""Literal texts are not empty and never adjacent."""

Matcher: TypeAlias = Callable[[str], bool]

_RUN, _ONE, _RUN_IN_FIELD, _ONE_IN_FIELD = Wildcard

_WILDCARD = re.compile(r"([*?])")
_READ = {"*": Wildcard.RUN, "?": Wildcard.ONE}
_IN_FIELD = {Wildcard.RUN: Wildcard.RUN_IN_FIELD, Wildcard.ONE: Wildcard.ONE_IN_FIELD}


def read_wildcards(text: str) -> Pattern:
    """Parse `*` and `?` as wildcards that match every character, and everything else as literal text."""
    if "*" not in text and "?" not in text:
        return (text,) if text else ()
    return tuple(_READ.get(part, part) for part in _WILDCARD.split(text) if part)


def is_literal(text: str) -> bool:
    """Return whether a policy text has neither wildcards nor variables, so that it matches only itself."""
    return "*" not in text and "?" not in text and "${" not in text


def literal_prefix(text: str) -> str:
    """Return the text before the first wildcard or variable, which every match starts with."""
    return re.split(r"[*?]|\$\{", text, maxsplit=1)[0]


def keep_in_fields(pattern: Pattern, *, final_run_is_free: bool) -> Pattern:
    """Restrict the wildcards of the first five ARN fields to characters other than a colon.

    With `final_run_is_free` a `*` that is the last character of its field is not restricted (rule M-12).
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
        kept.append(piece if is_free or colons >= ARN_FIELDS - 1 else _IN_FIELD.get(piece, piece))
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
    """Compile many patterns into one matcher that matches if any of them does; without patterns it matches nothing."""
    literals: set[str] = set()
    prefixes: list[str] = []
    suffixes: list[str] = []
    matchers: list[Matcher] = []
    for pattern in dict.fromkeys(patterns):
        match pattern:
            case () | (str(),):
                literals.add("".join(str(piece) for piece in pattern))
            case (Wildcard.RUN,):
                return always
            case (str() as prefix, Wildcard.RUN):
                prefixes.append(prefix)
            case (Wildcard.RUN, str() as suffix):
                suffixes.append(suffix)
            case _:
                matchers.append(compile_pattern(pattern))
    if suffixes:
        matchers.insert(0, _ends_with(tuple(suffixes)))
    if prefixes:
        matchers.insert(0, _starts_with(tuple(prefixes)))
    if literals:
        matchers.insert(0, frozenset(literals).__contains__)
    return _first_of(matchers)


def compile_pattern(pattern: Pattern) -> Matcher:
    """Compile one pattern into the cheapest exact matcher."""
    if all(piece is Wildcard.RUN or isinstance(piece, str) for piece in pattern):
        return _compile_segments(_segments(pattern))
    return _compile_pieces(pattern)


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


def _ends_with(suffixes: str | tuple[str, ...]) -> Matcher:
    return lambda text: text.endswith(suffixes)


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
    if all(piece is Wildcard.RUN or isinstance(piece, str) for piece in pattern):
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
