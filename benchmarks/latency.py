"""The time that a guard adds to a request through a server: microseconds of wall-clock time, one client.

Each application runs in a uvicorn process from a plain installation (h11, asyncio) on the loopback address. One
client on another core sends one request after the other over a persistent connection, and the applications
alternate. The result is the smallest median of a round. Unlike `guarded`, it includes the event loop, the parser and
the switch to a thread.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from importlib.util import find_spec
from statistics import median
from typing import NamedTuple

from benchmarks.apps import CLIENT, PATH, signed
from benchmarks.row import Row, Skipped
from benchmarks.served import command_of
from benchmarks.servers import Server, running

ROUNDS, REQUESTS = 40, 150

BARE, FASTAPI = "bare Starlette", "bare FastAPI"
OURS = "SigV4, audit to a trail"
OURS_FASTAPI = f"FastAPI, decorator, {OURS}"


class Served(NamedTuple):
    """A connection to an application, the request, and the application without a guard; None for that one."""

    connection: socket.socket
    request: bytes
    without: str | None


def measure() -> Iterator[Row]:
    """Measure ours on Starlette and FastAPI, and the peers on FastAPI."""
    if not all(map(find_spec, ("fastapi", "iam_guard_fastapi", "jwt", "fastapi_authz"))):
        raise Skipped("the peers are not installed")
    with ExitStack() as stack:
        served = _served(stack)
        rounds = [{name: _median(each) for name, each in served.items()} for _ in range(ROUNDS)]
    taken = {name: min(each[name] for each in rounds) * 1e6 for name in served}
    added = {name: taken[name] - (taken[each.without] if each.without else 0.0) for name, each in served.items()}
    for ours in (OURS, OURS_FASTAPI):
        for peer in served:
            if peer not in (OURS, OURS_FASTAPI):
                yield Row(f"added to a request: {ours}", added[ours], "us", added[ours] / added[peer], peer)


def _served(stack: ExitStack) -> dict[str, Served]:
    from benchmarks.peers import with_fastapi_authz, with_jwt  # noqa: PLC0415  only if they are installed

    token, basic = {"authorization": with_jwt.bearer()}, {"authorization": with_fastapi_authz.basic()}
    key = {with_jwt.KEY_VARIABLE: with_jwt.pem()}

    def start(factory: str, headers: Mapping[str, str], without: str | None) -> Served:
        server = stack.enter_context(running(command_of(factory), key))
        connection = stack.enter_context(closing(socket.create_connection((CLIENT, server.port))))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Served(connection, _request(server, headers), without)

    return {
        BARE: start("apps:bare", {}, None),
        FASTAPI: start("fastapi_apps:bare", {}, None),
        OURS: start("apps:guarded_with_trail", SIGNED, BARE),
        OURS_FASTAPI: start("fastapi_apps:guarded", SIGNED, FASTAPI),
        "PyJWT RS256, async dependency": start("peers.with_jwt:guarded", token, FASTAPI),
        "PyJWT RS256, dependency in a thread": start("peers.with_jwt:guarded_in_thread", token, FASTAPI),
        "casbin's middleware, 9 lines of policy": start("peers.with_fastapi_authz:guarded", basic, FASTAPI),
    }


SIGNED: Mapping[str, str] = {"": "signed"}
"""Placeholder for the headers of a signature, which depends on the host of the server."""


def _request(server: Server, headers: Mapping[str, str]) -> bytes:
    sent = {"host": server.host} | (signed(server.host) if headers is SIGNED else dict(headers))
    lines = [f"GET {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
    return "\r\n".join(lines).encode("ascii")


def _median(served: Served) -> float:
    """Return the median of the seconds per request of a round."""
    taken = []
    for _ in range(REQUESTS):
        begun = time.perf_counter()
        served.connection.sendall(served.request)
        answer = served.connection.recv(65_536)
        while not answer.endswith(b"ok"):
            more = served.connection.recv(65_536)
            if not more:
                break
            answer += more
        taken.append(time.perf_counter() - begun)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"expected the status 200, got {answer[:200]!r}")
    return median(taken)
