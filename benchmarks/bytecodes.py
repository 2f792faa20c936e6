"""The bytecode instructions and calls that a guard adds to one warm request: the same number on every machine.

Each application is called as in `guarded`, without a server; all code of the request's thread counts, that of Starlette
and of the standard library too. The count depends on the version of Python.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import CodeType
from typing import NamedTuple

import iam_guard
from benchmarks.apps import bare, behind, guard_with_trail, make_guard, signed, with_api_key
from benchmarks.guarded import BARE, HOST, TRAIL, App, receive, scope_of, send
from benchmarks.row import Row, Skipped

WARM_UP = 20
"""Requests before the counted one: caches are filled, and CPython specializes its instructions."""
_OWN = f"{Path(iam_guard.__file__).parent}/"


class Counts(NamedTuple):
    """The instructions and calls of Python functions in one request, by package of ours (`other` for all others)."""

    instructions: Counter[str]
    calls: Counter[str]

    @property
    def total(self) -> tuple[int, int]:
        return self.instructions.total(), self.calls.total()


def counted(app: App, headers: Mapping[str, str], group: Callable[[CodeType], str] | None = None) -> Counts:
    """Return the counts of one warm request to an application. Raises `SystemExit` unless the status is 200."""
    monitoring, events = sys.monitoring, sys.monitoring.events
    tool, thread = monitoring.PROFILER_ID, threading.get_ident()
    found = Counts(Counter(), Counter())
    group = group or package_of

    def instruction(code: CodeType, _: int) -> None:
        if threading.get_ident() == thread:
            found.instructions[group(code)] += 1

    def call(code: CodeType, _: int) -> None:
        if threading.get_ident() == thread:
            found.calls[group(code)] += 1

    scope = scope_of(headers)

    async def serve() -> None:
        for _ in range(WARM_UP):
            await app(dict(scope), receive, send)
        monitoring.use_tool_id(tool, "benchmark")
        monitoring.register_callback(tool, events.INSTRUCTION, instruction)
        monitoring.register_callback(tool, events.PY_START, call)
        monitoring.set_events(tool, events.INSTRUCTION | events.PY_START)
        try:
            await app(dict(scope), receive, send)
        finally:
            monitoring.set_events(tool, 0)
            monitoring.free_tool_id(tool)

    with closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(serve())
    return found


def package_of(code: CodeType) -> str:
    """Return the package of ours that some code is in."""
    name = code.co_filename
    if not name.startswith(_OWN):
        return "other"
    parts = name[len(_OWN) :].split("/")
    return "/".join(parts[:2]) if parts[0] == "web" and len(parts) > 2 else parts[0]


def measure() -> Iterator[Row]:
    """Count what ours adds to Starlette, and what it and PyJWT's dependency add to FastAPI."""
    if not hasattr(sys, "monitoring"):
        raise Skipped("counting instructions needs Python 3.12")
    alone = counted(bare(), {"host": HOST})
    with closing(make_guard()) as guard, closing(guard_with_trail()) as recording:
        by_signature, by_key = signed(HOST), with_api_key(HOST)
        asked = {
            "SigV4": (behind(guard), by_signature),
            TRAIL: (behind(recording), by_signature),
            "API key": (behind(guard), by_key),
            "API key, audit to a trail": (behind(recording), by_key),
        }
        for name, (app, headers) in asked.items():
            yield from _rows(name, counted(app, headers), alone, BARE)


def _rows(name: str, ours: Counts, alone: Counts, peer: str) -> Iterator[Row]:
    for unit, our, their in zip(("instructions", "calls"), ours.total, alone.total, strict=True):
        yield Row(f"{unit} added to a request: {name}", our - their, "", (our - their) / their, peer)
