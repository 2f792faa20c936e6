"""The requests per second of the application with the guard, as a share of those without; under uvicorn.

Each application runs in a uvicorn process on the loopback address, from a plain installation and with httptools and
uvloop. `wrk` on another core measures one after the other, with 16 clients and with one; the median of the rounds
counts. Measured in wall-clock time, which a busy machine distorts, and in CPU time of the server, which is its rate on
a dedicated core. Skipped without `wrk`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from statistics import median
from typing import NamedTuple

from benchmarks.apps import PATH, signed, with_api_key
from benchmarks.row import Row, Skipped
from benchmarks.servers import FAST, PLAIN, Server, command_of, running

ROUNDS = 5
SECONDS = 1
CLIENTS = {16: "", 1: ", one client"}
"""Connections of `wrk`, and the words for them in the names of rows."""
BARE = "bare Starlette"


def measure() -> Iterator[Row]:
    """Compare SigV4 and an API key with the application alone, for each server and number of clients."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise Skipped("`wrk` is not installed")
    for server in (PLAIN, FAST):
        if missing := server.missing():
            raise Skipped(missing)
        with ExitStack() as stack:
            bare = stack.enter_context(running(command_of("apps:bare", server)))
            guarded = stack.enter_context(running(command_of("apps:guarded", server)))
            for clients, words in CLIENTS.items():
                yield from _rows(server.words + words, partial(_ask, wrk, clients), bare, guarded)


def _rows(
    setting: str, ask: Callable[[Server, Mapping[str, str]], Rates], bare: Server, guarded: Server
) -> Iterator[Row]:
    asking: dict[str, Callable[[], Rates]] = {
        BARE: lambda: ask(bare, {}),
        "SigV4": lambda: ask(guarded, signed(guarded.host)),
        "API key": lambda: ask(guarded, with_api_key(guarded.host)),
    }
    rounds = [{name: call() for name, call in asking.items()} for _ in range(ROUNDS)]
    for name in ("SigV4", "API key"):
        for by in Rates._fields:
            ours = median(getattr(each[name], by) for each in rounds)
            share = median(getattr(each[name], by) / getattr(each[BARE], by) for each in rounds)
            yield Row(f"{name}{setting}, requests a second of {by.replace('_', ' ')}", ours, "1/s", share, BARE)


class Rates(NamedTuple):
    """Requests a second."""

    the_clock: float
    CPU_time: float


def _ask(wrk: str, clients: int, server: Server, headers: Mapping[str, str]) -> Rates:
    command = [wrk, "-t1", f"-c{clients}", f"-d{SECONDS}s"]
    for name, value in headers.items() - {("host", server.host)}:  # wrk sends it automatically
        command += ["-H", f"{name}: {value}"]
    before = server.cpu_seconds()
    done = subprocess.run([*command, f"http://{server.host}{PATH}"], stdout=subprocess.PIPE, text=True, check=True)
    taken = server.cpu_seconds() - before
    found = re.search(r"([0-9]+) requests in .*Requests/sec: +([0-9.]+)", done.stdout, re.DOTALL)
    if found is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise SystemExit(f"expected every request to be answered 200:\n{done.stdout}")
    return Rates(the_clock=float(found[2]), CPU_time=int(found[1]) / taken)
