"""What the whole guard adds to a request: who, what, may, noted; in microseconds of CPU time, without a server.

The application is called as a server would call it, with a scope made beforehand and nobody at the other end; what the
same call takes without the guard is taken off. The peers check less: the one who asks with a token is not looked up and
nothing is decided; the one who decides with pycasbin believes whoever asks. Must not live here: a server (`served`).
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path
from typing import Any

from benchmarks.apps import CLIENT, PATH, bare, behind, make_guard, signed, with_api_key
from benchmarks.clock import Call, least
from benchmarks.row import Row

HOST = "bench.example"
REQUESTS = 100
"""In one call of those that take turns."""
ROUNDS, SECONDS_OF_A_ROUND = 20, 0.1

App = Callable[[Any, Any, Any], Awaitable[None]]


def measure() -> Iterator[Row]:
    """Measure SigV4 and an API key, the first with an audit file too, beside the application alone and the peers."""
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory() as folder, closing(loop):
        noting = make_guard(audit=str(Path(folder, "audit.jsonl")))
        with closing(make_guard()) as guard, closing(noting):
            by_signature, by_key, plain = signed(HOST), with_api_key(HOST), {"host": HOST}
            behind_guard = behind(guard)
            calls = {
                "SigV4": calls_of(loop, behind_guard, by_signature),
                "API key": calls_of(loop, behind_guard, by_key),
                "SigV4, audit to a file": calls_of(loop, behind(noting), by_signature),
                BARE: calls_of(loop, bare(), plain),
            }
            peers = _peers(loop)
            taken = least(calls | peers, ROUNDS, SECONDS_OF_A_ROUND)
    yield from _rows({name: seconds / REQUESTS * 1e6 for name, seconds in taken.items()})


BARE = "bare Starlette"
JWT, JWT_BARE = "FastAPI and PyJWT, RS256", "bare FastAPI"
CASBIN = "pycasbin in a middleware"


def _rows(taken: Mapping[str, float]) -> Iterator[Row]:
    """Give what is added, beside the bare application and what a peer adds to its own."""
    beside = {BARE: taken[BARE]}
    if JWT in taken:
        beside[JWT] = taken[JWT] - taken[JWT_BARE]
    if CASBIN in taken:
        beside[CASBIN] = taken[CASBIN] - taken[BARE]
    for name in ("SigV4", "API key", "SigV4, audit to a file"):
        added = taken[name] - taken[BARE]
        for peer, theirs in beside.items():
            yield Row(f"added to a request: {name}", added, "us", added / theirs, peer)


def _peers(loop: asyncio.AbstractEventLoop) -> dict[str, Call]:
    calls = {}
    if find_spec("fastapi") and find_spec("jwt"):
        from benchmarks.peers import with_jwt  # noqa: PLC0415  only where it is installed

        calls[JWT_BARE] = calls_of(loop, with_jwt.bare(), {"host": HOST})
        calls[JWT] = calls_of(loop, with_jwt.guarded(), {"host": HOST, "authorization": with_jwt.bearer()})
    if find_spec("casbin"):
        from benchmarks.peers import with_casbin  # noqa: PLC0415

        calls[CASBIN] = calls_of(loop, with_casbin.Middleware(bare()), {"host": HOST})
    return calls


# --- calling an application --------------------------------------------------------------------------------------


def calls_of(loop: asyncio.AbstractEventLoop, app: App, headers: Mapping[str, str]) -> Call:
    """Give a call that puts so many requests to the application; the first of all must be answered 200."""
    scope = _scope(headers)
    statuses: list[int] = []

    async def remember(message: Mapping[str, Any]) -> None:
        statuses.extend([message["status"]] if message["type"] == "http.response.start" else [])

    loop.run_until_complete(app(dict(scope), _receive, remember))
    if statuses != [200]:
        raise SystemExit(f"expected the status 200, got {statuses}")

    async def serve() -> None:
        for _ in repeat(None, REQUESTS):
            await app(dict(scope), _receive, _send)

    return lambda: loop.run_until_complete(serve())


def _scope(headers: Mapping[str, str]) -> dict[str, Any]:
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


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Mapping[str, Any]) -> None:
    pass
