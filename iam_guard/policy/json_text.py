"""A strict JSON parser that records the position of every value (rule G-10).

The standard library's parser is not used: it keeps the last of two equal keys, accepts NaN and unpaired surrogates, and
drops positions. There is one regular expression per kind of token, with possessive repeats, so that each character is
scanned once; nesting, and with it recursion, is limited.
"""

from __future__ import annotations

import re

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
    reader = _Reader(text)
    return JsonText(text, reader.whole(), reader.places, line_starts(text))


def _decode(source: bytes, limit: int) -> str:
    if len(source) > 4 * limit:
        raise size_refusal(limit, f", got {len(source)} bytes")
    try:
        return source.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"expected UTF-8, got an invalid byte at offset {error.start}"
        raise PolicyError(message, place="", finding=SYNTAX) from None


def line_starts(text: str) -> tuple[int, ...]:
    """Return the offset of each line."""
    return (0, *(match.end() for match in re.finditer("\n", text)))


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
