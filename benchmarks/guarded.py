"""The time that the whole guard adds to a request, in microseconds of CPU time, without a server.

The benchmark calls the application as a server would, with a prepared scope and no client; the time of the
same call without the guard is subtracted. Only OpenTelemetry's API is installed. A writer thread serializes and
writes the trail's lines: the CPU time of all threads includes it, and one row has only the request's thread. The peers
check less: the one with a token does not look up its owner or decide anything; those with casbin alone do not
authenticate; no peer records anything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from importlib.util import find_spec
from itertools import cycle, repeat
from typing import Any, NamedTuple

from benchmarks.apps import CLIENT, PATH, bare, behind, guard_with_trail, make_guard, signed, with_api_key
from benchmarks.clock import least
from benchmarks.row import Row
from iam_guard.guard.guard import Guard

HOST = "bench.example"
REQUESTS = 100
"""Requests in one of the alternating calls."""
ROUNDS, SECONDS_OF_A_ROUND = 60, 0.03

App = Callable[[Any, Any, Any], Awaitable[None]]

BARE, FASTAPI = "bare Starlette", "bare FastAPI"
OWN_THREAD = ", the request's thread alone"
TRAIL = "SigV4, audit to a trail"
PYJWT, PYJWT_IN_THREAD = "PyJWT RS256, async dependency", "PyJWT RS256, dependency in a thread"
CASBIN, PYCASBIN = "casbin's middleware, 9 lines of policy", "pycasbin in a middleware, our 75 rules"
TOGETHER, TOGETHER_OUR_RULES = "PyJWT and pycasbin, 9 lines of policy", "PyJWT and pycasbin, our 75 rules"


Scope = dict[str, Any]


class Asked(NamedTuple):
    """An application, its caller's headers and body, and the application without a guard to compare with.

    `without` is None for an application without a guard; requests with a body are POST.
    """

    app: App
    headers: Mapping[str, str]
    without: str | None
    body: bytes = b""

    @property
    def scope(self) -> Scope:
        return scope_of(self.headers, method="POST" if self.body else "GET")


def measure() -> Iterator[Row]:
    """Measure SigV4 and an API key, with an audit trail and on FastAPI too, beside the applications alone and peers."""
    with ExitStack() as stack:
        loop = stack.enter_context(closing(asyncio.new_event_loop()))
        ours, peers = applications(stack)
        added, calls = seconds_added(loop, ours | peers)
        alone = {name: calls[name] for name in (BARE, TRAIL)}
        own = least(alone, ROUNDS, SECONDS_OF_A_ROUND, time.thread_time)
    added[TRAIL + OWN_THREAD] = (own[TRAIL] - own[BARE]) / REQUESTS
    yield from added_rows(added, peers)


def seconds_added(
    loop: asyncio.AbstractEventLoop, asked: Mapping[str, Asked]
) -> tuple[dict[str, float], dict[str, Callable[[], object]]]:
    """Return the seconds that each adds to its application without a guard (or takes, for that one), and the calls."""
    calls = {name: calls_of(loop, each.app, [each.scope], each.body) for name, each in asked.items()}
    taken = least(calls, ROUNDS, SECONDS_OF_A_ROUND)
    added = {
        name: (taken[name] - (taken[each.without] if each.without else 0.0)) / REQUESTS for name, each in asked.items()
    }
    return added, calls


def added_rows(added: Mapping[str, float], peers: Mapping[str, Asked]) -> Iterator[Row]:
    """Return a row for each of ours beside each peer."""
    for name, seconds in added.items():
        if name not in peers:
            for peer in peers:
                yield Row(f"added to a request: {name}", seconds * 1e6, "us", seconds / added[peer], peer)


# --- the applications --------------------------------------------------------------------------------------------


def applications(stack: ExitStack) -> tuple[dict[str, Asked], dict[str, Asked]]:
    """Return ours and the peers, on Starlette and on FastAPI, until the stack is closed."""
    guard = stack.enter_context(closing(make_guard()))
    recording = stack.enter_context(closing(guard_with_trail()))
    by_signature, by_key = signed(HOST), with_api_key(HOST)
    ours = {
        "SigV4": Asked(behind(guard), by_signature, BARE),
        "API key": Asked(behind(guard), by_key, BARE),
        TRAIL: Asked(behind(recording), by_signature, BARE),
        "API key, audit to a trail": Asked(behind(recording), by_key, BARE),
    }
    peers = {BARE: Asked(bare(), {"host": HOST}, None)}
    if has_fastapi():
        ours_on_fastapi, peers_on_fastapi = on_fastapi(recording)
        ours |= ours_on_fastapi
        peers |= peers_on_fastapi
    if find_spec("casbin"):
        from benchmarks.peers import with_casbin  # noqa: PLC0415  only if it is installed

        peers[PYCASBIN] = Asked(with_casbin.Middleware(bare()), {"host": HOST}, BARE)
    return ours, peers


def has_fastapi() -> bool:
    """Return whether FastAPI and its adapter are installed."""
    return all(map(find_spec, ("fastapi", "iam_guard_fastapi")))


def on_fastapi(guard: Guard, body: bytes = b"") -> tuple[dict[str, Asked], dict[str, Asked]]:
    """Return ours and the installed peers on FastAPI; `guard` has a trail."""
    from benchmarks import fastapi_apps  # noqa: PLC0415  only if it is installed

    by_signature = signed(HOST, method="POST" if body else "GET", body=body)
    ways = {"decorator": fastapi_apps.behind_decorator, "dependency": fastapi_apps.behind_dependency}
    ours = {f"FastAPI, {name}, {TRAIL}": Asked(make(guard), by_signature, FASTAPI, body) for name, make in ways.items()}
    peers = {FASTAPI: Asked(fastapi_apps.bare(), _with(body), None, body)}

    def add(name: str, app: App, authorization: str) -> None:
        peers[name] = Asked(app, _with(body, authorization), FASTAPI, body)

    if find_spec("jwt"):
        from benchmarks.peers import with_jwt  # noqa: PLC0415

        add(PYJWT, with_jwt.guarded(), with_jwt.bearer())
        add(PYJWT_IN_THREAD, with_jwt.guarded_in_thread(), with_jwt.bearer())
    if find_spec("fastapi_authz"):
        from benchmarks.peers import with_fastapi_authz  # noqa: PLC0415

        add(CASBIN, with_fastapi_authz.guarded(), with_fastapi_authz.basic())
    if find_spec("jwt") and find_spec("fastapi_authz"):
        from benchmarks.peers import with_jwt_and_casbin  # noqa: PLC0415

        add(TOGETHER, with_jwt_and_casbin.with_few_rules(), with_jwt.bearer())
        add(TOGETHER_OUR_RULES, with_jwt_and_casbin.with_our_rules(), with_jwt.bearer())
    return ours, peers


def _with(body: bytes, authorization: str | None = None) -> dict[str, str]:
    typed = {"content-type": "application/json", "content-length": str(len(body))} if body else {}
    return {"host": HOST, **typed, **({"authorization": authorization} if authorization else {})}


# --- calling an application --------------------------------------------------------------------------------------


def calls_of(
    loop: asyncio.AbstractEventLoop, app: App, scopes: Sequence[Scope], body: bytes = b""
) -> Callable[[], object]:
    """Return a call that sends the next requests, so many, of a cycle; each of them must have the status 200 before."""
    receiver = receiver_of(body)
    statuses: list[int] = []

    async def remember(message: Mapping[str, Any]) -> None:
        statuses.extend([message["status"]] if message["type"] == "http.response.start" else [])

    async def check() -> None:
        for scope in scopes:
            await app(dict(scope), receiver, remember)

    loop.run_until_complete(check())
    if statuses != [200] * len(scopes):
        raise SystemExit(f"expected the status 200, got {sorted(set(statuses))}")
    following = cycle(scopes).__next__

    async def serve() -> None:
        for _ in repeat(None, REQUESTS):
            await app(dict(following()), receiver, send)

    return lambda: loop.run_until_complete(serve())


def scope_of(headers: Mapping[str, str], path: str = PATH, method: str = "GET") -> Scope:
    """Return the scope of a request as a server makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("ascii"),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()],
        "client": (CLIENT, 50_000),
        "server": (HOST, 80),
        "state": {},
    }


def receiver_of(body: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Return a function that receives this body each time."""

    async def receiver() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receiver


receive = receiver_of(b"")


async def send(message: Mapping[str, Any]) -> None:
    """Drop the answer."""
