"""The requests per second of the application with the guard, as a share of those without; under uvicorn.

Each application runs in a uvicorn process from a plain installation on the loopback address, and `wrk` on
another core measures one after the other; the median of the rounds counts. Measured in wall-clock time, which a busy
machine distorts, and in CPU time of the server, which is its rate on a dedicated core. Skipped without `wrk`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from statistics import median
from typing import NamedTuple

from benchmarks.apps import CLIENT, PATH, signed, with_api_key
from benchmarks.row import Row, Skipped
from benchmarks.servers import Server, running

ROUNDS = 5
SECONDS = 2
CONNECTIONS = 16
BARE = "bare Starlette"


def measure() -> Iterator[Row]:
    """Compare SigV4 and an API key with the application alone."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise Skipped("`wrk` is not installed")
    with ExitStack() as stack:
        bare = stack.enter_context(running(command_of("apps:bare")))
        guarded = stack.enter_context(running(command_of("apps:guarded")))
        asking: dict[str, Callable[[], Rates]] = {
            BARE: lambda: _ask(wrk, bare, {}),
            "SigV4": lambda: _ask(wrk, guarded, signed(guarded.host)),
            "API key": lambda: _ask(wrk, guarded, with_api_key(guarded.host)),
        }
        rounds = [{name: ask() for name, ask in asking.items()} for _ in range(ROUNDS)]
    for name in ("SigV4", "API key"):
        for by in Rates._fields:
            ours = median(getattr(each[name], by) for each in rounds)
            share = median(getattr(each[name], by) / getattr(each[BARE], by) for each in rounds)
            yield Row(f"{name}, requests a second of {by.replace('_', ' ')}", ours, "1/s", share, BARE)


class Rates(NamedTuple):
    """Requests a second."""

    the_clock: float
    CPU_time: float


def command_of(factory: str) -> list[str]:
    """Return the command that serves one of the applications, `module:function`."""
    command = [sys.executable, "-m", "uvicorn", "--factory", f"benchmarks.{factory}", "--host", CLIENT]
    return [
        *command,
        "--port",
        "PORT",
        "--no-access-log",
        "--no-proxy-headers",
        "--log-level",
        "error",
        "--http",
        "h11",
    ]


def _ask(wrk: str, server: Server, headers: Mapping[str, str]) -> Rates:
    command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s"]
    for name, value in headers.items() - {("host", server.host)}:  # wrk sends it automatically
        command += ["-H", f"{name}: {value}"]
    before = server.cpu_seconds()
    done = subprocess.run([*command, f"http://{server.host}{PATH}"], stdout=subprocess.PIPE, text=True, check=True)
    taken = server.cpu_seconds() - before
    found = re.search(r"([0-9]+) requests in .*Requests/sec: +([0-9.]+)", done.stdout, re.DOTALL)
    if found is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise SystemExit(f"expected every request to be answered 200:\n{done.stdout}")
    return Rates(the_clock=float(found[2]), CPU_time=int(found[1]) / taken)
