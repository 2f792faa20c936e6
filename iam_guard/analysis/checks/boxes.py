"""Boxes: sets of requests that are a product of one set per dimension, and how a statement divides them.

A dimension is the action, the resource, the caller, one condition key, or one opaque condition. A box has the sets that
differ from the whole dimension.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

from iam_guard.analysis.checks.limits import Work

ACTION, RESOURCE, CALLER = "action", "resource", "caller"
KEY, OPAQUE = "key ", "opaque "
"""The beginnings of the names of other dimensions."""
BOTH = 0b11
"""The set of an opaque condition that may be true or false; bit 0 is true."""

Box: TypeAlias = Mapping[str, Any]
"""Maps a dimension to its set."""


class DimensionTest(Protocol):
    """A test of the values of a dimension; each takes and returns sets of that dimension."""

    def inside(self, values: Any, work: Work) -> Any:
        """Return the values that pass."""

    def outside(self, values: Any, work: Work) -> Any:
        """Return the values that fail."""


class Negated(NamedTuple):
    """The test that passes what another one fails."""

    test: DimensionTest

    def inside(self, values: Any, work: Work) -> Any:
        """Return the values that pass."""
        return self.test.outside(values, work)

    def outside(self, values: Any, work: Work) -> Any:
        """Return the values that fail."""
        return self.test.inside(values, work)


class Dimensions(Protocol):
    """The dimensions of a check."""

    def whole(self, dimension: str) -> Any:
        """Return the whole set of a dimension."""


class Literal(NamedTuple):
    """What a statement requires of one dimension."""

    dimension: str
    test: DimensionTest


class Region(NamedTuple):
    """The requests that a statement applies to: all literals are met.

    `services` are the prefixes of the actions it can be about, None for any.
    """

    literals: tuple[Literal, ...]
    services: frozenset[str] | None
    statement: int


def meet(box: Box, literals: Iterable[Literal], dimensions: Dimensions, work: Work) -> Box | None:
    """Return the part of a box that meets all literals; None if it is empty."""
    met = dict(box)
    for dimension, test in literals:
        inside = test.inside(_values(met, dimension, dimensions), work)
        if not inside:
            return None
        met[dimension] = inside
    return met


def subtract(box: Box, region: Region, dimensions: Dimensions, work: Work) -> list[Box]:
    """Return disjoint boxes of what a region leaves of a box; the box itself if it leaves everything."""
    work.spend_box()
    met: list[tuple[Literal, Any, Any]] = []
    inner: dict[str, Any] = {}
    for literal in region.literals:
        dimension, test = literal
        values = inner[dimension] if dimension in inner else _values(box, dimension, dimensions)
        inside = test.inside(values, work)
        if not inside:
            return [box]
        met.append((literal, values, inside))
        inner[dimension] = inside
    pieces: list[Box] = []
    rest = dict(box)
    for (dimension, test), values, inside in met:
        outside = test.outside(values, work)
        if outside:
            pieces.append({**rest, dimension: outside})
        rest[dimension] = inside
    return pieces


def _values(box: Box, dimension: str, dimensions: Dimensions) -> Any:
    return box[dimension] if dimension in box else dimensions.whole(dimension)
