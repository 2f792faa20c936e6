"""The cost of one hostile request without credentials, in this process: processor time, and memory held at its peak.

Each request of `hostile_shapes` is given to an application as a server would, with its headers parsed and its body in
parts. What the application without a guard costs is subtracted. Memory is what `tracemalloc` counts between the first
step of the request and its answer, without the request itself, which the server holds.
"""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any, NamedTuple
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route

from benchmarks.apps import PATH, bare, docs, find_document, get_document, make_guard
from benchmarks.hostile_shapes import SHAPES, Shape
from benchmarks.row import Row
from iam_guard import GuardMiddleware, authzen_api, aws_api
from iam_guard.console.sign_in_app import sign_in_pages

HOST = "app.example.com"
ROUNDS, REQUESTS = 5, 20
MAX_MILLISECONDS, MAX_KIBIBYTES = 1.0, 64.0
LIMIT = "the limit"
_PART = 65_536
_PATHS = {"IAM and STS API": "/", "AuthZEN": "/access/v1/evaluations"}
"""The path of an application in place of that of the document."""

App = Callable[..., Coroutine[Any, Any, None]]


class Cost(NamedTuple):
    """The milliseconds of processor time and the KiB of memory that a request adds to those of a bare application."""

    milliseconds: float
    kibibytes: float


@contextmanager
def applications() -> Iterator[dict[str, App]]:
    """Yield the applications that clients reach without credentials: each on a guard of its own."""
    with ExitStack() as stack:
        guards = [stack.enter_context(closing(make_guard(site_url=f"https://{HOST}"))) for _ in range(3)]
        endpoint: Any = docs.requires("Get40", resource=find_document)(get_document)
        routes = [
            Route("/documents/{folder}/{name}", endpoint, methods=["GET", "POST"]),
            Mount("/signin", sign_in_pages(guards[0])),
        ]
        yield {
            "application": Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guards[0])]),
            "IAM and STS API": aws_api(guards[1]),
            "AuthZEN": authzen_api(guards[2]),
        }


def costs(rounds: int = ROUNDS, requests: int = REQUESTS) -> Iterator[tuple[str, str, Cost]]:
    """Yield each shape and application with the cost of one request."""
    plain = bare()
    with applications() as apps:
        for name, shape in SHAPES.items():
            request = shape(HOST)
            without = cost(plain, request, rounds, requests)
            for app_name, app in apps.items():
                at = request._replace(
                    request=request.request.replace(PATH.encode(), _PATHS.get(app_name, PATH).encode())
                )
                found = cost(app, at, rounds, requests)
                added = Cost(*(max(0.0, one - other) for one, other in zip(found, without, strict=True)))
                yield name, app_name, added


def cost(app: App, shape: Shape, rounds: int, requests: int) -> Cost:
    """Return the least cost of a request in some rounds."""
    return asyncio.run(_cost(app, shape, rounds, requests))


async def _cost(app: App, shape: Shape, rounds: int, requests: int) -> Cost:
    seconds: list[float] = []
    held: list[int] = []
    for _ in range(2):
        await app(*_call(shape))
    for _ in range(rounds):
        calls = [_call(shape) for _ in range(requests)]
        before = time.process_time()
        for call in calls:
            await app(*call)
        seconds.append((time.process_time() - before) / requests)
    held += [await _held(app, shape) for _ in range(rounds)]
    return Cost(min(seconds) * 1e3, min(held) / 1024)


async def _held(app: App, shape: Shape) -> int:
    scope, receive, send = _call(shape)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        await app(scope, receive, send)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def _call(shape: Shape) -> tuple[dict[str, Any], Callable[[], Any], Callable[[Any], Any]]:
    """Return a request as a server gives it to an application; a client that waits has gone."""
    head, _, body = shape.request.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    method, target, _ = line.split(b" ")
    path, _, query = target.partition(b"?")
    headers = [(name.strip().lower(), value.strip()) for name, _, value in (header.partition(b":") for header in lines)]
    is_socket = any(header == (b"upgrade", b"websocket") for header in headers)
    parts = [{"type": "websocket.connect"}] if is_socket else [*_body_parts(body, dict(headers))]
    scope = {
        "type": "websocket" if is_socket else "http",
        "http_version": "1.1",
        "method": method.decode(),
        "scheme": "wss" if is_socket else "https",
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": query,
        "headers": headers,
        "client": ("127.0.0.1", 40_000),
        "server": (HOST, 443),
        "root_path": "",
    }

    async def receive() -> dict[str, Any]:
        return parts.pop(0) if parts else {"type": "websocket.disconnect" if is_socket else "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        pass

    return scope, receive, send


def _body_parts(body: bytes, headers: Mapping[bytes, bytes]) -> Iterator[dict[str, Any]]:
    announced = int(headers.get(b"content-length", len(body)))
    for start in range(0, max(len(body), 1), _PART):
        is_last = start + _PART >= len(body) and announced <= len(body)
        yield {"type": "http.request", "body": body[start : start + _PART], "more_body": not is_last}


def measure() -> Iterator[Row]:
    """Measure each shape at each application; the ratio is that to what a request may cost."""
    for name, app, added in costs():
        title = f"{name}, {app}, one request"
        yield Row(f"{title}: CPU time", added.milliseconds, "ms", added.milliseconds / MAX_MILLISECONDS, LIMIT)
        yield Row(f"{title}: memory", added.kibibytes, "KiB", added.kibibytes / MAX_KIBIBYTES, LIMIT)


if __name__ == "__main__":
    for row in measure():
        print(f"{row.name:64} {row.value:9.3f} {row.unit:4} {row.ratio:6.2f} x {row.peer}")
