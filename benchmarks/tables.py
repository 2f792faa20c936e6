"""The tables of the benchmark pages: of all rows of a benchmark, and those that a reader sees first."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from benchmarks.clock import CALIBRATION
from benchmarks.row import Row, show

Rows = Mapping[str, Sequence[Row]]
"""The rows of each benchmark."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows)]
    return "\n".join(lines).replace("*a", "\\*a")  # a wildcard, and no emphasis


def quantity(value: float, unit: str) -> str:
    """Format a value with its unit, on one line."""
    return in_micro(f"{show(value)}\N{NO-BREAK SPACE}{unit}").rstrip()


def in_micro(text: str) -> str:
    """Write the unit `us` with its letter."""
    return re.sub(r"\bus\b", "µs", text)


# --- all rows of a benchmark ---------------------------------------------------------------------------------------

_CELL_NAMES = {
    "control_plane": re.compile(r"(?P<row>\w+, \d at a time): (?P<column>.+)"),
    "bytecodes": re.compile(r"(?P<column>instructions|calls) added to a request: (?P<row>.+)"),
    "unauthenticated": re.compile(r"(?P<row>.+), (?P<column>(?:application|IAM and STS API): .+)"),
}
"""Benchmarks whose row names have two parts: the line of the table, and its column."""


def results_table(benchmark: str, rows: Sequence[Row]) -> str:
    """Return the tables of a benchmark; rows of the same name differ in the peer."""
    groups = {name: list(group) for name, group in groupby(rows, key=lambda row: row.name)}
    cells: dict[str, dict[str, str]] = {}
    plain: list[tuple[str, str, str]] = []
    for name, same in groups.items():
        parts = pattern.fullmatch(name) if (pattern := _CELL_NAMES.get(benchmark)) else None
        if parts is not None:
            cells.setdefault(parts["row"], {})[parts["column"]] = _cell(same[0])
        else:
            plain.append((name, quantity(same[0].value, same[0].unit), ", ".join(_ratios(same))))
    tables = [table(("What", "iam_guard", "Peers, ours being 1"), plain)] if plain else []
    if cells:
        columns = list(dict.fromkeys(column for line in cells.values() for column in line))
        lines = [(name, *(line.get(column, "") for column in columns)) for name, line in cells.items()]
        tables.append(table(("What", *columns), lines))
    return "\n\n".join(tables)


def _cell(row: Row) -> str:
    return f"{quantity(row.value, row.unit)} ({show(1 / row.ratio)})" if row.ratio else quantity(row.value, row.unit)


def _ratios(same: Sequence[Row]) -> Iterator[str]:
    return (f"{row.peer} {show(1 / row.ratio)}" for row in same if row.ratio)


# --- the first tables of the page ----------------------------------------------------------------------------------

ADDED = "added to a request: "
"""How the rows begin that measure a guarded request."""


class Work(NamedTuple):
    """What is done to a request in the time that a row measures."""

    verifies: str = ""
    decides: str = ""
    records: str = ""


_STATEMENTS = "75 statements of IAM policies"
_SIGNED = Work("the signature", _STATEMENTS)
_WORK = {
    "SigV4": _SIGNED,
    "API key": Work("the key", _STATEMENTS),
    "SigV4, audit to a trail": _SIGNED._replace(records="a signed trail"),
    "API key, audit to a trail": Work("the key", _STATEMENTS, "a signed trail"),
    "FastAPI, decorator, SigV4, audit to a trail": _SIGNED._replace(records="a signed trail"),
    "FastAPI, dependency, SigV4, audit to a trail": _SIGNED._replace(records="a signed trail"),
    "PyJWT RS256, async dependency": Work("the token"),
    "PyJWT RS256, dependency in a thread": Work("the token"),
    "casbin's middleware, 9 lines of policy": Work(decides="9 rules"),
    "pycasbin in a middleware, our 75 rules": Work(decides="75 rules"),
    "PyJWT and pycasbin, 9 lines of policy": Work("the token", "9 rules"),
    "PyJWT and pycasbin, our 75 rules": Work("the token", "75 rules"),
}


def requests_table(rows: Sequence[Row]) -> str:
    """Return what iam_guard and its peers add to a request, the fastest first, and what they do for it."""
    added = {row.peer: row.value / row.ratio for row in rows}
    added |= {row.name.removeprefix(ADDED): row.value for row in rows}
    ours = {row.name.removeprefix(ADDED) for row in rows}
    lines = [
        (f"**iam_guard**: {name}" if name in ours else name, quantity(added[name], "us"), *_WORK[name])
        for name in sorted(_WORK.keys() & added.keys(), key=added.__getitem__)
    ]
    return table(("What", "Adds", "Verifies", "Decides by", "Records in"), lines)


