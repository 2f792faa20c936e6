"""YAML (including JSON) as nodes with lines and columns, and policies in it as JSON text.

A policy in YAML is read like a seed: scalars are JSON values or else strings, so that its digest is that of the policy
in a store.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import yaml

from iam_guard.errors import InvalidInput
from iam_guard.policy.json_tree import MAX_CHARACTERS
from iam_guard.policy.yaml_tree import scalar_as_json, text_as_json

Steps: TypeAlias = tuple[str | int, ...]
LineAndColumn: TypeAlias = tuple[int, int]
"""Both count from 1, as in editors."""

_LOADER = yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader


class YamlNode:
    """One value of a YAML text."""

    def __init__(self, node: yaml.Node) -> None:
        self._node = node

    @property
    def place(self) -> LineAndColumn:
        """Where the value begins."""
        return _place(self._node)

    @property
    def lines(self) -> range:
        """The lines of the value, from its first to that of its last scalar."""
        return range(self.place[0], max(node._last_line() for node in self.walk()) + 1)

    @property
    def end(self) -> LineAndColumn | None:
        """The line where the value ends, and the column after it; None for a block, since nothing follows it."""
        mark = self._node.end_mark
        is_quoted = isinstance(self._node, yaml.ScalarNode) and self._node.style not in ("|", ">")
        return (mark.line + 1, mark.column + 1) if is_quoted or getattr(self._node, "flow_style", False) else None

    @property
    def text(self) -> str | None:
        """The text of a scalar as written; None for lists and mappings."""
        return str(self._node.value) if isinstance(self._node, yaml.ScalarNode) else None

    @property
    def is_literal(self) -> bool:
        """Whether the value is a `|` block, which begins on the next line."""
        return isinstance(self._node, yaml.ScalarNode) and self._node.style == "|"

    def _last_line(self) -> int:
        """Return the line of the last own text; a quoted text may contain line breaks written as `\\n`."""
        if self.text is None:
            return self.place[0]
        if self.is_literal:
            return self.place[0] + self.text.count("\n")
        mark = self._node.end_mark
        return max(self.place[0], mark.line + 1 if mark.column else mark.line)

    def items(self) -> list[tuple[str, YamlNode]]:
        """Return the members of a mapping with scalar names; none for other values."""
        if not isinstance(self._node, yaml.MappingNode):
            return []
        pairs = self._node.value
        return [(name.value, YamlNode(value)) for name, value in pairs if isinstance(name, yaml.ScalarNode)]

    def children(self) -> list[YamlNode]:
        """Return the direct children of a list or a mapping."""
        if isinstance(self._node, yaml.SequenceNode):
            return [YamlNode(item) for item in self._node.value]
        return [value for _, value in self.items()]

    def walk(self) -> Iterator[YamlNode]:
        """Yield this value and its descendants, parents first; an aliased value only once."""
        pending, seen = [self], set[int]()
        while pending:
            node = pending.pop()
            if id(node._node) not in seen:
                seen.add(id(node._node))
                yield node
                pending.extend(reversed(node.children()))

    def find(self, steps: Steps) -> LineAndColumn:
        """Return the line and column of the name or list item that steps lead to, or of the nearest parent.

        A step into a value that stands for a list of one (rule G-14) is ignored.
        """
        node, place = self._node, self.place
        for step in steps:
            match node:
                case yaml.MappingNode() if isinstance(step, str):
                    pair = next((pair for pair in node.value if pair[0].value == step), None)
                    if pair is None:
                        return place
                    place, node = _place(pair[0]), pair[1]
                case yaml.SequenceNode() if isinstance(step, int) and step < len(node.value):
                    node = node.value[step]
                    place = _place(node)
                case _:
                    continue
        return place

    def json(self) -> str:
        """Serialize the value as JSON text. Raises `InvalidInput` if it is too long for a policy, or endless."""
        written, left = list[str](), MAX_CHARACTERS
        try:
            for part in _json(self._node, "\n"):
                written.append(part)
                left -= len(part)
                if left < 0:
                    break
        except RecursionError:
            left = -1
        if left < 0:
            raise InvalidInput(f"expected at most {MAX_CHARACTERS} characters", place=":".join(map(str, self.place)))
        return "".join(written)


def compose(text: str) -> YamlNode | None:
    """Parse a YAML text; None for an empty one. Raises `InvalidInput` with line and column."""
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = "1:1" if mark is None else f"{mark.line + 1}:{mark.column + 1}"
        raise InvalidInput(f"not readable as YAML: {error.problem}", place=place) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        message = "not readable as YAML: it has characters that are not allowed, or is too deep"
        raise InvalidInput(message, place="1:1") from None
    return None if node is None else YamlNode(node)


def _place(node: yaml.Node) -> LineAndColumn:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _json(node: yaml.Node, newline: str) -> Iterator[str]:
    """Serialize a node as JSON text, like a seed; `newline` is a line break with the current indent."""
    inner = newline + "  "
    match node:
        case yaml.SequenceNode():
            yield "["
            for number, item in enumerate(node.value):
                yield ("," if number else "") + inner
                yield from _json(item, inner)
            yield newline + "]" if node.value else "]"
        case yaml.MappingNode():
            yield "{"
            for number, (name, value) in enumerate(node.value):
                yield ("," if number else "") + inner + text_as_json(str(name.value)) + ": "
                yield from _json(value, inner)
            yield newline + "}" if node.value else "}"
        case yaml.ScalarNode():
            yield scalar_as_json(str(node.value), is_plain=not node.style)
