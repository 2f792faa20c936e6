"""Read files of cases, JSON lines or a YAML list, into decoded cases with their places.

An undecodable line becomes an `Unreadable` in its place, so that the stream continues. YAML is restricted to JSON's
values: duplicate keys are refused, `2012-10-17` is no date, `no` is not false and `010` is not 8; there are no tags,
and the expansion of aliases is limited.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from iam_guard.analysis.lint.sources import SEEDED_CASES
from iam_guard.errors import InvalidInput
from iam_guard.testing.case_json import CaseDecoder, CaseEntry, Unreadable
from iam_guard.testing.case_lines import UNDECODED, entries_of_lines

MAX_VALUES = 5_000_000
"""The maximum number of values in one YAML file, with aliases expanded."""

_UTF_8 = "utf-8-sig"
"""Accepts the byte order mark that Windows editors and shells write."""


def entries_of_text(text: str, name: str) -> list[CaseEntry | Unreadable]:
    """Decode a text that is one JSON case, on any number of lines, or JSON lines."""
    text = text.removeprefix("\ufeff")
    whole = CaseDecoder().decode(text, name)
    if isinstance(whole, CaseEntry):
        return [whole]
    entries = list(entries_of_lines(text.split("\n"), name))
    are_lines = any(isinstance(entry, CaseEntry) and isinstance(entry.content, dict) for entry in entries)
    return entries if are_lines else [whole]


def entries_of_file(path: Path) -> Iterator[CaseEntry | Unreadable]:
    """Decode a file by its suffix: `.yaml` and `.yml` contain a list of cases, all others JSON lines.

    YAML may also be a mapping with a `seed`, the path of a file, and `cases`. Raises `InvalidInput` for any other YAML.
    """
    if path.suffix in (".yaml", ".yml"):
        yield from _entries_of_yaml(path)
        return
    with path.open(encoding=_UTF_8, errors=UNDECODED) as lines:
        for entry in entries_of_lines(lines, str(path)):
            yield replace(entry, path=path)


def _entries_of_yaml(path: Path) -> Iterator[CaseEntry | Unreadable]:
    text = path.read_text(encoding=_UTF_8, errors=UNDECODED)
    try:
        found, nodes = _load(text)
    except UnicodeEncodeError as error:
        first = text.count("\n", 0, error.start) + 1
        yield Unreadable(f"{path}:{first}", "expected UTF-8", first, None, path)
        return
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it has characters or values that are not allowed, or is too deep"
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        place = f"{path}:{line}" if line else str(path)
        yield Unreadable(place, f"not readable as YAML: {problem}", line, column, path)
        return
    seed = None
    if isinstance(found, dict) and found.keys() == SEEDED_CASES and isinstance(found["seed"], str):
        seed, found = path.parent / found["seed"], found["cases"]
    if not isinstance(found, list):
        raise InvalidInput("expected a list of cases, or a mapping of `seed` and `cases`", place=f"{path}:1:1")
    for case, node in zip(found, nodes, strict=True):
        mark = node.start_mark
        yield CaseEntry(f"{path}:{mark.line + 1}", case, None, mark.line + 1, mark.column + 1, path, seed)


def _load(text: str) -> tuple[Any, list[yaml.Node]]:
    """Return the decoded text, and the nodes of its cases."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        found = None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()
    if isinstance(node, yaml.MappingNode):
        node = next((value for name, value in node.value if name.value == "cases"), None)
    return found, node.value if isinstance(node, yaml.SequenceNode) else []


if TYPE_CHECKING or not yaml.__with_libyaml__:
    _ComposingLoader = yaml.SafeLoader
else:

    class _ComposingLoader(yaml.composer.Composer, yaml.CSafeLoader):
        """Parses with libyaml, eight times faster, and composes with PyYAML, where values can be counted."""

        def __init__(self, stream):
            yaml.CSafeLoader.__init__(self, stream)
            yaml.composer.Composer.__init__(self)


class _Loader(_ComposingLoader):
    """Reads scalars as JSON would; refuses tags, repeated keys, and endless aliases."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._values = 0
        self._inside: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        """Compose a node, and count its values."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark, before = event.start_mark, self._values
        if getattr(event, "tag", None) is not None:
            raise yaml.composer.ComposerError(None, None, "expected no YAML tag", mark)
        node = cast(yaml.Node, super().compose_node(parent, index))
        if not isinstance(event, yaml.AliasEvent):
            self._values += 1
            self._inside[node] = self._values - before
        elif node in self._inside:
            self._values += self._inside[node]
        else:
            raise yaml.composer.ComposerError(None, None, "an alias is inside of the value that it names", mark)
        if self._values > MAX_VALUES:
            raise yaml.composer.ComposerError(None, None, f"expected at most {MAX_VALUES} values", mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for name in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if name.value in seen:
                problem = f"the key `{name.value[:80]}` is repeated"
                raise yaml.constructor.ConstructorError(None, None, problem, name.start_mark)  # G-10
            seen.add(name.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _form, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", "-0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_form})\\Z"), list(_first))
