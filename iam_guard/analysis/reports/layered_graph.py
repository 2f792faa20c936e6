"""Draw routes from left to right as one SVG picture: the map of external access, and the graph of escalation.

A route has one node per column, or None where it only passes. Equal nodes of a column are one box, so routes share
their parts. A column has at most `MAX_NODES` boxes: alarms first, then those of most routes, and one for all the
others. Boxes are ordered by the mean place of their neighbours, so few curves cross. Where a route passes a column it
has a narrow place of its own, so no curve runs behind a box.

Colour is never the only information: an alarm has a thick frame, and what depends on conditions is dashed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from iam_guard.analysis.reports.markup import Markup, tag
from iam_guard.policy.grammar import shortened, shown

MAX_NODES = 14
"""The boxes of a column."""
WIDTH = 1200
"""The width of the picture; all lengths are in pixels."""
_GAPS = {2: 380, 3: 110, 4: 70, 5: 44}
"""The number of columns -> the space between two."""
_TOP, _ROW, _BOX, _PASSAGE, _PADDING = 34, 58, 46, 16, 11
_NAME_CHARACTER, _DETAIL_CHARACTER = 7.25, 6.9


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A box with a name, and a detail below. The kind is a CSS class: `alarm`, `others`, or none."""

    name: str
    detail: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class GraphRoute:
    """A path through all columns: its first and its last node, and those between, None where it passes a column.

    The kind is a CSS class: `alarm`, `conditional`, or none.
    """

    nodes: tuple[GraphNode | None, ...]
    kind: str = ""


class _Edge(NamedTuple):
    column: int
    source: GraphNode
    target: GraphNode


def layered_graph(heads: Sequence[str], routes: Sequence[GraphRoute], *, name: str, title: str, about: str) -> Markup:
    """Return the picture of at least one route.

    `heads` are the titles of the 2 to 5 columns, which may be empty. The id of each part starts with `name`. `title`
    and `about`, a sentence, describe the picture to screen readers.
    """
    routes = _limited(routes)
    columns = [list(dict.fromkeys(nodes)) for nodes in zip(*(_with_passages(route) for route in routes), strict=True)]
    edges: defaultdict[_Edge, list[GraphRoute]] = defaultdict(list)
    for route in routes:
        for column, (source, target) in enumerate(pairwise(_with_passages(route))):
            edges[_Edge(column, source, target)].append(route)
    middles = _arranged(columns, edges)
    height = max(sum(map(_height, column)) for column in columns)
    gap = _GAPS[len(columns)]
    width = (WIDTH - gap * (len(columns) - 1)) / len(columns)
    frames = {
        (column, node): _Frame(column * (width + gap), _TOP + height * middle, width)
        for (column, node), middle in middles.items()
    }
    curves = [
        _curve(edge, frames[edge.column, edge.source], frames[edge.column + 1, edge.target], passing)
        for edge, passing in edges.items()
    ]
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", about, id=f"{name}-about"),
        *(_text(column * (width + gap), 14, head, "head") for column, head in enumerate(heads)),
        *sorted(curves, key=lambda curve: "alarm" in curve),  # above the others
        *(_box(node, frame) for (_, node), frame in frames.items() if node.kind != "passage"),
        class_="graph",
        viewBox=f"-2 0 {WIDTH + 4} {_TOP + height}",
        role="img",
        aria_labelledby=f"{name}-title {name}-about",
    )


# --- which boxes there are -------------------------------------------------------------------------------------------


def _limited(routes: Sequence[GraphRoute]) -> list[GraphRoute]:
    """Replace the nodes that a column has no room for by one, and order the routes by their nodes."""
    columns = [Counter(nodes) for nodes in zip(*(route.nodes for route in routes), strict=True)]
    ranks = [_ranks(column) for column in columns]
    shown = []
    for route in routes:
        places = [rank[node] if node else (0, None) for node, rank in zip(route.nodes, ranks, strict=True)]
        shown.append(([place for place, _ in places], GraphRoute(tuple(node for _, node in places), route.kind)))
    return [route for _, route in sorted(shown, key=lambda pair: pair[0])]


