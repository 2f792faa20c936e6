"""Edits of a policy's text that leave the rest as it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from iam_guard.analysis.lint.locations import span_of
from iam_guard.policy.json_tree import JsonText, Path

_COMMA_AFTER = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_SPACE = re.compile(r"[ \t\n\r]+")


class Edit(NamedTuple):
    """Replaces the characters from `start` up to `end` by `text`."""

    start: int
    end: int
    text: str


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """Return the text after edits that don't overlap."""
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def replace_value(tree: JsonText, path: Path, value: object) -> Edit:
    """Return the edit that replaces the value at a path."""
    return _replaced(tree, path, json.dumps(value, ensure_ascii=False), name=False)


def rename(tree: JsonText, path: Path, name: str) -> Edit:
    """Return the edit that renames the member at a path."""
    return _replaced(tree, path, json.dumps(name, ensure_ascii=False), name=True)


def insert_first(tree: JsonText, name: str, value: object) -> Edit:
    """Return the edit that adds a member as the first of a document that has another, laid out like that one."""
    start = _span(tree, (), name=False)[0] + 1
    space = _SPACE.match(tree.text, start)
    layout = space[0] if space else ""
    member = f"{layout}{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)},"
    return Edit(start, start, member if layout else f"{member} ")


def remove(tree: JsonText, path: Path) -> Edit:
    """Return the edit that removes a member or an element, with one comma next to it."""
    start = _span(tree, path, name=True)[0]
    end = _span(tree, path, name=False)[1]
    after = _COMMA_AFTER.match(tree.text, end)
    if after is not None:
        return Edit(start, after.end(), "")
    before = tree.text[:start].rstrip(" \t\n\r")
    return Edit(len(before) - 1 if before.endswith(",") else start, end, "")


def _replaced(tree: JsonText, path: Path, text: str, *, name: bool) -> Edit:
    return Edit(*_span(tree, path, name=name), text)


def _span(tree: JsonText, path: Path, *, name: bool) -> tuple[int, int]:
    span = span_of(tree, path, name=name)
    if span is None:
        raise ValueError("the tree has no places")
    return span.start.offset, span.end.offset
