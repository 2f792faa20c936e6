"""The cost of expensive requests without credentials: CPU time and memory of each, and their effect on a caller.

First, `hostile_costs` counts both in this process, and compares them with the limits. Then each of `hostile_shapes` is
sent to a guarded application, to `iam-guard serve`, and to the application without a guard under the same server, whose
cost is subtracted: it is the HTTP server's own. CPU time is that of all threads, from the kernel, in alternating
rounds, of which the fastest counts; memory is the growth of a server while so many connections are open. Then a caller
signs requests while all shapes are sent in turn, `RATE` per second, from another core.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median, quantiles

from benchmarks import hostile_costs
from benchmarks.apps import PATH, signed
from benchmarks.hostile_shapes import SHAPES
from benchmarks.row import Row, Skipped
from benchmarks.servers import ADDRESS, IAM_GUARD, ROOT, Server, command_of, running
from benchmarks.unauthenticated_child import send

ROUNDS, REQUESTS, WARM_UP = 3, 25, 5
CONNECTIONS = 40
SECONDS_TO_ARRIVE = 0.5
GOOD, HOSTILE, RATE = 1_500, 1_200, 300
MEETINGS = 3
WITHOUT = "the same without them"
BARE, APPLICATION, API = "bare Starlette", "application", "IAM and STS API"


def measure() -> Iterator[Row]:
    """Measure each shape at both servers, then a caller meanwhile."""
    yield from hostile_costs.measure()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2 or not Path("/proc/self/schedstat").exists():
        raise Skipped("it takes two cores, and Linux that counts the time of threads")
    serve = [*IAM_GUARD, "serve", "--port", "PORT", "--store", "sqlite://"]
    with ExitStack() as stack:
        servers = {
            BARE: stack.enter_context(running(command_of("apps:bare"), quiet=True)),
            APPLICATION: stack.enter_context(running(command_of("watched_app:watched"), quiet=True)),
            API: stack.enter_context(running([*serve, "--root-access-key", "AKIAROOT:x"], quiet=True)),
        }
        for server in servers.values():
            os.sched_setaffinity(server.process.pid, {cores[0]})
            for thread in Path(f"/proc/{server.process.pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {cores[0]})
        os.sched_setaffinity(0, {cores[-1]})
        for name in SHAPES:
            yield from _costs(name, servers)
        yield from _caller(servers[APPLICATION])


def _costs(name: str, servers: dict[str, Server]) -> Iterator[Row]:
    for server in servers.values():
        _send(server, name, WARM_UP)
    rounds = [{each: _cpu_of_one(server, name) for each, server in servers.items()} for _ in range(ROUNDS)]
    cpu = {each: min(round[each] for round in rounds) for each in servers}
    held = {each: _held_by_one(server, name) for each, server in servers.items()}
    for ours in (APPLICATION, API):
        yield Row(f"{name}, {ours}: CPU time added", (cpu[ours] - cpu[BARE]) * 1e3, "ms", cpu[ours] / cpu[BARE], BARE)
        added = max(held[ours] - held[BARE], 0.0)
        yield Row(f"{name}, {ours}: memory added", added, "KiB", (held[ours] + 1) / (held[BARE] + 1), BARE)


def _cpu_of_one(server: Server, name: str) -> float:
    before = _cpu_seconds(server)
    _send(server, name, REQUESTS)
    return (_cpu_seconds(server) - before) / REQUESTS


def _held_by_one(server: Server, name: str) -> float:
    """Return the growth of a server per open connection in KiB; the server has received such requests before."""
    shape = SHAPES[name](server.host)
    before = _resident(server)
    connections = [send(server.port, shape, stays=True) for _ in range(CONNECTIONS)]
    time.sleep(SECONDS_TO_ARRIVE)
    after = _resident(server)
    for connection in connections:
        connection.close()
    return max(0.0, after - before) / CONNECTIONS


def _send(server: Server, name: str, count: int) -> None:
    shape = SHAPES[name](server.host)
    for _ in range(count):
        send(server.port, shape).close()


def _flood(server: Server) -> None:
    with _flooding(server) as child:
        if child.wait():
            raise SystemExit("the hostile client failed")


def _flooding(server: Server) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.unauthenticated_child"]
    return subprocess.Popen([*command, str(server.port), str(HOSTILE), str(RATE), *SHAPES], cwd=ROOT)


# --- a caller meanwhile ------------------------------------------------------------------------------------------


def _caller(server: Server) -> Iterator[Row]:
    """Compare the time of a signed request, alone and during the shapes, whose own cost is subtracted."""
    _ask(server, 50)
    _lateness(server)
    ratios: list[float] = []
    late_alone: list[float] = []
    late: list[float] = []
    good = 0.0
    for _ in range(MEETINGS):
        _lateness(server)
        alone = _spent(server, lambda: _ask(server, GOOD))
        late_alone += _lateness(server)
        hostile = _spent(server, lambda: _flood(server))
        _lateness(server)
        both = _spent(server, lambda: _together(server))
        late += _lateness(server)
        ratios.append((both - hostile) / alone)
        good = alone / GOOD
    ratio = median(ratios)
    yield Row("a signed request meanwhile: CPU time", good * ratio * 1e3, "ms", ratio, WITHOUT)
    worst, worst_alone = (quantiles(each, n=100)[98] for each in (late, late_alone))
    yield Row("the event loop meanwhile: late, 99th percentile", worst * 1e3, "ms", worst / worst_alone, WITHOUT)


def _together(server: Server) -> None:
    with _flooding(server) as child:
        _ask(server, GOOD)
        child.wait()


def _spent(server: Server, work: Callable[[], object]) -> float:
    before = _cpu_seconds(server)
    work()
    return _cpu_seconds(server) - before


def _ask(server: Server, count: int) -> None:
    lines = [f"GET {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in signed(server.host).items()), "", ""]
    request = "\r\n".join(lines).encode("ascii")
    with closing(socket.create_connection((ADDRESS, server.port))) as connection:
        for _ in range(count):
            connection.sendall(request)
            answer = b""
            while not answer.endswith(b"ok"):
                part = connection.recv(65_536)
                answer += part
                if not part or not answer.startswith(b"HTTP/1.1 200"[: len(answer)]):
                    raise SystemExit(f"expected the status 200, got {answer[:200]!r}")


def _lateness(server: Server) -> list[float]:
    request = f"GET /lateness HTTP/1.1\r\nhost: {server.host}\r\nconnection: close\r\n\r\n".encode("ascii")
    with closing(socket.create_connection((ADDRESS, server.port))) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(1 << 20):
            answer += part
    found: list[float] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


# --- what the kernel says ----------------------------------------------------------------------------------------


def _cpu_seconds(server: Server) -> float:
    """Return the CPU time of all threads, to the nanosecond; `Server.cpu_seconds` counts hundredths of a second."""
    threads = Path(f"/proc/{server.process.pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text(encoding="ascii").split()[0]) for thread in threads) / 1e9


def _resident(server: Server) -> float:
    """Return the KiB of memory of a server."""
    pages = Path(f"/proc/{server.process.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1024
