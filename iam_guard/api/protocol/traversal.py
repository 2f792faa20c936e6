"""Reading and writing a value along its shape: one walk for all protocols.

A grammar says how a protocol lays out what has parts; `scalars` is the table of what has none. Reading goes from the
wire's tree to Python's values and refuses what has another shape; members that the model does not know are passed over,
as AWS does. Writing goes the other way, from the leaves up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from iam_guard.api.protocol.protocol_errors import MalformedBody
from iam_guard.api.protocol.scalars import ScalarRow
from iam_guard.api.protocol.service_model import Shape
from iam_guard.errors import ConfigurationError

Place: TypeAlias = tuple[str, ...]
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
"""What CloudTrail writes instead of a secret."""


class ReadingGrammar(Protocol):
    """How a protocol lays out values. Each method raises `malformed(...)` for what is laid out otherwise."""

    def name(self, shape: Shape, member: str) -> str:
        """Return the name of a structure's member on the wire."""

    def members(self, shape: Shape, node: Any, place: Place) -> Mapping[str, Any]:
        """Return the parts of a structure by their names on the wire."""

    def elements(self, shape: Shape, node: Any, place: Place) -> Sequence[Any]:
        """Return the parts of a list."""

    def entries(self, shape: Shape, node: Any, place: Place) -> Sequence[tuple[str, Any]]:
        """Return the parts of a map; no key stands twice."""

    def scalar(self, shape: Shape) -> ScalarRow:
        """Return the row of the table for a value without parts."""


class WritingGrammar(Protocol):
    """How a protocol lays out values, given that their parts are written."""

    def name(self, shape: Shape, member: str) -> str:
        """Return the name of a structure's member on the wire."""

    def structure(self, members: Sequence[tuple[str, Shape, Any]]) -> Any:
        """Join written members: name on the wire, shape, what was written."""

    def list(self, elements: Sequence[Any]) -> Any:
        """Join written elements."""

    def map(self, entries: Sequence[tuple[Any, Any]]) -> Any:
        """Join written keys and values."""

    def scalar(self, shape: Shape) -> ScalarRow:
        """Return the row of the table for a value without parts."""

    def finish(self, shape: Shape, written: Any) -> Any:
        """Do what is special to one shape, after its value was written."""


def malformed(expected: str, place: Place) -> MalformedBody:
    """Refuse what has not the shape of the model; tells the place, not the value."""
    return MalformedBody(f"expected {expected} at `{'.'.join(place) or 'the top'}`")


def read(shape: Shape, node: Any, grammar: ReadingGrammar, place: Place = ()) -> Any:
    """Read what stands at a place of the request. Raises `MalformedBody`."""
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
    given = grammar.members(shape, node, place)
    names = {name: grammar.name(shape, name) for name in shape.members}
    value = {
        name: read(shape.members[name], given[on_wire], grammar, (*place, name))
        for name, on_wire in names.items()
        if on_wire in given
    }
    if shape.is_union and len(value) != 1:
        raise malformed(f"exactly one of {', '.join(names)}", place)
    return value


def write(shape: Shape, value: Any, grammar: WritingGrammar, place: Place = ()) -> Any:
    """Write a result of our own; raises `ConfigurationError` where it is not what the model says."""
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
                    (write(shape.key, key, grammar, place), write(shape.value, each, grammar, place))
                    for key, each in entries
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
    given = _checked(value, Mapping, "a structure", place)
    members = shape.members
    if not given.keys() <= members.keys():
        unknown = min(map(str, given.keys() - members.keys()))
        raise ConfigurationError(f"expected a member of `{shape.name}` at `{'.'.join(place)}`, got `{unknown}`")
    return [
        (grammar.name(shape, name), member, write(member, given[name], grammar, (*place, name)))
        for name, member in members.items()
        if given.get(name) is not None
    ]


def _written_entry(shape: Shape, entry: tuple[Any, Any], grammar: WritingGrammar, place: Place) -> tuple[Any, Any]:
    return write(shape.key, entry[0], grammar, place), write(shape.value, entry[1], grammar, (*place, "value"))


def _written_scalar(row: ScalarRow, value: Any, place: Place) -> Any:
    try:
        return row.write(value)
    except (ValueError, TypeError, OverflowError):
        raise _mistaken(row.expected, value, place) from None


def _checked(value: Any, kind: type, expected: str, place: Place) -> Any:
    if not isinstance(value, kind) or isinstance(value, str | bytes):
        raise _mistaken(expected, value, place)
    return value


def _mistaken(expected: str, value: object, place: Place) -> ConfigurationError:
    return ConfigurationError(f"expected {expected} in the result at `{'.'.join(place)}`, got `{type(value).__name__}`")


def masked(shape: Shape, value: Any) -> Any:
    """Return the same value with what the model marks as sensitive hidden: for logs, the audit trail and messages."""
    if shape.is_sensitive:
        return HIDDEN
    match shape.kind:
        case "structure":
            return {name: masked(shape.members[name], each) for name, each in value.items()}
        case "list":
            return [masked(shape.element, each) for each in value]
        case "map":
            return {masked(shape.key, key): masked(shape.value, each) for key, each in value.items()}
    return value
