"""Where faults are in the text of a policy: paths and spans in the members of AWS's ValidatePolicy (rule AA-26)."""

from __future__ import annotations

from typing import Any, NamedTuple

from iam_guard.errors import PolicyError
from iam_guard.policy.document import Position
from iam_guard.policy.fault import Fault
from iam_guard.policy.json_text import characters_of_string, end_of_value, read_json
from iam_guard.policy.json_tree import JsonText, Path


class Span(NamedTuple):
    """A part of a text, from `start` up to and without `end`."""

    start: Position
    end: Position


def json_tree_of(text: str) -> JsonText | None:
    """Parse a text; None if it is not JSON."""
    try:
        return read_json(text)
    except PolicyError:
        return None


def span_of(tree: JsonText, path: Path, *, name: bool = False) -> Span | None:
    """Return the span of the value at a path, or of its name; None for a tree that was not parsed from text.

    A step that does not exist leads to the value around it.
    """
    start = tree.position(tree.existing(path), name=name)
    return None if start is None else Span(start, tree.position_at(end_of_value(tree.text, start.offset)))


def location(tree: JsonText, fault: Fault) -> dict[str, Any]:
    """Return the location of a fault, as `{"path": [...], "span": {"start": ..., "end": ...}}`."""
    steps = tree.existing(fault.path)
    path: list[dict[str, Any]] = [{"index": step} if isinstance(step, int) else {"value": step} for step in steps]
    is_name = fault.name and steps == fault.path and isinstance(steps[-1], str)
    if is_name:
        path[-1] = {"key": steps[-1]}
    span = span_of(tree, steps, name=is_name) or _whole(tree)
    if fault.part is not None and tree.text[span.start.offset] == '"':
        start, end = fault.part
        path.append({"substring": {"start": start, "length": end - start}})
        offsets = characters_of_string(tree.text, span.start.offset)
        span = Span(tree.position_at(offsets[start]), tree.position_at(offsets[end]))
    return {"path": path, "span": span_as_dict(span)}


def location_of_error(text: str, error: PolicyError | None) -> dict[str, Any]:
    """Return the location of an error of syntax: the place at which the text is no longer JSON, one character long."""
    tree = JsonText(text, None, {})
    lines = text.split("\n")
    line = min((error and error.line) or 1, len(lines))
    column = min((error and error.column) or 0, len(lines[line - 1]))
    offset = sum(len(before) + 1 for before in lines[: line - 1]) + column
    end = min(offset + 1, len(text))
    return {"path": [], "span": span_as_dict(Span(tree.position_at(offset), tree.position_at(end)))}


def _whole(tree: JsonText) -> Span:
    return Span(tree.position_at(0), tree.position_at(len(tree.text)))


def span_as_dict(span: Span) -> dict[str, dict[str, int]]:
    """Return a span in the members of AWS's Span."""
    return {
        name: {"line": position.line, "column": position.column, "offset": position.offset}
        for name, position in zip(("start", "end"), span, strict=True)
    }
