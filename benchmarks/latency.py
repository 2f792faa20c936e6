"""The time that a guard adds to a request through a server: microseconds of wall-clock time, one client.

Each application runs in a uvicorn process on the loopback address, from a plain installation (h11, asyncio) and with
httptools and uvloop. One client on another core sends one request after the other over a persistent connection, and
the applications alternate. The result is the smallest median of a round. Unlike `guarded`, it includes the event loop,
the parser and the switch to a thread.
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
from benchmarks.guarded import BARE, CASBIN, FASTAPI, PYJWT, PYJWT_IN_THREAD, TOGETHER, TRAIL
from benchmarks.row import Row, Skipped
from benchmarks.servers import FAST, PLAIN, Server, Uvicorn, command_of, running

ROUNDS, REQUESTS = 30, 150

OURS, OURS_FASTAPI = TRAIL, f"FastAPI, decorator, {TRAIL}"


class Served(NamedTuple):
    """A connection to an application, the request, and the application without a guard; None for that one."""

    connection: socket.socket
    request: bytes
    without: str | None


def measure() -> Iterator[Row]:
    """Measure ours on Starlette and FastAPI, and the peers on FastAPI, with each server."""
    if not all(map(find_spec, ("fastapi", "iam_guard_fastapi", "jwt", "fastapi_authz"))):
        raise Skipped("the peers are not installed")
    for uvicorn in (PLAIN, FAST):
        if missing := uvicorn.missing():
            raise Skipped(missing)
        yield from _rows(uvicorn)


def _rows(uvicorn: Uvicorn) -> Iterator[Row]:
    with ExitStack() as stack:
        served = _served(stack, uvicorn)
        rounds = [{name: _median(each) for name, each in served.items()} for _ in range(ROUNDS)]
    taken = {name: min(each[name] for each in rounds) * 1e6 for name in served}
    added = {name: taken[name] - (taken[each.without] if each.without else 0.0) for name, each in served.items()}
    for ours in (OURS, OURS_FASTAPI):
        for peer in served:
            if peer not in (OURS, OURS_FASTAPI):
                yield Row(
                    f"added to a request{uvicorn.words}: {ours}", added[ours], "us", added[ours] / added[peer], peer
                )


def _served(stack: ExitStack, uvicorn: Uvicorn) -> dict[str, Served]:
    from benchmarks.peers import with_fastapi_authz, with_jwt  # noqa: PLC0415  only if they are installed

    token, basic = {"authorization": with_jwt.bearer()}, {"authorization": with_fastapi_authz.basic()}
    key = {with_jwt.KEY_VARIABLE: with_jwt.pem()}

    def start(factory: str, headers: Mapping[str, str], without: str | None) -> Served:
        server = stack.enter_context(running(command_of(factory, uvicorn), key))
        connection = stack.enter_context(closing(socket.create_connection((CLIENT, server.port))))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Served(connection, _request(server, headers), without)

    return {
        BARE: start("apps:bare", {}, None),
        FASTAPI: start("fastapi_apps:bare", {}, None),
        OURS: start("apps:guarded_with_trail", SIGNED, BARE),
        OURS_FASTAPI: start("fastapi_apps:guarded", SIGNED, FASTAPI),
        PYJWT: start("peers.with_jwt:guarded", token, FASTAPI),
        PYJWT_IN_THREAD: start("peers.with_jwt:guarded_in_thread", token, FASTAPI),
        CASBIN: start("peers.with_fastapi_authz:guarded", basic, FASTAPI),
        TOGETHER: start("peers.with_jwt_and_casbin:with_few_rules", token, FASTAPI),
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
