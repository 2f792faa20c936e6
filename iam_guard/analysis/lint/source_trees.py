"""A JSON or YAML file as a tree of JSON values with their positions.

YAML is read like seeds (`policy/yaml_tree`): without tags, with JSON scalars only. Both result in the form that
policies are read in (`policy/json_tree`), so a path in a policy leads to a line and column in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from iam_guard.errors import PolicyError, SeedError
from iam_guard.policy.document import Position
from iam_guard.policy.json_text import read_json
from iam_guard.policy.json_tree import JsonText, Path, Place, line_starts
from iam_guard.policy.problems import Problems
from iam_guard.policy.yaml_tree import MAX_CHARACTERS, ListNode, MapNode, Node, Scalar, node_as_json, read_tree


class UnreadablePart(NamedTuple):
    """A syntax error in a file, with its position."""

    message: str
    position: Position
    code: str = "JSON_SYNTAX_ERROR"


class FileTree(NamedTuple):
    """A parsed file. `blocks` are `|` block texts: path -> line of their first line, and indent.

    `is_json`: its text is JSON, not YAML.
    """

    json: JsonText
    blocks: dict[Path, tuple[int, int]]
    is_json: bool = False


def read_json_tree(text: str) -> FileTree | list[UnreadablePart]:
    """Parse JSON."""
    try:
        return FileTree(read_json(text, MAX_CHARACTERS), {}, is_json=True)
    except PolicyError as error:
        line, column = error.line or 1, error.column or 0
        return [UnreadablePart(error.message, Position(line, column, 0), error.finding or "JSON_SYNTAX_ERROR")]


def read_yaml_tree(text: str) -> FileTree | list[UnreadablePart]:
    """Parse YAML; duplicate keys are errors."""
    problems = Problems("")
    try:
        node = read_tree(text, problems)
        problems.raise_any()
        root = read_json(node_as_json(node), MAX_CHARACTERS).root
    except SeedError:
        return [UnreadablePart(message, Position(line, 0, 0)) for line, message in problems.in_order()]
    except PolicyError as error:
        return [UnreadablePart(error.message, Position(1, 0, 0))]
    starts = line_starts(text)
    places, blocks = dict[Path, Place](), dict[Path, tuple[int, int]]()
    lines = text.split("\n")
    for path, name, child in _walk(node, (), None):
        begins = starts[child.line - 1] + child.column
        places[path] = Place(begins, None if name is None else starts[name.line - 1] + name.column)
        if isinstance(child, Scalar) and child.literal:
            blocks[path] = child.line + 1, _indent(lines, child.line)
    return FileTree(JsonText(text, root, places), blocks)


def _walk(node: Node, path: Path, name: Scalar | None) -> Iterator[tuple[Path, Scalar | None, Node]]:
    yield path, name, node
    match node:
        case ListNode():
            for index, item in enumerate(node.items):
                yield from _walk(item, (*path, index), None)
        case MapNode():
            for key, value in node.pairs:
                yield from _walk(value, (*path, key.text), key)


def _indent(lines: list[str], first: int) -> int:
    """Return the indent of a block, that of its first non-blank line."""
    for line in lines[first:]:
        if line.strip():
            return len(line) - len(line.lstrip(" "))
    return 0
