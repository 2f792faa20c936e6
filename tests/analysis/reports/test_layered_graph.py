"""Drawing routes: which boxes there are, and that none overlap or are crossed."""

from __future__ import annotations

import re
from itertools import combinations
from typing import NamedTuple
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from iam_guard.analysis.reports.layered_graph import MAX_NODES, WIDTH, GraphNode, GraphRoute, layered_graph

SVG_NUMBER = r"-?[\d.]+(?:e-?\d+)?"


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float


def drawn(routes: list[GraphRoute]) -> ElementTree.Element:
    heads = ["Head"] * len(routes[0].nodes)
    picture = layered_graph(heads, routes, name="n", title="Title", about="About.")
    return ElementTree.fromstring(picture)  # noqa: S314  # our own


def boxes_of(picture: ElementTree.Element) -> list[Box]:
    boxes = []
    for rectangle in picture.iter("rect"):
        left, top, width, height = (float(rectangle.attrib[name]) for name in ("x", "y", "width", "height"))
        boxes.append(Box(left, top, left + width, top + height))
    return boxes


def curves_of(picture: ElementTree.Element) -> list[list[tuple[float, float]]]:
    """Return points on each curve: its straight start, and its bend."""
    curves = []
    for path in picture.iter("path"):
        if path.get("class") == "tip":
            continue
        x0, y0, x1, cx, cy, dx, dy, ex, ey = map(float, re.findall(SVG_NUMBER, path.attrib["d"]))
        points = [(x0 + (x1 - x0) * step / 20, y0) for step in range(21)]
        for step in range(21):
            t, u = step / 20, 1 - step / 20
            factors = (u**3, 3 * u * u * t, 3 * u * t * t, t**3)
            xs, ys = (x1, cx, dx, ex), (y0, cy, dy, ey)
            points.append(
                (
                    sum(f * x for f, x in zip(factors, xs, strict=True)),
                    sum(f * y for f, y in zip(factors, ys, strict=True)),
                )
            )
        curves.append(points)
    return curves


def names_of(picture: ElementTree.Element) -> list[str | None]:
    return [text.text for text in picture.iter("text") if text.get("class") == "name"]


@st.composite
def routes(draw: st.DrawFn) -> list[GraphRoute]:
    """Return routes through 2 to 5 columns, of which those between may be passed."""
    columns = draw(st.integers(2, 5))
    names = st.integers(0, 30).map(lambda number: GraphNode(f"node {number}", kind="alarm" if number == 3 else ""))
    between = st.lists(st.none() | names, min_size=columns - 2, max_size=columns - 2)
    kinds = st.sampled_from(["", "alarm", "conditional"])
    route = st.tuples(names, between, names, kinds).map(
        lambda parts: GraphRoute((parts[0], *parts[1], parts[2]), parts[3])
    )
    return draw(st.lists(route, min_size=1, max_size=40))


@given(routes())
def test_boxes_do_not_overlap_and_curves_run_beside_them(given_routes: list[GraphRoute]) -> None:
    picture = drawn(given_routes)
    _, _, width, height = map(float, picture.attrib["viewBox"].split())
    boxes = boxes_of(picture)
    for box in boxes:
        assert -1 < box.left < box.right < WIDTH + 1 < width
        assert 0 < box.top < box.bottom < height
    for one, other in combinations(boxes, 2):
        assert one.right <= other.left or other.right <= one.left or one.bottom <= other.top or other.bottom <= one.top
    for curve in curves_of(picture):
        for x, y in curve:
            assert not any(box.left + 1 < x < box.right - 1 and box.top < y < box.bottom for box in boxes)


@given(routes())
def test_equal_nodes_of_a_column_are_one_box(given_routes: list[GraphRoute]) -> None:
    columns = [{node for node in nodes if node} for nodes in zip(*(route.nodes for route in given_routes), strict=True)]
    assert len(boxes_of(drawn(given_routes))) == sum(min(len(column), MAX_NODES) for column in columns)


def test_full_column_shows_alarms_and_busy_nodes_first() -> None:
    rare_alarm = GraphRoute((GraphNode("public", kind="alarm"), GraphNode("target")))
    busy = [GraphRoute((GraphNode("busy"), GraphNode("target")))] * 5
    others = [GraphRoute((GraphNode(f"other {number:02}"), GraphNode("target"))) for number in range(40)]
    names = names_of(drawn([*others, *busy, rare_alarm]))
    assert len(names) == MAX_NODES + 1
    assert {"public", "busy", "other 00", "29 more", "target"} <= set(names)
    assert "other 39" not in names


def test_shared_edge_is_one_arrow_of_the_worst_kind() -> None:
    nodes = (GraphNode("a"), GraphNode("b"))
    for kinds, expected in [
        (("conditional", "conditional"), "edge conditional"),
        (("conditional", ""), "edge"),
        (("conditional", "alarm"), "edge alarm"),
    ]:
        picture = drawn([GraphRoute(nodes, kind) for kind in kinds])
        assert [group.get("class") for group in picture.iter("g") if group.get("class", "").startswith("edge")] == [
            expected
        ]


def test_long_names_are_shortened_to_their_box_with_the_full_name_beside() -> None:
    name = "role/" + "x" * 300 + "/end"
    picture = drawn([GraphRoute((GraphNode(name), GraphNode("\x00" * 60)))])
    for shown in names_of(picture):
        assert shown is not None
        assert len(shown) < 60
        assert "…" in shown
    assert f"role/{'x' * 300}/end" in [title.text for title in picture.iter("title")]


def test_picture_has_a_title_and_a_description() -> None:
    picture = drawn([GraphRoute((GraphNode("a"), GraphNode("b")))])
    assert picture.attrib["role"] == "img"
    parts = {part.attrib["id"]: part.text for part in picture if "id" in part.attrib}
    assert [parts[name] for name in picture.attrib["aria-labelledby"].split()] == ["Title", "About."]
