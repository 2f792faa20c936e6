"""Find policies in files, JSON, seeds and other YAML, with the place of each part.

A JSON file is one policy if it has a `Statement`. In YAML, every mapping with a `Statement` is one, and so are JSON
texts in scalars and files named by `file: …`. Policies of policy tests are excluded: they are samples.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Document
from iam_guard.policy.json_text import read_json
from iam_guard.policy.json_tree import steps_of
from iam_guard.policy.parser import parse
from iam_guard.testing.file_names import PATTERNS, is_policy_test
from iam_guard.testing.yaml_nodes import LineAndColumn, Steps, YamlNode, compose

_YAML = (".yaml", ".yml")
_SUFFIXES = (".json", *_YAML)
_GUESSES = (PolicyType.IDENTITY, PolicyType.RESOURCE, PolicyType.TRUST, PolicyType.SCP, PolicyType.RCP)

Locate = Callable[[Steps], LineAndColumn]


@dataclass(frozen=True, slots=True)
class LocatedPolicy:
    """One policy in a file, with the places of its parts."""

    document: Document
    locate: Locate
    lines: range
    """The lines of the policy. Reports show no other lines: a seed has secrets."""
    begin: int = 1
    """The column where it begins on the first line."""
    end: LineAndColumn | None = None
    """The line and column after it, if more may follow on its line."""

    def columns(self, line: int) -> range:
        """Return the columns of a line that belong to the policy, counted from 0."""
        if line not in self.lines:
            return range(0)
        first = self.begin - 1 if line == self.lines.start else 0
        return range(first, self.end[1] - 1 if self.end is not None and line >= self.end[0] else sys.maxsize)


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """One file with at least one policy. `name` is its name in reports."""

    name: str
    text: str
    policies: tuple[LocatedPolicy, ...]


def find_policies(path: Path, tests: Sequence[str] = PATTERNS) -> list[PolicyFile]:
    """Find the policies of a file, or of all JSON and YAML files in a folder except `tests`.

    Raises `InvalidInput` if there are none, and for an invalid policy, both with the file.
    """
    if not path.exists():
        raise InvalidInput("expected a file or folder, found none", place=str(path))
    seen: dict[Path, PolicyFile] = {}
    for file in sorted(_files(path, tests)) if path.is_dir() else [path]:
        _read(file, seen)
    if not seen:
        raise InvalidInput("expected policies, found none", place=str(path))
    return sorted(seen.values(), key=lambda file: file.name)


def policy_text(text: str, name: str, type: PolicyType = PolicyType.IDENTITY) -> PolicyFile:
    """Return a text that is one policy, of a store or a test, as a file."""
    return PolicyFile(name, text, (_of_json(text, (type, *_GUESSES)),))


def locate_in_json(text: str) -> Locate:
    """Return a function that finds the places of parts of a JSON text."""
    tree = read_json(text)

    def locate(steps: Steps) -> LineAndColumn:
        position = tree.position(steps, name=True)
        return (1, 1) if position is None else (position.line, position.column + 1)

    return locate


def _files(folder: Path, tests: Sequence[str]) -> Iterator[Path]:
    for path in folder.rglob("*"):
        inside = path.relative_to(folder).parts
        is_hidden = any(part.startswith(".") for part in inside)
        if path.suffix in _SUFFIXES and not is_hidden and not is_policy_test(path, tests):
            yield path


def _read(path: Path, seen: dict[Path, PolicyFile]) -> None:
    real = path.resolve()
    if real in seen or not path.is_file():
        return
    name = _shown(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        if "Statement" not in text and "file" not in text:
            return  # may be a template that is neither valid YAML nor JSON
        policies = tuple(_of_yaml(text, path, seen) if path.suffix in _YAML else _of_json_file(text))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidInput(f"cannot be read: {reason}", place=name) from None
    except PolicyError as error:
        line, column = error.line or 1, (error.column or 0) + 1
        raise InvalidInput(error.message, place=f"{name}:{line}:{column}") from None
    except InvalidInput as error:
        raise InvalidInput(error.message, place=f"{name}:{error.place or '1:1'}") from None
    if policies:
        seen[real] = PolicyFile(name, text, policies)


def _shown(path: Path) -> str:
    """Return a path relative to the current folder if it is inside."""
    here = Path.cwd()
    real = path.resolve()
    return real.relative_to(here).as_posix() if real.is_relative_to(here) else os.path.normpath(path)


def _of_json_file(text: str) -> Iterator[LocatedPolicy]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = {"Statement": ()}  # the policy parser reports the error
    if isinstance(content, dict) and "Statement" in content:
        yield _of_json(text, _GUESSES)


def _of_json(text: str, types: tuple[PolicyType, ...]) -> LocatedPolicy:
    return LocatedPolicy(_parsed(text, types), locate_in_json(text), range(1, text.count("\n") + 2))


def _parsed(text: str, types: tuple[PolicyType, ...]) -> Document:
    """Parse a policy as the first possible type; raise the error of the first if none fits."""
    errors = []
    for type in types:
        try:
            return parse(text, type)
        except PolicyError as error:
            errors.append(error)
    raise errors[0]


def _of_yaml(text: str, path: Path, seen: dict[Path, PolicyFile]) -> Iterator[LocatedPolicy]:
    root = compose(text)
    for node in () if root is None else root.walk():
        members = dict(node.items())
        named = members["file"].text if list(members) == ["file"] else None
        if named is not None and (path.parent / named).suffix == ".json":
            _read(path.parent / named, seen)
        elif "Statement" in members:
            yield _of_node(node)
        elif node.text is not None and node.text.lstrip()[:1] == "{" and '"Statement"' in node.text:
            yield _of_scalar(node, node.text, text.splitlines())


def _of_node(node: YamlNode) -> LocatedPolicy:
    try:
        return LocatedPolicy(_parsed(node.json(), _GUESSES), node.find, node.lines, node.place[1], node.end)
    except PolicyError as error:
        line, column = node.find(steps_of(error.place or ""))
        raise InvalidInput(error.message, place=f"{line}:{column}") from None


def _of_scalar(node: YamlNode, text: str, lines: Sequence[str]) -> LocatedPolicy:
    """Return a policy that is JSON text in YAML. Only a `|` block has exact places; others have that of the text."""
    document, (line, column) = _parsed(text, _GUESSES), node.place
    if not node.is_literal:
        return LocatedPolicy(document, lambda steps: (line, column), node.lines, column, node.end)
    inner, indent = locate_in_json(text), _indent(lines[line]) - _indent(text)

    def locate(steps: Steps) -> LineAndColumn:
        below, right = inner(steps)
        return line + below, indent + right

    return LocatedPolicy(document, locate, range(line + 1, line + 1 + text.rstrip("\n").count("\n") + 1))


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" "))
