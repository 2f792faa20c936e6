"""The time that the whole guard adds to a request, in microseconds of CPU time, without a server.

The benchmark calls the application as a server would, with a prepared scope and no client; the time of the
same call without the guard is subtracted. Only OpenTelemetry's API is installed. A writer thread serializes and
writes the trail's lines: the CPU time of all threads includes it, and one row has only the request's thread. The peers
check less: the one with a token does not look up its owner or decide anything; those with casbin do not authenticate.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from importlib.util import find_spec
from itertools import repeat
from typing import Any, NamedTuple

from benchmarks.apps import CLIENT, PATH, bare, behind, guard_with_trail, make_guard, signed, with_api_key
from benchmarks.clock import least
from benchmarks.row import Row

HOST = "bench.example"
REQUESTS = 100
"""Requests in one of the alternating calls."""
ROUNDS, SECONDS_OF_A_ROUND = 60, 0.03

App = Callable[[Any, Any, Any], Awaitable[None]]

BARE, FASTAPI = "bare Starlette", "bare FastAPI"
OWN_THREAD = ", the request's thread alone"
TRAIL = "SigV4, audit to a trail"


class Asked(NamedTuple):
    """An application, its caller's headers, and the application without a guard to compare with; None for that one."""

    app: App
    headers: Mapping[str, str]
    without: str | None


def measure() -> Iterator[Row]:
    """Measure SigV4 and an API key, with an audit trail and on FastAPI too, beside the applications alone and peers."""
    with ExitStack() as stack:
        loop = stack.enter_context(closing(asyncio.new_event_loop()))
        guard = stack.enter_context(closing(make_guard()))
        noting = stack.enter_context(closing(guard_with_trail()))
        by_signature = signed(HOST)
        ours = {
            "SigV4": Asked(behind(guard), by_signature, BARE),
            "API key": Asked(behind(guard), with_api_key(HOST), BARE),
            TRAIL: Asked(behind(noting), by_signature, BARE),
        }
        peers = {BARE: Asked(bare(), {"host": HOST}, None)}
        if find_spec("fastapi") and find_spec("iam_guard_fastapi"):
            from benchmarks import fastapi_apps  # noqa: PLC0415  only if it is installed

            on_fastapi = {"decorator": fastapi_apps.behind_decorator, "dependency": fastapi_apps.behind_dependency}
            ours |= {
                f"FastAPI, {name}, {TRAIL}": Asked(make(noting), by_signature, FASTAPI)
                for name, make in on_fastapi.items()
            }
            peers[FASTAPI] = Asked(fastapi_apps.bare(), {"host": HOST}, None)
            peers |= _on_fastapi()
        peers |= _with_casbin()
        calls = {name: calls_of(loop, asked.app, asked.headers) for name, asked in (ours | peers).items()}
        taken = least(calls, ROUNDS, SECONDS_OF_A_ROUND)
        alone = {name: calls[name] for name in (BARE, TRAIL)}
        own = least(alone, ROUNDS, SECONDS_OF_A_ROUND, time.thread_time)
    added = _added(taken, ours | peers)
    added[TRAIL + OWN_THREAD] = (own[TRAIL] - own[BARE]) / REQUESTS * 1e6
    yield from _rows(added, peers)


def _added(taken: Mapping[str, float], asked: Mapping[str, Asked]) -> dict[str, float]:
    """Return the microseconds that each adds to its application without a guard; for those without, their own time."""
    return {
        name: (taken[name] - (taken[each.without] if each.without else 0.0)) / REQUESTS * 1e6
        for name, each in asked.items()
    }


def _rows(added: Mapping[str, float], peers: Mapping[str, Asked]) -> Iterator[Row]:
    for name, value in added.items():
        if name not in peers:
            for peer in peers:
                yield Row(f"added to a request: {name}", value, "us", value / added[peer], peer)


def _on_fastapi() -> dict[str, Asked]:
    peers = {}
    if find_spec("jwt"):
        from benchmarks.peers import with_jwt  # noqa: PLC0415

        headers = {"host": HOST, "authorization": with_jwt.bearer()}
        peers["PyJWT RS256, async dependency"] = Asked(with_jwt.guarded(), headers, FASTAPI)
        peers["PyJWT RS256, dependency in a thread"] = Asked(with_jwt.guarded_in_thread(), headers, FASTAPI)
    if find_spec("fastapi_authz"):
        from benchmarks.peers import with_fastapi_authz  # noqa: PLC0415

        headers = {"host": HOST, "authorization": with_fastapi_authz.basic()}
        peers["casbin's middleware, 9 lines of policy"] = Asked(with_fastapi_authz.guarded(), headers, FASTAPI)
    return peers


def _with_casbin() -> dict[str, Asked]:
    if not find_spec("casbin"):
        return {}
    from benchmarks.peers import with_casbin  # noqa: PLC0415

    return {"pycasbin in a middleware, our 75 rules": Asked(with_casbin.Middleware(bare()), {"host": HOST}, BARE)}


# --- calling an application --------------------------------------------------------------------------------------


def calls_of(loop: asyncio.AbstractEventLoop, app: App, headers: Mapping[str, str]) -> Callable[[], object]:
    """Return a call that sends so many requests to the application; the response to the first must be 200."""
    scope = scope_of(headers)
    statuses: list[int] = []

    async def remember(message: Mapping[str, Any]) -> None:
        statuses.extend([message["status"]] if message["type"] == "http.response.start" else [])

    loop.run_until_complete(app(dict(scope), receive, remember))
    if statuses != [200]:
        raise SystemExit(f"expected the status 200, got {statuses}")

    async def serve() -> None:
        for _ in repeat(None, REQUESTS):
            await app(dict(scope), receive, send)

    return lambda: loop.run_until_complete(serve())


def scope_of(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the scope of a request as a server makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode("ascii"),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()],
        "client": (CLIENT, 50_000),
        "server": (HOST, 80),
        "state": {},
    }


async def receive() -> dict[str, Any]:
    """Receive an empty body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: Mapping[str, Any]) -> None:
    """Drop the answer."""
