"""Files of cases: JSON lines, or YAML with a list of cases -> one decoded case after the other, with its place.

A line that cannot be decoded is an `Unreadable` in its place, so that a stream goes on after it. Must not live here:
what a case means (`cases`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from iam_guard.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class CaseEntry:
    """One decoded case and where it stands."""

    place: str
    given: Any


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that is no case, and why."""

    place: str
    problem: str


def entries_of_lines(lines: Iterable[str], name: str) -> Iterator[CaseEntry | Unreadable]:
    """Decode JSON lines one by one; empty lines are passed over."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{name}:{number}"
        try:
            yield CaseEntry(place, json.loads(line, object_pairs_hook=_without_repetition))
        except RecursionError:
            yield Unreadable(place, "the case is nested too deeply")
        except ValueError as error:
            yield Unreadable(place, f"expected a case as JSON object: {error}")


def entries_of_file(path: Path) -> Iterator[CaseEntry | Unreadable]:
    """Decode a file by its name: `.yaml` and `.yml` hold a list of cases, everything else JSON lines."""
    if path.suffix in (".yaml", ".yml"):
        yield from _entries_of_yaml(path)
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        yield from entries_of_lines(lines, str(path))


def _entries_of_yaml(path: Path) -> Iterator[CaseEntry | Unreadable]:
    try:
        cases = yaml.safe_load(path.read_text(encoding="utf-8", errors="replace"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        yield Unreadable(f"{path}:{mark.line + 1}" if mark else str(path), "expected YAML")
        return
    if not isinstance(cases, list):
        raise InvalidInput("expected a list of cases", place=str(path))
    for number, case in enumerate(cases, 1):
        yield CaseEntry(f"{path}#{number}", case)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a repeated key (rule G-10): who reads the last one and who reads the first decide differently."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key `{repeated[:80]}` is repeated")
    return found
