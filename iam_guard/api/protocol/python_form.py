"""Parameters and results as boto3's clients take and return them: Python values, without a wire in between.

Times are aware datetimes, blobs are bytes, and policy documents of IAM are dictionaries.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iam_guard.api.protocol.scalars import ScalarRow, scalar_of
from iam_guard.api.protocol.service_model import Shape
from iam_guard.api.protocol.traversal import Place


@dataclass(frozen=True, slots=True)
class PythonParameters:
    """Reads parameters whose types boto3's client has checked; `parse_time` reads what it takes as a time.

    `is_query`: the service has the query protocol, in which an empty map can't be sent.
    """

    parse_time: Callable[[Any], Any]
    is_query: bool

    def name(self, shape: Shape, member: str) -> str:
        return member

    def scalar(self, shape: Shape) -> ScalarRow:
        match shape.kind:
            case "timestamp":
                return ScalarRow("a time", self.parse_time, _same)
            case "blob":
                return ScalarRow("bytes", _bytes_of, _same)
        return scalar_of("json", shape, "iso8601")

    def members(self, shape: Shape, node: Any, place: Place) -> Mapping[str, Any]:
        empty = [name for name, value in node.items() if self.is_query and not value]
        return {name: value for name, value in node.items() if name not in empty or shape.members[name].kind != "map"}

    def elements(self, shape: Shape, node: Any, place: Place) -> Sequence[Any]:
        return list(node)

    def entries(self, shape: Shape, node: Any, place: Place) -> Sequence[tuple[str, Any]]:
        return list(node.items())


@dataclass(frozen=True, slots=True)
class PythonResults:
    """Writes the result of a call. Shapes named in `documents` are JSON, which is parsed."""

    documents: frozenset[str] = frozenset()

    def name(self, shape: Shape, member: str) -> str:
        return member

    def scalar(self, shape: Shape) -> ScalarRow:
        return ScalarRow("a value of the model's type", _same, _same)

    def structure(self, members: Sequence[tuple[str, Shape, Any]]) -> Any:
        return {name: written for name, _, written in members}

    def list(self, elements: Sequence[Any]) -> Any:
        return list(elements)

    def map(self, entries: Sequence[tuple[Any, Any]]) -> Any:
        return dict(entries)

    def finish(self, shape: Shape, written: Any) -> Any:
        if shape.name not in self.documents:
            return written
        try:
            return json.loads(written)
        except ValueError:
            return written


def _same(value: Any) -> Any:
    return value


def _bytes_of(value: Any) -> bytes:
    """Return the bytes of what boto3 takes as a blob. Raises `TypeError` for anything else."""
    content = value.read() if hasattr(value, "read") else value
    return content.encode() if isinstance(content, str) else bytes(memoryview(content))
