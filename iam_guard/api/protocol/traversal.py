"""Reading and writing a value by its shape: one traversal for all protocols.

A grammar defines the layout of values with parts; `scalars` is the table of those without. Reading converts the wire's
tree to Python values and rejects other shapes; members that the model doesn't have are ignored, as AWS does. Writing
goes the other way, from the leaves up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from iam_guard.api.protocol.protocol_errors import MalformedBody
from iam_guard.api.protocol.scalars import ScalarRow
from iam_guard.api.protocol.service_model import Shape
from iam_guard.errors import ConfigurationError

Place: TypeAlias = tuple[str, ...]


class Grammar(Protocol):
    """What reading and writing have in common."""

    def name(self, shape: Shape, member: str) -> str:
        """Return the wire name of a structure's member."""

    def scalar(self, shape: Shape) -> ScalarRow:
        """Return the conversion of a value without parts."""


class ReadingGrammar(Grammar, Protocol):
    """The layout of values in requests. Each method raises `malformed(...)` for another layout."""

    def members(self, shape: Shape, node: Any, place: Place) -> Mapping[str, Any]:
        """Return the parts of a structure by their wire names."""

    def elements(self, shape: Shape, node: Any, place: Place) -> Sequence[Any]:
        """Return the parts of a list."""

    def entries(self, shape: Shape, node: Any, place: Place) -> Sequence[tuple[str, Any]]:
        """Return the parts of a map, in which every key is unique."""


class WritingGrammar(Grammar, Protocol):
    """The layout of values in responses, from their written parts."""

    def structure(self, members: Sequence[tuple[str, Shape, Any]]) -> Any:
        """Join written members: wire name, shape, written value."""

    def list(self, elements: Sequence[Any]) -> Any:
        """Join written elements."""

    def map(self, entries: Sequence[tuple[Any, Any]]) -> Any:
        """Join written keys and values."""

    def finish(self, shape: Shape, written: Any) -> Any:
        """Apply what is specific to one shape, after its value was written."""


def malformed(expected: str, place: Place) -> MalformedBody:
    """Return the error for a value that doesn't match the model's shape. It has the place, not the value."""
    return MalformedBody(f"expected {expected} at `{'.'.join(place) or 'the top'}`")


def read(shape: Shape, node: Any, grammar: ReadingGrammar, place: Place = ()) -> Any:
    """Read the value at a place of the request. Raises `MalformedBody`."""
    match shape.kind:
        case "structure":
            return _read_structure(shape, node, grammar, place)
        case "list":
            elements = enumerate(grammar.elements(shape, node, place), 1)
            return [read(shape.element, element, grammar, (*place, str(index))) for index, element in elements]
        case "map":
            entries = enumerate(grammar.entries(shape, node, place), 1)
            return {
                read(shape.key, key, grammar, (*place, str(index), "key")): read(
                    shape.value, value, grammar, (*place, str(index), "value")
                )
                for index, (key, value) in entries
            }
        case "document":
            return node
    row = grammar.scalar(shape)
    try:
        return row.read(node)
    except (ValueError, TypeError, OverflowError):
        raise malformed(row.expected, place) from None


def _read_structure(shape: Shape, node: Any, grammar: ReadingGrammar, place: Place) -> dict[str, Any]:
    parts = grammar.members(shape, node, place)
    names = {name: grammar.name(shape, name) for name in shape.members}
    value = {
        name: read(shape.members[name], parts[on_wire], grammar, (*place, name))
        for name, on_wire in names.items()
        if on_wire in parts
    }
    if shape.is_union and len(value) != 1:
        raise malformed(f"exactly one of {', '.join(names)}", place)
    return value


def write(shape: Shape, value: Any, grammar: WritingGrammar, place: Place = ()) -> Any:
    """Write an operation's result. Raises `ConfigurationError` if it doesn't match the model."""
    match shape.kind:
        case "structure":
            written = grammar.structure(_written_members(shape, value, grammar, place))
        case "list":
            elements = enumerate(_checked(value, Sequence, "a list", place))
            written = grammar.list(
                [write(shape.element, element, grammar, (*place, str(index))) for index, element in elements]
            )
        case "map":
            entries = _checked(value, Mapping, "a map", place).items()
            written = grammar.map(
                [
                    (write(shape.key, key, grammar, place), write(shape.value, element, grammar, place))
                    for key, element in entries
                ]
            )
        case "document":
            written = value
        case _:
            written = _written_scalar(grammar.scalar(shape), value, place)
    return grammar.finish(shape, written)


def _written_members(
    shape: Shape, value: Any, grammar: WritingGrammar, place: Place
) -> Sequence[tuple[str, Shape, Any]]:
    values = _checked(value, Mapping, "a structure", place)
    members = shape.members
    if not values.keys() <= members.keys():
        unknown = min(map(str, values.keys() - members.keys()))
        raise ConfigurationError(f"expected a member of `{shape.name}` at `{'.'.join(place)}`, got `{unknown}`")
    return [
        (grammar.name(shape, name), member, write(member, values[name], grammar, (*place, name)))
        for name, member in members.items()
        if values.get(name) is not None
    ]


def _written_scalar(row: ScalarRow, value: Any, place: Place) -> Any:
    try:
        return row.write(value)
    except (ValueError, TypeError, OverflowError):
        raise _wrong_type(row.expected, value, place) from None


def _checked(value: Any, kind: type, expected: str, place: Place) -> Any:
    if not isinstance(value, kind) or isinstance(value, str | bytes):
        raise _wrong_type(expected, value, place)
    return value


def _wrong_type(expected: str, value: object, place: Place) -> ConfigurationError:
    return ConfigurationError(f"expected {expected} in the result at `{'.'.join(place)}`, got `{type(value).__name__}`")
