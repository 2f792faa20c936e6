"""A JSON document as a tree of values with their positions (rules AA-26, G-15).

`read_json` (in `json_text`) creates one from text, `from_mapping` from decoded JSON; `canonical` serializes it for the
digest. A number keeps its source text: `1.50` is not `1.5`.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from json.encoder import encode_basestring
from typing import Any, NamedTuple, TypeAlias, final

from iam_guard.errors import PolicyError
from iam_guard.policy.document import Position
from iam_guard.policy.grammar import quoted

MAX_CHARACTERS = 1_048_576
"""The limit for any document that is read. Writes have a lower limit: `quota.RAW_LIMIT`."""
MAX_DEPTH = 64
SYNTAX = "JSON_SYNTAX_ERROR"
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")
SURROGATE = re.compile(r"[\ud800-\udfff]")

Path: TypeAlias = tuple[str | int, ...]


@final
@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number as its source text."""

    text: str


Value: TypeAlias = "str | Number | bool | list[Value] | dict[str, Value] | None"


class Place(NamedTuple):
    """The offset of a value, and of its name if it is a member of an object."""

    value: int
    name: int | None = None


@dataclass(frozen=True)
class JsonText:
    """A JSON text, its tree, and the places of its values.

    `places` has at least the places that were found while parsing; `all_places` finds those of all values. A tree that
    was not parsed from text has no places, and canonical JSON as its text.
    """

    text: str
    root: Value
    places: Mapping[Path, Place] = field(compare=False)
    find_places: Callable[[str], Mapping[Path, Place]] | None = field(default=None, compare=False)
    """Finds the places in the text; None if `places` is complete."""

    @cached_property
    def all_places(self) -> Mapping[Path, Place]:
        """The places of all values."""
        return self.places if self.find_places is None else self.find_places(self.text)

    @cached_property
    def _line_starts(self) -> tuple[int, ...]:
        return line_starts(self.text)

    def locate(self, path: Path, *, name: bool = False) -> tuple[str, Position | None]:
        """Return the JSON pointer and the position of the value at `path`, or of its name.

        An index into a scalar that represents a one-element list (rule G-14) leads to the scalar; a step to a missing
        value leads to its parent.
        """
        _, steps = self._walk(path)
        return pointer(steps), self._position(steps, name=name)

    def position(self, path: Path, *, name: bool = False) -> Position | None:
        """Return the position of the value at `path`, or of its name (rule AA-26)."""
        if path not in self.places:
            path = self._walk(path)[1] if self.places else path
        return self._position(path, name=name)

    def find(self, path: Path) -> Value:
        """Return the value at `path`; None if its last step does not exist."""
        value, steps = self._walk(path)
        return value if steps[-1:] == path[-1:] else None

    def canonical(self) -> str:
        """Return the canonical JSON, which the digest is computed from."""
        return canonical(self.root) if self.places else self.text

    def _walk(self, path: Path) -> tuple[Value, Path]:
        value, steps = self.root, list[str | int]()
        for step in path:
            if isinstance(step, str):
                if not isinstance(value, dict) or step not in value:
                    continue
                value = value[step]
            elif isinstance(value, list) and 0 <= step < len(value):
                value = value[step]
            else:
                continue
            steps.append(step)
        return value, tuple(steps)

    def existing(self, path: Path) -> Path:
        """Return the steps of a path that exist in the document, as `locate` walks them."""
        return self._walk(path)[1]

    def position_at(self, offset: int) -> Position:
        """Return the position of an offset in the text."""
        line = bisect_right(self._line_starts, offset)
        return Position(line, offset - self._line_starts[line - 1], offset)

    def _position(self, steps: Path, *, name: bool) -> Position | None:
        place = self.places.get(steps) or self.all_places.get(steps)
        if place is None:
            return None
        return self.position_at(place.name if name and place.name is not None else place.value)

    def refusal(
        self, message: str, path: Path, *, finding: str, sentence: str = "Syntax errors in policy.", name: bool = False
    ) -> PolicyError:
        """Return the error that refuses the value at `path`."""
        place, position = self.locate(path, name=name)
        line, column = (position.line, position.column) if position else (None, None)
        return PolicyError(message, place=place, line=line, column=column, sentence=sentence, finding=finding)


