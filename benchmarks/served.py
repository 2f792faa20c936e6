"""How many requests a second the application answers behind the guard, of those it answers alone; under uvicorn.

Each application runs in a uvicorn process with its defaults on the loopback address, and `wrk` on another core asks one
after the other; the median of the rounds counts. By the clock on the wall, which a busy machine spoils, and by the CPU
time of the server, which is what it would answer on a core of its own. Skipped where there is no `wrk`. Must not live
here: what the guard itself takes (`guarded`).
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.apps import CLIENT, PATH, signed, with_api_key
from benchmarks.row import Row, Skipped

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 5
SECONDS = 2
CONNECTIONS = 16
MOST_SECONDS_TO_START = 30.0
BARE = "bare Starlette"


def measure() -> Iterator[Row]:
    """Measure SigV4 and an API key beside the application alone."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise Skipped("`wrk` is not installed")
    with ExitStack() as running:
        bare = running.enter_context(_server("bare"))
        guarded = running.enter_context(_server("guarded"))
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


class Server(NamedTuple):
    """One that runs. `host` is what a request calls it, with the port."""

    process: subprocess.Popen[bytes]
    host: str


@contextmanager
def _server(name: str) -> Iterator[Server]:
    """Serve one of the applications."""
    with socket.socket() as free:
        free.bind((CLIENT, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--factory", f"benchmarks.apps:{name}", "--host", CLIENT]
    command += ["--port", str(port), "--no-access-log", "--no-proxy-headers", "--log-level", "error"]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        _wait_for(process, port)
        yield Server(process, f"{CLIENT}:{port}")
    finally:
        process.terminate()
        process.wait()


def _wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + MOST_SECONDS_TO_START
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as tried:
            if tried.connect_ex((CLIENT, port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("the server did not start")


def _ask(wrk: str, server: Server, headers: Mapping[str, str]) -> Rates:
    command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s"]
    for name, value in headers.items() - {("host", server.host)}:  # wrk sends it by itself
        command += ["-H", f"{name}: {value}"]
    before = _cpu_seconds(server.process)
    done = subprocess.run([*command, f"http://{server.host}{PATH}"], stdout=subprocess.PIPE, text=True, check=True)
    taken = _cpu_seconds(server.process) - before
    found = re.search(r"([0-9]+) requests in .*Requests/sec: +([0-9.]+)", done.stdout, re.DOTALL)
    if found is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise SystemExit(f"expected every request to be answered 200:\n{done.stdout}")
    return Rates(the_clock=float(found[2]), CPU_time=int(found[1]) / taken)


def _cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Give the CPU time of a running process, as Linux tells it."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # user and system
