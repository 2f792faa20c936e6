"""Wildcards: `*` and `?`, in plain text and in the fields of an ARN (rules M-4, M-6, M-12, M-15, M-16, C-11, C-25).

A pattern is a sequence of pieces: literal text, and wildcards that know whether they may match a colon. That one flag
is all that tells the three readings of a `*` apart:

- plain text (actions, `StringLike`): every wildcard matches every character;
- `Resource`: in the first five fields a wildcard stays within its field, but a `*` that ends a field may run on (M-12);
- ARN conditions: in the first five fields every wildcard stays within its field (C-25).

Strategy: the cheapest matcher that is exact. Where every wildcard is a free `*`: equality, prefix, suffix, containment,
or the literal segments from left to right, each at its first place, which is linear. Everything else is walked piece by
piece as long as only one place of the text can follow, and from there with all places at once, as the bits of one
integer: one step for each character of the pattern, however long the text. Nothing is tried twice, and a pattern that
cannot fit (too long, a literal that the text does not hold) is not walked at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import lru_cache
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

_RUN, _ONE, _RUN_IN_FIELD, _ONE_IN_FIELD = Wildcard

_WILDCARD = re.compile(r"([*?])")
_READ = {"*": Wildcard.RUN, "?": Wildcard.ONE}
_IN_FIELD = {Wildcard.RUN: Wildcard.RUN_IN_FIELD, Wildcard.ONE: Wildcard.ONE_IN_FIELD}


def read_wildcards(text: str) -> Pattern:
    """Read `*` and `?` as wildcards that match every character, everything else as itself."""
    if "*" not in text and "?" not in text:
        return (text,) if text else ()
    return tuple(_READ.get(part, part) for part in _WILDCARD.split(text) if part)


def is_literal(text: str) -> bool:
    """Return whether a policy text has neither wildcard nor variable, so that it matches itself alone."""
    return "*" not in text and "?" not in text and "${" not in text


def literal_prefix(text: str) -> str:
    """Return what everything that matches a policy text begins with: the text before the first wildcard or variable."""
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
    """Compile many patterns into one matcher that holds when any of them matches; no pattern matches nothing."""
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
    """Compile one pattern into the cheapest matcher that is exact."""
    if all(piece is Wildcard.RUN or isinstance(piece, str) for piece in pattern):
        return _compile_segments(_segments(pattern))
    return _compile_walk(pattern)


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
            needed = sum(map(len, segments))
            return lambda text: needed <= len(text) and match_segments(segments, text)


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


# --- everything else: piece by piece, then all ways at once --------------------------------------------------------


def _compile_walk(pattern: Pattern) -> Matcher:
    literals = [piece for piece in pattern if isinstance(piece, str)]
    needed = sum(map(len, literals)) + sum(piece is _ONE or piece is _ONE_IN_FIELD for piece in pattern)
    longest = max(literals[1:], key=len, default="")  # the first is what the walk begins with
    end = literals[-1] if isinstance(pattern[-1], str) else ""

    def matches(text: str) -> bool:
        may = needed <= len(text) and text.endswith(end) and longest in text
        return may and match_pattern(pattern, text)

    return matches


def match_pattern(pattern: Pattern, text: str) -> bool:
    """Match a pattern that is not worth compiling, since it was made for this one request."""
    place = 0
    for number, piece in enumerate(pattern):
        if isinstance(piece, str):
            if not text.startswith(piece, place):
                return False
            place += len(piece)
        elif piece is _ONE or piece is _ONE_IN_FIELD:
            if text[place : place + 1] in ("", ":" if piece is _ONE_IN_FIELD else ""):
                return False
            place += 1
        elif piece is _RUN_IN_FIELD and _starts_with_colon(pattern, number + 1):
            place = text.find(":", place)  # it must end there, so this is the only way
            if place < 0:
                return False
        else:
            return _match_open(pattern[number:], text, place)
    return place == len(text)


def _starts_with_colon(pattern: Pattern, number: int) -> bool:
    return number < len(pattern) and str(pattern[number]).startswith(":")


def _match_open(pattern: Pattern, text: str, place: int) -> bool:
    """Match the rest of a pattern, which begins with a run, against the text from `place` on."""
    if all(piece is Wildcard.RUN or isinstance(piece, str) for piece in pattern):
        return match_segments(_segments(pattern), text[place:])
    return _follow(pattern, text, 1 << place)


def _follow(pattern: Pattern, text: str, ways: int) -> bool:
    """Follow all ways at once: bit n says that the pattern so far can match the first n characters of the text."""
    places = _places_of(text)
    every = (1 << len(text)) - 1
    inside = every ^ places[":"]
    for piece in pattern:
        if isinstance(piece, str):
            for char in piece:
                ways = (ways & places[char]) << 1
        elif piece is _ONE:
            ways = (ways & every) << 1
        elif piece is _ONE_IN_FIELD:
            ways = (ways & inside) << 1
        elif piece is _RUN:
            ways = -(ways & -ways) & (every << 1 | 1)  # the first way and all places behind it
        else:
            ways |= ((ways & inside) + inside) ^ inside  # the carry runs on to the next colon
        if not ways:
            return False
    return bool(ways >> len(text))


class _Places(dict[str, int]):
    """Where each character of a text stands, as bits; found out when it is first asked for."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __missing__(self, char: str) -> int:
        bits = bytearray(len(self._text) // 8 + 1)
        place = self._text.find(char)
        while place >= 0:
            bits[place >> 3] |= 1 << (place & 7)
            place = self._text.find(char, place + 1)
        self[char] = int.from_bytes(bits, "little")
        return self[char]


_places_of = lru_cache(maxsize=8)(_Places)
"""Many patterns are tried on one text."""
