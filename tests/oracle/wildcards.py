"""Wildcards in policy texts (M-4).

A pattern is a list of `Char`. A character that came out of a variable, or out of `${*}`, is never a wildcard
(M-20, M-22), so a pattern cannot be a plain string. Each character records whether it matches a colon (M-12, C-25).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

COLONS_OF_AN_ARN = 5


@dataclass(frozen=True, slots=True)
class Char:
    """One character of a policy text; `*` and `?` are wildcards unless they come from a variable."""

    text: str
    is_wildcard: bool = False
    crosses_colon: bool = True


def literal(text: str) -> list[Char]:
    """Return every character as literal text."""
    return [Char(character) for character in text]


def pattern(text: str) -> list[Char]:
    """Parse `*` and `?` as wildcards and everything else as literal text (M-4, M-6)."""
    return [Char(character, is_wildcard=character in "*?") for character in text]


def plain(chars: Iterable[Char]) -> str:
    """Return the text of a pattern."""
    return "".join(char.text for char in chars)


def within_colons(chars: Iterable[Char]) -> list[Char]:
    """Restrict the wildcards to characters other than a colon (M-12, C-25)."""
    return [replace(char, crosses_colon=False) for char in chars]


def fields(chars: list[Char]) -> list[list[Char]]:
    """Split at the first five colons; the sixth field keeps its colons (M-12, C-25)."""
    split: list[list[Char]] = [[]]
    for char in chars:
        if char.text == ":" and len(split) <= COLONS_OF_AN_ARN:
            split.append([])
        else:
            split[-1].append(char)
    return split


def matches(chars: list[Char], text: str) -> bool:
    """Return whether the whole text is matched, anchored at both ends (M-4).

    Dynamic programming: after each pattern character, the set of places in the text that can have been reached.
    """
    reached = {0}
    for char in chars:
        reached = {place for start in reached for place in _places_after(char, text, start)}
    return len(text) in reached


def _places_after(char: Char, text: str, start: int) -> list[int]:
    if char.is_wildcard and char.text == "*":
        return _places_after_a_run(char, text, start)
    if start == len(text):
        return []
    if char.is_wildcard:  # `?` is exactly one character (M-4)
        return [start + 1] if char.crosses_colon or text[start] != ":" else []
    return [start + 1] if text[start] == char.text else []


def _places_after_a_run(char: Char, text: str, start: int) -> list[int]:
    places = [start]  # the empty run (M-4)
    for place in range(start, len(text)):
        if text[place] == ":" and not char.crosses_colon:
            break
        places.append(place + 1)
    return places
