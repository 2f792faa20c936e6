"""A JSON document as a tree of values that know their places (rules AA-26, G-15).

`read_json` (in `json_text`) makes one from text, `from_mapping` from what somebody has decoded already; `canonical`
writes its content as the one text that the digest is taken of. A number keeps its source text: `1.50` is not `1.5`.
Must not live here: reading text (`json_text`), what a policy may contain (`shape`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any, NamedTuple, TypeAlias, final

from iam_guard.errors import PolicyError
from iam_guard.policy.document import Position
from iam_guard.policy.grammar import quoted

MAX_CHARACTERS = 131_072  # G-74
MAX_DEPTH = 64
SYNTAX = "JSON_SYNTAX_ERROR"
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")
SURROGATE = re.compile(r"[\ud800-\udfff]")

Path: TypeAlias = tuple[str | int, ...]


@final
@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number as it was written."""

    text: str


class Node(NamedTuple):
    """One value and where it begins; `name_offset` is where its name begins, if it is a member of an object."""

    value: Value
    offset: int | None = None
    name_offset: int | None = None


Value: TypeAlias = "str | Number | bool | list[Node] | dict[str, Node] | None"


@dataclass(frozen=True, slots=True)
class JsonText:
    """A whole JSON text and its tree; the places are None where the tree was not read from text."""

    text: str
    root: Node
    line_starts: tuple[int, ...]

    def position(self, offset: int | None) -> Position | None:
        """Turn an offset into line and column (rule AA-26)."""
        if offset is None:
            return None
        line = bisect_right(self.line_starts, offset)
        return Position(line, offset - self.line_starts[line - 1], offset)

    def locate(self, path: Path, *, name: bool = False) -> tuple[str, Position | None]:
        """Find the JSON pointer and the position of what `path` leads to, or of its name.

        An index into a scalar that stands for a one-element list (rule G-14) is the scalar; a step to what is not
        there ends at its parent.
        """
        node, steps = self._walk(path)
        at = node.name_offset if name and node.name_offset is not None else node.offset
        return pointer(steps), self.position(at)

    def find(self, path: Path) -> Node | None:
        """Give the node that `path` leads to; None where its last step leads nowhere."""
        node, steps = self._walk(path)
        return node if steps[-1:] == list(path[-1:]) else None

    def _walk(self, path: Path) -> tuple[Node, list[str | int]]:
        node, steps = self.root, list[str | int]()
        for step in path:
            child = _child(node, step)
            if child is not None:
                node = child
                steps.append(step)
        return node, steps

    def refusal(
        self, message: str, path: Path, *, finding: str, sentence: str = "Syntax errors in policy.", name: bool = False
    ) -> PolicyError:
        """Make the error that refuses what stands at `path`."""
        place, position = self.locate(path, name=name)
        line, column = (position.line, position.column) if position else (None, None)
        return PolicyError(message, place=place, line=line, column=column, sentence=sentence, finding=finding)


def _child(node: Node, step: str | int) -> Node | None:
    value = node.value
    if isinstance(value, dict) and isinstance(step, str):
        return value.get(step)
    elements: list[Node] = value if isinstance(value, list) else []
    return elements[step] if isinstance(step, int) and 0 <= step < len(elements) else None


def pointer(steps: Sequence[str | int]) -> str:
    """Write a path as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


# --- from what is decoded already ------------------------------------------------------------------------------------


def from_mapping(source: Mapping[str, Any]) -> JsonText:
    """Take a decoded document; raise `PolicyError` for what no JSON text decodes to. Its text is the canonical one."""
    root = Node(_taken(source, ()))
    text = canonical(root)
    if len(text) > MAX_CHARACTERS:
        message = f"expected at most {MAX_CHARACTERS} characters, got {len(text)}"
        raise PolicyError(message, place="", finding=SYNTAX)  # G-74
    return JsonText(text, root, (0,))


def _taken(value: Any, path: Path) -> Value:
    match value:
        case bool() | None:
            return value
        case str():
            return _taken_string(value, path)
        case int() | float():
            return _taken_number(value, path)
        case Mapping() | list() | tuple() if len(path) >= MAX_DEPTH:
            raise PolicyError(f"nested deeper than {MAX_DEPTH} levels", place=pointer(path), finding=SYNTAX)
        case Mapping():
            return dict(_taken_members(value, path))
        case list() | tuple():
            return [Node(_taken(each, (*path, index))) for index, each in enumerate(value)]
    message = f"expected a JSON value, got {quoted(type(value).__name__)}"
    raise PolicyError(message, place=pointer(path), finding="DATA_TYPE_MISMATCH")


def _taken_members(value: Mapping[Any, Any], path: Path) -> Iterator[tuple[str, Node]]:
    for name, each in value.items():
        if not isinstance(name, str):
            message = f"expected a string as key, got {quoted(type(name).__name__)}"
            raise PolicyError(message, place=pointer(path), finding="DATA_TYPE_MISMATCH")
        yield _taken_string(name, path), Node(_taken(each, (*path, name)))


def _taken_string(value: str, path: Path) -> str:
    if SURROGATE.search(value):
        raise PolicyError("a half surrogate is no character", place=pointer(path), finding=SYNTAX)
    return str.__str__(value)


def _taken_number(value: float, path: Path) -> Number:
    if isinstance(value, int) and value.bit_length() > 1024:
        raise PolicyError("expected a number of at most 308 digits", place=pointer(path), finding=SYNTAX)
    text = int.__repr__(value) if isinstance(value, int) else float.__repr__(value)
    if not NUMBER.fullmatch(text):
        raise PolicyError(f"expected a number of JSON, got {quoted(text)}", place=pointer(path), finding=SYNTAX)
    return Number(text)


# --- to canonical text -----------------------------------------------------------------------------------------------


def canonical(node: Node) -> str:
    """Write a tree as the one JSON text of its content: keys sorted, no white space, numbers as they were written."""
    match node.value:
        case str() as text:
            return encode_basestring(text)
        case list() as elements:
            return "[" + ",".join(map(canonical, elements)) + "]"
        case dict() as members:
            names = sorted(members)
            return "{" + ",".join(f"{encode_basestring(name)}:{canonical(members[name])}" for name in names) + "}"
        case Number(text):
            return text
        case True:
            return "true"
        case False:
            return "false"
    return "null"
