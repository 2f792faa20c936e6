"""A strict JSON parser that records the position of every value (rule G-10).

`_Reader` is the specification. The standard library's parser keeps the last of two equal keys, accepts NaN and unpaired
surrogates, and drops positions. `_Reader` has one regular expression per kind of token, with possessive repeats, so
that each character is scanned once; nesting, and with it recursion, is limited.

Most documents have nothing that the two would read differently. `_read_top` reads these with the standard library, one
member of the root, or one element of a list there, at a time: so it knows the places of statements. Everything else,
every refused text included, is read by `_Reader`, and so are the other places when an error or a report needs them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from iam_guard.errors import PolicyError
from iam_guard.policy.grammar import quoted
from iam_guard.policy.json_tree import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    NUMBER,
    SURROGATE,
    SYNTAX,
    JsonText,
    Number,
    Path,
    Place,
    Value,
    pointer,
    size_refusal,
)

_SPACE = re.compile(r"[ \t\n\r]*+")
_ESCAPE = r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_CHARACTERS = r'[^"\\\x00-\x1f]*+'
_INSIDE = re.compile(rf"{_CHARACTERS}(?:{_ESCAPE}{_CHARACTERS})*+")
_STRING = re.compile(rf'"({_INSIDE.pattern})"')
_NAME = re.compile(rf'"({_INSIDE.pattern})"[ \t\n\r]*+:[ \t\n\r]*+')
_WORD = re.compile(r"(true|false|null)(?![A-Za-z0-9_])")
_WORDS = {"true": True, "false": False, "null": None}
_COMMA = re.compile(r"[ \t\n\r]*+,[ \t\n\r]*+")
_SEEN = re.compile(r"[-+.\w]{1,40}|.", re.DOTALL)
_SURROGATE_PAIR = r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
_ESCAPED = re.compile(rf'{_SURROGATE_PAIR}|\\u([0-9a-fA-F]{{4}})|\\(["\\/bfnrt])')
_SHORT_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def read_json(source: str | bytes, limit: int = MAX_CHARACTERS) -> JsonText:
    """Parse one JSON text of at most `limit` characters; raise `PolicyError` with line and column if it is invalid."""
    text = _decode(source, limit) if isinstance(source, bytes) else source
    if len(text) > limit:
        raise size_refusal(limit, f", got {len(text)}")
    return _read_plain(text) or read_strictly(text)


def _decode(source: bytes, limit: int) -> str:
    if len(source) > 4 * limit:
        raise size_refusal(limit, f", got {len(source)} bytes")
    try:
        return source.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"expected UTF-8, got an invalid byte at offset {error.start}"
        raise PolicyError(message, place="", finding=SYNTAX) from None


def read_strictly(text: str) -> JsonText:
    """Parse a text of any length as the specification does, with the places of all values."""
    reader = _Reader(text)
    return JsonText(text, reader.whole(), reader.places)


def end_of_value(text: str, begin: int) -> int:
    """Return the offset after the value, or the name of a member, that begins at an offset of a valid JSON text."""
    string = _STRING.match(text, begin)
    return _scan(text, begin)[1] if string is None else string.end()


def characters_of_string(text: str, begin: int) -> list[int]:
    """Return the offset of each character of the string that begins at an offset, and that of its closing quote.

    An escape sequence is one character.
    """
    offsets, at = [], begin + 1
    while text[at] != '"':
        offsets.append(at)
        escaped = _ESCAPED.match(text, at)
        at = at + 1 if escaped is None else escaped.end()
    return [*offsets, at]


# --- with the standard library -----------------------------------------------------------------------------------


class _Unusual(ValueError):
    """Raised for a value that the standard library would accept or read differently."""


def _members(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _Unusual  # duplicate key
    return members


def _number(text: str) -> Number:
    if not NUMBER.fullmatch(text):
        raise _Unusual  # NaN, Infinity
    return Number(text)


_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_number, parse_float=_number, parse_constant=_number
).scan_once  # type: ignore[attr-defined]  # an attribute since Python 2.6 that typeshed lacks
"""Reads the value at an offset, and returns it with the offset after it."""
_FIRST_NAME = re.compile(r"[ \t\n\r]*+\{[ \t\n\r]*+(?=\")")
_FIRST_ELEMENT = re.compile(r"\[[ \t\n\r]*+(?![\] \t\n\r])")
_END_OF_LIST = re.compile(r"[ \t\n\r]*+\]")
_END = re.compile(r"[ \t\n\r]*+\}[ \t\n\r]*+")


def _read_plain(text: str) -> JsonText | None:
    """Parse an object that `_Reader` certainly reads to the same tree; None if that is not certain."""
    if "\\u" in text or not (text.isascii() or SURROGATE.search(text) is None):
        return None
    places: dict[Path, Place] = {}
    try:
        root = _read_top(text, places)
    except (ValueError, StopIteration, RecursionError):
        return None
    if root is None or (text.count("{") + text.count("[") > MAX_DEPTH and _is_deep(root)):
        return None
    return JsonText(text, root, places, _find_places)


def _find_places(text: str) -> Mapping[Path, Place]:
    return read_strictly(text).places


def _read_top(text: str, places: dict[Path, Place]) -> dict[str, Value] | None:
    """Parse an object with at least one member; None if it is something else, or no JSON."""
    begin = _FIRST_NAME.match(text)
    if begin is None:
        return None
    places[()] = Place(text.index("{"))
    root: dict[str, Value] = {}
    name_at = begin.end()
    while True:
        found = _NAME.match(text, name_at)
        if found is None:
            return None
        name, value_at = found[1], found.end()
        if name in root or "\\" in name:
            return None
        places[(name,)] = Place(value_at, name_at)
        elements = _FIRST_ELEMENT.match(text, value_at)
        if elements is None:
            root[name], end = _scan(text, value_at)
        else:
            root[name], end = _read_elements(text, name, elements.end(), places)
        comma = _COMMA.match(text, end)
        if comma is None:
            break
        name_at = comma.end()
    return root if _END.fullmatch(text, end) else None


def _read_elements(text: str, name: str, at: int, places: dict[Path, Place]) -> tuple[list[Value], int]:
    elements: list[Value] = []
    while True:
        places[name, len(elements)] = Place(at)
        value, end = _scan(text, at)
        elements.append(value)
        comma = _COMMA.match(text, end)
        if comma is None:
            break
        at = comma.end()
    closed = _END_OF_LIST.match(text, end)
    if closed is None:
        raise _Unusual
    return elements, closed.end()


def _is_deep(root: Value) -> bool:
    """Return whether a tree is nested deeper than `_Reader` accepts."""
    level: list[Value] = [root]
    for _ in range(MAX_DEPTH):
        level = [
            member
            for value in level
            for member in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
            if isinstance(member, (dict, list))
        ]
    return bool(level)


# --- the specification -------------------------------------------------------------------------------------------


class _Reader:
    """Parses one text from left to right; `path` is the current path, `places` has the values parsed so far."""

    __slots__ = ("path", "places", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.path: list[str | int] = []
        self.places: dict[Path, Place] = {}

    def whole(self) -> Value:
        surrogate = SURROGATE.search(self.text)
        if surrogate:
            raise self.fault("expected Unicode text, got an unpaired surrogate", surrogate.start())
        value, end = self.element(Place(self.space(0)), 0)
        after = self.space(end)
        if after < len(self.text):
            raise self.expected("the end of the document", after)
        return value

    def space(self, at: int) -> int:
        match = _SPACE.match(self.text, at)
        return match.end() if match else at

    def element(self, place: Place, depth: int) -> tuple[Value, int]:
        self.places[tuple(self.path)] = place
        return self.value(place.value, depth)

    def value(self, at: int, depth: int) -> tuple[Value, int]:
        first = self.text[at : at + 1]
        if first == '"':
            return self.string(at)
        if first == "{" or first == "[":
            if depth == MAX_DEPTH:
                raise self.fault(f"nested deeper than {MAX_DEPTH} levels", at)
            return self.object(at, depth + 1) if first == "{" else self.array(at, depth + 1)
        number = NUMBER.match(self.text, at)
        if number:
            return Number(number[0]), number.end()
        word = _WORD.match(self.text, at)
        if word:
            return _WORDS[word[0]], word.end()
        raise self.expected("a value", at)

    def object(self, at: int, depth: int) -> tuple[dict[str, Value], int]:
        members: dict[str, Value] = {}
        name_at = self.space(at + 1)
        if self.text[name_at : name_at + 1] == "}":
            return members, name_at + 1
        while True:
            name, value_at = self.name(name_at)
            if name in members:
                raise self.fault(f"duplicate key {quoted(name)} in an object", name_at)  # G-10
            self.path.append(name)
            members[name], end = self.element(Place(value_at, name_at), depth)
            self.path.pop()
            comma = _COMMA.match(self.text, end)
            if not comma:
                return members, self.close("}", end)
            name_at = comma.end()

    def array(self, at: int, depth: int) -> tuple[list[Value], int]:
        elements: list[Value] = []
        value_at = self.space(at + 1)
        if self.text[value_at : value_at + 1] == "]":
            return elements, value_at + 1
        while True:
            self.path.append(len(elements))
            value, end = self.element(Place(value_at), depth)
            self.path.pop()
            elements.append(value)
            comma = _COMMA.match(self.text, end)
            if not comma:
                return elements, self.close("]", end)
            value_at = comma.end()

    def close(self, bracket: str, at: int) -> int:
        at = self.space(at)
        if self.text[at : at + 1] != bracket:
            raise self.expected(f"`,` or `{bracket}`", at)
        return at + 1

    def name(self, at: int) -> tuple[str, int]:
        match = _NAME.match(self.text, at)
        if match:
            return self.unescape(match[1], at), match.end()
        if self.text[at : at + 1] != '"':
            raise self.expected("a key in double quotes", at)
        _, end = self.string(at)
        raise self.expected("`:`", self.space(end))

    def string(self, at: int) -> tuple[str, int]:
        match = _STRING.match(self.text, at)
        if match:
            return self.unescape(match[1], at), match.end()
        inside = _INSIDE.match(self.text, at + 1)
        end = inside.end() if inside else at + 1
        match self.text[end : end + 1]:
            case "":
                raise self.fault("unterminated string", at)
            case "\\":
                raise self.fault(f"expected a JSON escape sequence, got {quoted(self.text[end : end + 2])}", end)
            case character:
                raise self.fault(f"expected \\u{ord(character):04x}, got an unescaped control character", end)

    def unescape(self, inside: str, at: int) -> str:
        if "\\" not in inside:
            return inside
        plain = _ESCAPED.sub(_unescaped, inside)
        if SURROGATE.search(plain):
            raise self.fault("expected Unicode text, got an unpaired surrogate", at)
        return plain

    def expected(self, what: str, at: int) -> PolicyError:
        seen = _SEEN.match(self.text, at)
        return self.fault(f"expected {what}, got {quoted(seen[0]) if seen else 'the end'}", at)

    def fault(self, message: str, at: int) -> PolicyError:
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1)
        return PolicyError(message, place=pointer(self.path), line=line, column=column, finding=SYNTAX)


def _unescaped(match: re.Match[str]) -> str:
    high, low, code, short = match.groups()
    if short:
        return _SHORT_ESCAPES[short]
    if code:
        return chr(int(code, 16))
    return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00))
