"""The bytecode instructions and calls that a guard adds to one warm request: the same number on every machine.

The applications and the peers are those of `guarded`, called without a server; all Python code of the request's thread
counts, that of Starlette and of the standard library too, and no compiled code. The count depends on the
version of Python.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from types import CodeType
from typing import NamedTuple

import iam_guard
from benchmarks.guarded import PYJWT_IN_THREAD, App, applications, receive, scope_of, send
from benchmarks.row import Row, Skipped

WARM_UP = 20
"""Requests before the counted one: caches are filled, and CPython specializes its instructions."""
UNITS = ("instructions", "calls")
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
    """Count what ours and the peers add to Starlette and FastAPI."""
    if not hasattr(sys, "monitoring"):
        raise Skipped("counting instructions needs Python 3.12")
    with ExitStack() as stack:
        ours, peers = applications(stack)
        peers.pop(PYJWT_IN_THREAD, None)  # the other thread's instructions do not count
        asked = ours | peers
        counts = {name: counted(each.app, each.headers).total for name, each in asked.items()}
    for name, each in asked.items():
        if each.without:
            for unit, total, alone in zip(UNITS, counts[name], counts[each.without], strict=True):
                added = total - alone
                yield Row(f"{unit} added to a request: {name}", added, "", added / alone, each.without)