def line_starts(text: str) -> tuple[int, ...]:
    """Return the offset of each line."""
    return (0, *(match.end() for match in re.finditer("\n", text)))


def pointer(steps: Sequence[str | int]) -> str:
    """Return a path as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def steps_of(place: str) -> Path:
    """Parse a JSON pointer. A number is an index, also where it was a name."""
    names = (name.replace("~1", "/").replace("~0", "~") for name in place.split("/")[1:])
    return tuple(int(name) if name.isdecimal() else name for name in names)


# --- from decoded JSON -----------------------------------------------------------------------------------------------


def from_mapping(source: Mapping[str, Any], limit: int = MAX_CHARACTERS) -> JsonText:
    """Convert a decoded document; raise `PolicyError` for a value that is not JSON. Its text is the canonical JSON."""
    root = _TreeBuilder(limit).value(source, ())
    text = canonical(root)
    if len(text) > limit:
        raise size_refusal(limit, f", got {len(text)}")
    return JsonText(text, root, {})


def size_refusal(limit: int, got: str = "") -> PolicyError:
    """Return the error for a document that is too long."""
    return PolicyError(f"expected at most {limit} characters{got}", place="", finding=SYNTAX)


class _TreeBuilder:
    """Converts one document; `left` is the number of values it may still have: each takes at least one character.

    This bounds the work for a list that contains itself, or another list many times.
    """

    __slots__ = ("left", "limit")

    def __init__(self, limit: int) -> None:
        self.left = self.limit = limit

    def value(self, value: Any, path: Path) -> Value:
        match value:
            case str():
                return _string(value, path)
            case list() | tuple() if len(path) < MAX_DEPTH:
                self.count(len(value))
                return [self.value(element, (*path, index)) for index, element in enumerate(value)]
            case dict() | Mapping() if len(path) < MAX_DEPTH:
                self.count(len(value))
                return {_name(name, path): self.value(member, (*path, name)) for name, member in value.items()}
            case bool() | None:
                return value
            case int() | float():
                return _number(value, path)
            case list() | tuple() | Mapping():
                raise PolicyError(f"nested deeper than {MAX_DEPTH} levels", place=pointer(path), finding=SYNTAX)
        message = f"expected a JSON value, got {quoted(type(value).__name__)}"
        raise PolicyError(message, place=pointer(path), finding="DATA_TYPE_MISMATCH")

    def count(self, members: int) -> None:
        self.left -= members
        if self.left < 0:
            raise size_refusal(self.limit)


def _name(name: Any, path: Path) -> str:
    if isinstance(name, str):
        return _string(name, path)
    message = f"expected a string as key, got {quoted(type(name).__name__)}"
    raise PolicyError(message, place=pointer(path), finding="DATA_TYPE_MISMATCH")


def _string(value: str, path: Path) -> str:
    if value.isascii() or not SURROGATE.search(value):
        return str.__str__(value)
    raise PolicyError("expected Unicode text, got an unpaired surrogate", place=pointer(path), finding=SYNTAX)


def _number(value: float, path: Path) -> Number:
    if isinstance(value, int) and value.bit_length() > 1024:
        raise PolicyError("expected a number of at most 308 digits", place=pointer(path), finding=SYNTAX)
    text = int.__repr__(value) if isinstance(value, int) else float.__repr__(value)
    if not NUMBER.fullmatch(text):
        raise PolicyError(f"expected a JSON number, got {quoted(text)}", place=pointer(path), finding=SYNTAX)
    return Number(text)


# --- to canonical text -----------------------------------------------------------------------------------------------


_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, sort_keys=True, separators=(",", ":")).encode


def canonical(value: Value) -> str:
    """Serialize a tree as canonical JSON: keys sorted, no white space, numbers as their source text."""
    try:
        return _encode(value)
    except TypeError:  # it has a `Number`, whose text the standard library cannot write
        return _canonical(value)


def _canonical(value: Value) -> str:
    match value:
        case str() as text:
            return encode_basestring(text)
        case list() as elements:
            return "[" + ",".join(map(_canonical, elements)) + "]"
        case dict() as members:
            names = sorted(members)
            return "{" + ",".join(f"{encode_basestring(name)}:{_canonical(members[name])}" for name in names) + "}"
        case Number(text):
            return text
        case True:
            return "true"
        case False:
            return "false"
    return "null"