def peers_table(rows: Sequence[Row], names: Mapping[str, str], first: str) -> str:
    """Return the times of iam_guard and of each peer, for the rows in `names`: name of the row -> label."""
    chosen = [row for row in rows if row.name in names]
    peers = list(dict.fromkeys(row.peer for row in chosen if row.peer != CALIBRATION and "of them" not in row.peer))
    lines = []
    for name, label in names.items():
        ours = [row for row in chosen if row.name == name]
        theirs = {row.peer: quantity(row.value / row.ratio, row.unit) for row in ours}
        if ours:
            ours_value = f"**{quantity(ours[0].value, ours[0].unit)}**"
            lines.append((label, ours_value, *(theirs.get(peer, "") for peer in peers)))
    return table((first, "iam_guard", *peers), lines)


KINDS = {f"{kind}, question built": kind for kind in ("allow, 2 conditions", "implicit deny", "explicit deny")}
SIZES = {f"{size:,} statements, 1 action": f"{size:,}" for size in (10, 100, 1_000, 10_000, 100_000)}


def interpreters_table(rows: Sequence[Row]) -> str:
    """Return the times of each decision on each Python; the rows have the Python at the end of their name."""
    times: dict[str, dict[str, str]] = {}
    for row in rows:
        kind, _, python = row.name.rpartition(", ")
        if row.peer != CALIBRATION:
            line = times.setdefault(KINDS[kind], {})
            line |= {row.peer: quantity(row.value / row.ratio, row.unit), python: quantity(row.value, row.unit)}
    pythons = sorted({python for line in times.values() for python in line})
    lines = [(kind, *(line[python] for python in pythons)) for kind, line in times.items()]
    return table(("Decision", *pythons), lines)


# --- one figure of each benchmark ----------------------------------------------------------------------------------


class Highlight(NamedTuple):
    """A row that the page shows, with a label of its own, beside one peer."""

    label: str
    benchmark: str
    row: str
    peer: str = ""


HIGHLIGHTS = (
    Highlight("verify a SigV4 signature", "authn", "SigV4, GET, no body", "botocore signing it"),
    Highlight("verify an OIDC token seen before", "authn", "OIDC token, known", "joserfc verifying its signature"),
    Highlight("open a session token", "session_tokens", "open a role session"),
    Highlight("decide about a caller not in the cache, SQLite", "cold", "SQLite, 200,000 users: a first decision"),
    Highlight("the same, PostgreSQL", "cold", "PostgreSQL on the same machine, 200,000 users: a first decision"),
    Highlight(
        "use another process's change, PostgreSQL, 99 %",
        "changes",
        "PostgreSQL: 99 % use a change within",
        "polled every 0.5 s",
    ),
    Highlight(
        "add to a request, 10,000 documents in turn",
        "variety",
        "added to a request: 10,000 documents in turn, a loader, no records",
        "one document",
    ),
    Highlight("memory for each user with a decision", "memory", "a user with 5 of 50 policies"),
    Highlight("load 10,000 policies of 3 statements", "load", "10,000 policies of 3 statements: read, compiled"),
    Highlight("decide with the slowest valid policy", "worst", "ones between letters"),
    Highlight("queue an audit record", "pipeline", "noting an Allow that reads, mean", "logging with a queue, JSON"),
    Highlight("write audit records", "trail", "writer, commits of 250: records a second"),
    Highlight("verify ten million records", "trail", "verifying ten million records, extrapolated"),
    Highlight("query ten million records", "questions", "actions of a role in 90 days, ten million records"),
    Highlight("`GetUser` of the API", "control_plane", "GetUser, 1 at a time: requests a second", "moto"),
    Highlight("`CreateUser` of the API", "control_plane", "CreateUser, 1 at a time: requests a second", "moto"),
    Highlight(
        "an endpoint that does nothing, under uvicorn",
        "served",
        "SigV4, requests a second of CPU time",
        "bare Starlette",
    ),
    Highlight("start `iam-guard decide`", "start", "iam-guard decide", "python -c pass"),
    Highlight("decide cases with `iam-guard decide`", "cases", "one set of policies for 60,000 requests"),
)


def highlights_table(rows: Rows, elsewhere: Container[str] = ()) -> str:
    """Return a figure of each benchmark that was run; those of benchmarks run `elsewhere` are marked."""
    lines = []
    for row in HIGHLIGHTS:
        if rows.get(row.benchmark):
            label, ours, beside = _highlight(row, rows[row.benchmark])
            lines.append((f"{label} (on another machine)" if row.benchmark in elsewhere else label, ours, beside))
    return table(("What", "iam_guard", "For comparison"), lines)


def _highlight(highlight: Highlight, rows: Sequence[Row]) -> tuple[str, str, str]:
    same = [row for row in rows if row.name == highlight.row and highlight.peer in ("", row.peer)]
    row = same[0]
    beside = f"{row.peer}: {quantity(row.value / row.ratio, row.unit)}" if highlight.peer else ""
    return highlight.label, quantity(row.value, row.unit), beside