def _ranks(counts: Counter[GraphNode | None]) -> dict[GraphNode, tuple[int, GraphNode]]:
    """Return the rank of each node of a column, and the node that is shown for it."""
    nodes = [node for node in counts if node is not None]
    nodes.sort(key=lambda node: (node.kind != "alarm", -counts[node], node.name, node.detail))
    room = MAX_NODES if len(nodes) <= MAX_NODES else MAX_NODES - 1
    others = GraphNode(f"{len(nodes) - room:,} more", "see the table", "others")
    return {node: (rank, node if rank < room else others) for rank, node in enumerate(nodes)}


def _with_passages(route: GraphRoute) -> list[GraphNode]:
    """Fill the columns that a route passes; routes between the same two nodes share the place."""
    filled: list[GraphNode] = []
    source = target = GraphNode("")
    for index, node in enumerate(route.nodes):
        source = node or source
        target = next(filter(None, route.nodes[index:]), target)
        filled.append(node or GraphNode(f"{source}{target}", kind="passage"))
    return filled


# --- where they are --------------------------------------------------------------------------------------------------


def _arranged(columns: list[list[GraphNode]], edges: Iterable[_Edge]) -> dict[tuple[int, GraphNode], float]:
    """Order each column by the mean place of the neighbours; return the middles, between 0 and 1 of the height."""
    neighbours: defaultdict[tuple[int, GraphNode, int], list[GraphNode]] = defaultdict(list)
    for column, source, target in edges:
        neighbours[column, source, column + 1].append(target)
        neighbours[column + 1, target, column].append(source)
    middles: dict[tuple[int, GraphNode], float] = {}
    forwards = [(column, column - 1) for column in range(len(columns))]
    backwards = [(column, column + 1) for column in reversed(range(len(columns) - 1))]
    for column, other in [*forwards, *backwards, *forwards]:
        means = {
            node: (node.kind == "others", sum(middles[other, next_to] for next_to in near) / len(near))
            for node in columns[column]
            if (near := neighbours[column, node, other])
        }
        columns[column].sort(key=lambda node, means=means: means.get(node, (node.kind == "others", 0)))  # type: ignore[misc]
        total, top = sum(map(_height, columns[column])), 0
        for node in columns[column]:
            middles[column, node] = (top + _height(node) / 2) / total
            top += _height(node)
    return middles


def _height(node: GraphNode) -> int:
    return _PASSAGE if node.kind == "passage" else _ROW


# --- how they look ---------------------------------------------------------------------------------------------------


class _Frame(NamedTuple):
    left: float
    middle: float
    width: float


def _curve(edge: _Edge, start: _Frame, end: _Frame, passing: Sequence[GraphRoute]) -> Markup:
    """Return an arrow from box to box; a curve that starts in a passage goes through it first."""
    left, right = start.left + start.width, end.left
    bend = (left + right) / 2
    begin = start.left if edge.source.kind == "passage" else left
    bends = f"C{bend:g} {start.middle:g} {bend:g} {end.middle:g} {right:g} {end.middle:g}"
    kinds = {route.kind for route in passing}
    kind = "alarm" if "alarm" in kinds else kinds.pop() if len(kinds) == 1 else ""
    curve = tag("path", d=f"M{begin:g} {start.middle:g}H{left:g}{bends}")
    tip = tag("path", d=f"M{right - 8:g} {end.middle - 4.5:g}l8 4.5l-8 4.5z", class_="tip")
    return tag("g", curve, *([] if edge.target.kind == "passage" else [tip]), class_=f"edge {kind}".strip())


def _box(node: GraphNode, frame: _Frame) -> Markup:
    """Return a box with its full texts as a tooltip."""
    left, middle, room = frame.left, frame.middle, frame.width - 2 * _PADDING
    name = shortened(shown(node.name), int(room / _NAME_CHARACTER))
    detail = shortened(shown(node.detail), int(room / _DETAIL_CHARACTER))
    texts = [_text(left + _PADDING, middle + (-4 if detail else 4), name, "name")]
    if detail:
        texts.append(_text(left + _PADDING, middle + 14, detail, "detail"))
    return tag(
        "g",
        tag("title", f"{node.name} ({node.detail})" if detail else node.name),
        tag("rect", x=f"{left:g}", y=f"{middle - _BOX / 2:g}", width=f"{frame.width:g}", height=_BOX, rx=6),
        *texts,
        class_=f"node {node.kind}".strip(),
    )


def _text(x: float, y: float, text: str, kind: str) -> Markup:
    return tag("text", text, x=f"{x:g}", y=f"{y:g}", class_=kind)
