"""Parses YAML (and so JSON) to a tree with lines and columns, without YAML's surprises, and converts it to JSON.

The tree is built from the parser's events, not by PyYAML's constructors: tags (and so objects) are rejected, scalars
stay as written (an account id is not an octal number, `no` is not false, `2012-10-17` is not a date), duplicate keys
are problems, and aliases count with their whole content towards the limits.

In JSON, a plain scalar is null, a boolean or a number if JSON has it as one (`~` and an empty one are null too), and
otherwise a string. Every reader of policies in YAML converts them so: digests agree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from iam_guard.policy.problems import Problems

MAX_CHARACTERS = 64 * 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 5_000_000

_LOADER = yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS = {"true": "true", "True": "true", "TRUE": "true", "false": "false", "False": "false", "FALSE": "false"}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar as written. `plain`: without quotes; `literal`: a `|` block, which starts on the next line."""

    text: str
    line: int
    plain: bool = False
    literal: bool = False
    size: int = 1
    depth: int = 0
    column: int = 0

    @property
    def is_null(self) -> bool:
        return self.plain and self.text in _NULLS


@dataclass(frozen=True, slots=True)
class ListNode:
    items: tuple[Node, ...]
    line: int
    size: int
    depth: int
    column: int = 0


@dataclass(frozen=True, slots=True)
class MapNode:
    pairs: tuple[tuple[Scalar, Node], ...]
    line: int
    size: int
    depth: int
    column: int = 0

    def pair(self, key: str) -> tuple[Scalar, Node] | None:
        return next((pair for pair in self.pairs if pair[0].text == key), None)

    def get(self, key: str) -> Node | None:
        pair = self.pair(key)
        return None if pair is None else pair[1]


Node: TypeAlias = Scalar | ListNode | MapNode


def read_tree(text: str, problems: Problems) -> Node:
    """Parse one YAML document. Raises `SeedError` if it is not valid."""
    if len(text) > MAX_CHARACTERS:
        raise problems.fatal(1, f"expected at most {MAX_CHARACTERS} characters")
    builder = _Builder(problems)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.add_event(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise problems.fatal(mark.line + 1 if mark else 1, f"not readable as YAML: {error.problem}") from None
    except yaml.YAMLError:
        raise problems.fatal(1, "not readable as YAML: it has characters that YAML does not allow") from None
    if builder.root is None:
        raise problems.fatal(1, "expected a YAML document, got an empty file")
    return builder.root


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read."""

    line: int
    column: int
    anchor: str | None
    is_map: bool
    items: list[Node]


class _Builder:
    def __init__(self, problems: Problems) -> None:
        self.root: Node | None = None
        self._problems = problems
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}

    def add_event(self, event: yaml.Event) -> None:
        mark = event.start_mark
        line, column = (mark.line + 1, mark.column) if mark else (1, 0)
        match event:
            case yaml.DocumentStartEvent() if self.root is not None:
                raise self._problems.fatal(line, "expected one YAML document, got a second")
            case yaml.AliasEvent():
                self._add(self._aliased(event.anchor or "", line), line)
            case yaml.ScalarEvent():
                self._reject_tag(event, line)
                style = event.style or ""
                scalar = Scalar(event.value, line, plain=event.implicit[0], literal=style == "|", column=column)
                self._register_anchor(event.anchor, scalar)
                self._add(scalar, line)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._reject_tag(event, line)
                if len(self._open) == MAX_DEPTH:
                    raise self._problems.fatal(line, f"expected at most {MAX_DEPTH} levels")
                self._open.append(_Open(line, column, event.anchor, isinstance(event, yaml.MappingStartEvent), []))
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                done = self._open.pop()
                node = self._close(done)
                self._register_anchor(done.anchor, node)
                self._add(node, done.line)

    def _reject_tag(self, event: yaml.NodeEvent, line: int) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise self._problems.fatal(line, f"expected no YAML tag, got `{tag}`")

    def _aliased(self, anchor: str, line: int) -> Node:
        if anchor not in self._anchors:
            raise self._problems.fatal(line, f"no anchor `{anchor}` before this alias")
        return self._anchors[anchor]

    def _register_anchor(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    def _add(self, node: Node, line: int) -> None:
        """Add a node to the innermost open list or mapping; an aliased one counts with its whole content."""
        if node.size > MAX_NODES:
            raise self._problems.fatal(line, f"expected at most {MAX_NODES} values")
        if len(self._open) + node.depth > MAX_DEPTH:
            raise self._problems.fatal(line, f"expected at most {MAX_DEPTH} levels")
        if self._open:
            self._open[-1].items.append(node)
        else:
            self.root = node

    def _close(self, done: _Open) -> Node:
        size = 1 + sum(item.size for item in done.items)
        depth = 1 + max((item.depth for item in done.items), default=0)
        if not done.is_map:
            return ListNode(tuple(done.items), done.line, size, depth, done.column)
        pairs: dict[str, tuple[Scalar, Node]] = {}
        for key, value in zip(done.items[::2], done.items[1::2], strict=True):
            if not isinstance(key, Scalar):
                raise self._problems.fatal(key.line, "expected a plain key, got a list or mapping")
            if key.text in pairs:
                self._problems.add(key.line, f"duplicate key `{key.text}`")
            pairs[key.text] = (key, value)
        return MapNode(tuple(pairs.values()), done.line, size, depth, done.column)


# --- to JSON -----------------------------------------------------------------------------------------------------


def node_as_json(node: Node, *, indented: bool = False) -> str:
    return "".join(_json(node, "\n" if indented else ""))


def scalar_as_json(text: str, *, is_plain: bool) -> str:
    if is_plain and text in _NULLS:
        return "null"
    if is_plain and text in _BOOLEANS:
        return _BOOLEANS[text]
    return text if is_plain and _NUMBER.fullmatch(text) else text_as_json(text)


def text_as_json(text: str) -> str:
    """Return a string as JSON, non-ASCII characters unescaped."""
    return json.dumps(text, ensure_ascii=False)


def _json(node: Node, newline: str) -> Iterator[str]:
    """Yield a node as JSON text; `newline` is a line break with the current indent, or empty for neither."""
    inner = newline and newline + "  "
    match node:
        case Scalar():
            yield scalar_as_json(node.text, is_plain=node.plain)
        case ListNode():
            yield "["
            for number, item in enumerate(node.items):
                yield ("," if number else "") + inner
                yield from _json(item, inner)
            yield newline + "]" if node.items else "]"
        case MapNode():
            yield "{"
            for number, (key, value) in enumerate(node.pairs):
                yield ("," if number else "") + inner + text_as_json(key.text) + (": " if newline else ":")
                yield from _json(value, inner)
            yield newline + "}" if node.pairs else "}"
