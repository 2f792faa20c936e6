"""The numbers in the charts of the page."""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchmarks.chart import Line, bars, linear, lines, logarithmic
from benchmarks.clock import CALIBRATION
from benchmarks.row import Row

OURS = "iam_guard"
_ALLOW = "allow, 2 conditions, question "
_STATEMENTS = re.compile(r"([0-9,]+) statements, 1 action")
_ADDED = "added to a request: "
_BARE = ("bare Starlette", "bare FastAPI")
_RATE = ", 1 at a time: requests a second"


def charts(rows: Mapping[str, list[Row]]) -> dict[str, str]:
    """Draw the charts for which there are rows: file name -> SVG."""
    drawn = {
        "benchmarks-small.svg": _small(rows.get("decision", [])),
        "benchmarks-sizes.svg": _sizes(rows.get("many", [])),
        "benchmarks-request.svg": _request(rows.get("guarded", [])),
        "benchmarks-control-plane.svg": _control_plane(rows.get("control_plane", [])),
    }
    return {name: svg for name, svg in drawn.items() if svg}


def _small(rows: list[Row]) -> str:
    ours = {
        f"{OURS}, question {row.name.removeprefix(_ALLOW)}": row.value for row in rows if row.name.startswith(_ALLOW)
    }
    theirs = {
        row.peer: row.value / row.ratio for row in rows if row.name == f"{_ALLOW}built" and row.peer != CALIBRATION
    }
    title = "A small allow: CPU time, logarithmic scale"
    values = {**ours, **theirs}
    return bars(title, values, "µs", ours, share=logarithmic(values.values())) if ours else ""


def _sizes(rows: list[Row]) -> str:
    series: dict[str, dict[int, float]] = {OURS: {}}
    for row in rows:
        found = _STATEMENTS.fullmatch(row.name)
        if found is None:
            continue
        size = int(found[1].replace(",", ""))
        series[OURS][size] = row.value
        if row.peer != CALIBRATION and not row.peer.endswith("of them"):
            series.setdefault(row.peer, {})[size] = row.value / row.ratio
    shown: Mapping[str, Line] = series
    title = "An allow among ever more statements: CPU time, logarithmic scales"
    return lines(title, shown, "µs", "statements about the same action") if series[OURS] else ""


def _request(rows: list[Row]) -> str:
    ours = {f"{OURS}: {row.name.removeprefix(_ADDED)}": row.value for row in rows}
    theirs = {row.peer: row.value / row.ratio for row in rows if row.peer not in _BARE}
    title = "What is added to a request: CPU time"
    values = {**ours, **theirs}
    return bars(title, values, "µs", ours, share=linear(values.values())) if ours else ""


def _control_plane(rows: list[Row]) -> str:
    ratios = {row.name.removesuffix(_RATE): row.ratio for row in rows if row.name.endswith(_RATE)}
    title = "Requests a second, moto's being 1: one at a time"
    return bars(title, ratios, "× moto", ratios, share=linear(ratios.values())) if ratios else ""
