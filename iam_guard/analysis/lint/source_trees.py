"""A file as one tree of JSON values with the place of each, be it JSON or YAML.

YAML is read as seeds are (`store/seed/seed_tree`): without tags, every scalar as JSON would know it. Both come out in
the form that policies are read in (`policy/json_tree`), so that a path of one leads to a line and column of the other.
Must not live here: where in a tree the policies are (`sources`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from iam_guard.errors import PolicyError, SeedError
from iam_guard.policy.document import Position
from iam_guard.policy.json_text import read_json
from iam_guard.policy.json_tree import JsonText, Path, Place
from iam_guard.store.seed.documents import document_text
from iam_guard.store.seed.problems import Problems
from iam_guard.store.seed.seed_tree import MAX_CHARACTERS, ListNode, MapNode, Node, Scalar, read_tree


class UnreadablePart(NamedTuple):
    """Something in a file that can't be read, and where."""

    message: str
    position: Position
    code: str = "JSON_SYNTAX_ERROR"


class FileTree(NamedTuple):
    """A file that was read. `blocks` are the texts in `|` blocks: the line of their first line, and their indent."""

    json: JsonText
    blocks: dict[Path, tuple[int, int]]


def read_json_tree(text: str) -> FileTree | UnreadablePart:
    """Read JSON."""
    try:
        return FileTree(read_json(text, MAX_CHARACTERS), {})
    except PolicyError as error:
        line, column = error.line or 1, error.column or 0
        return UnreadablePart(error.message, Position(line, column, 0), error.finding or "JSON_SYNTAX_ERROR")


def read_yaml_tree(text: str) -> FileTree | list[UnreadablePart]:
    """Read YAML; a key twice is a problem too."""
    problems = Problems("")
    try:
        node = read_tree(text, problems)
        problems.raise_any()
        root = read_json(document_text(node), MAX_CHARACTERS).root
    except SeedError as error:
        return [_problem(problem) for problem in error.problems]
    except PolicyError as error:
        return [UnreadablePart(error.message, Position(1, 0, 0))]
    starts = _line_starts(text)
    places, blocks = dict[Path, Place](), dict[Path, tuple[int, int]]()
    lines = text.split("\n")
    for path, name, each in _walk(node, (), None):
        begins = starts[each.line - 1] + each.column
        places[path] = Place(begins, None if name is None else starts[name.line - 1] + name.column)
        if isinstance(each, Scalar) and each.literal:
            blocks[path] = each.line + 1, _indent(lines, each.line)
    return FileTree(JsonText(text, root, places, starts), blocks)


def _problem(told: str) -> UnreadablePart:
    """Take a problem of a seed apart: `:LINE: MESSAGE`."""
    _, line, message = told.split(":", 2)
    return UnreadablePart(message.strip(), Position(int(line), 0, 0))


def _walk(node: Node, path: Path, name: Scalar | None) -> Iterator[tuple[Path, Scalar | None, Node]]:
    yield path, name, node
    match node:
        case ListNode():
            for index, item in enumerate(node.items):
                yield from _walk(item, (*path, index), None)
        case MapNode():
            for key, value in node.pairs:
                yield from _walk(value, (*path, key.text), key)


def _line_starts(text: str) -> tuple[int, ...]:
    return (0, *(found.end() for found in re.finditer("\n", text)))


def _indent(lines: list[str], first: int) -> int:
    """Return how far a block is indented: as far as its first line with something in it."""
    for line in lines[first:]:
        if line.strip():
            return len(line) - len(line.lstrip(" "))
    return 0
