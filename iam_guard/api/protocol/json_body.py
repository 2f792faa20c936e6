"""JSON bodies: parsing and serializing, and the layout of values in the JSON protocols.

Stricter than the standard library: UTF-8 only, no repeated keys, no NaN, no lone surrogates, limited nesting. Policy
documents need positions and have their own parser (`iam_guard.policy.json_text`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from iam_guard.api.protocol.protocol_errors import MalformedBody
from iam_guard.api.protocol.scalars import ScalarRow, scalar_of
from iam_guard.api.protocol.service_model import Shape
from iam_guard.api.protocol.traversal import Place, malformed

MAX_LEVELS = 64
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_object(body: bytes) -> dict[str, Any]:
    """Parse a body that is one JSON object; an empty body is an empty object. Raises `MalformedBody`."""
    if not body:
        return {}
    try:
        tree = json.loads(body.decode(), object_pairs_hook=_unique_keys, parse_constant=_infinite, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise MalformedBody(f"expected UTF-8, got something else at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise MalformedBody(f"expected JSON, got something else at line {error.lineno}, column {error.colno}") from None
    except ValueError:  # an integer of thousands of digits
        raise MalformedBody("expected numbers of a reasonable size") from None
    except RecursionError:
        raise _too_deep() from None
    _check_tree(tree)
    if not isinstance(tree, dict):
        raise MalformedBody("expected a JSON object")
    return tree


def write_object(tree: Mapping[str, Any]) -> bytes:
    """Serialize a body. A lone surrogate, which no client could read, becomes a question mark."""
    text = json.dumps(tree, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode(errors="replace")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise MalformedBody("expected each key once in an object")
    return members


def _infinite(_name: str) -> NoReturn:
    raise MalformedBody("expected finite numbers, got NaN or infinity")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _infinite(text)


def _check_tree(tree: Any) -> None:
    """Check every node without recursion, since the tree may be arbitrarily deep."""
    level = [tree]
    for _ in range(MAX_LEVELS + 1):
        level = [part for node in level for part in _parts_of(node)]
        if not level:
            return
    raise _too_deep()


def _parts_of(node: Any) -> Sequence[Any]:
    if isinstance(node, str):
        if _SURROGATE.search(node):
            raise MalformedBody("expected UTF-8 text, got a lone surrogate")
        return ()
    if isinstance(node, dict):
        return [*node, *node.values()]
    return node if isinstance(node, list) else ()


def _too_deep() -> MalformedBody:
    return MalformedBody(f"nested deeper than {MAX_LEVELS} levels")


@dataclass(frozen=True, slots=True)
class JsonGrammar:
    """Structures and maps are objects, lists are arrays; a null member is absent."""

    timestamp_format: str

    def name(self, shape: Shape, member: str) -> str:
        return shape.name_on_wire(member)

    def members(self, shape: Shape, node: Any, place: Place) -> Mapping[str, Any]:
        if not isinstance(node, dict):
            raise malformed("an object", place)
        return {name: part for name, part in node.items() if part is not None}

    def elements(self, shape: Shape, node: Any, place: Place) -> Sequence[Any]:
        if not isinstance(node, list):
            raise malformed("an array", place)
        return node

    def entries(self, shape: Shape, node: Any, place: Place) -> Sequence[tuple[str, Any]]:
        if not isinstance(node, dict):
            raise malformed("an object", place)
        return list(node.items())

    def scalar(self, shape: Shape) -> ScalarRow:
        return scalar_of("json", shape, self.timestamp_format)

    def structure(self, members: Sequence[tuple[str, Shape, Any]]) -> Any:
        return {name: written for name, _, written in members}

    def list(self, elements: Sequence[Any]) -> Any:
        return elements

    def map(self, entries: Sequence[tuple[Any, Any]]) -> Any:
        return dict(entries)

    def finish(self, shape: Shape, written: Any) -> Any:
        return written
