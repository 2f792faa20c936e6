"""A route map put before the routes of an application: each is asked for its row once the router has chosen it.

Strategy. Each route hands its requests on to an ASGI application of its own, after it has matched and has put its
parameters into the scope. That is where the guard is put, once, before the first request: so nothing here compares
paths, and what the handler gets is what was decided about. FastAPI builds routes anew for each inclusion of a router;
these are what is guarded then. A route that comes later has no guard, and its answer is a 500 like that of any
endpoint that nobody decided about. Must not live here: the map (`enforcement/route_map`), the inventory (`routes`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any, NamedTuple

from iam_guard.asgi.body import Receive
from iam_guard.asgi.routes import routes_of
from iam_guard.enforcement.context import current_call
from iam_guard.enforcement.requirement import BoundRequirement, Requirement
from iam_guard.enforcement.route_map import WEBSOCKET, RouteMap

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class _Leaf(NamedTuple):
    """A route that leads to an endpoint, or to something mounted without routes."""

    route: Any
    path: str


def put_guards(app: Any, routes: RouteMap) -> None:
    """Put the map before the routes of an application, unless it stands there already."""
    for route, path in _leaves(routes_of(app), ""):
        if not (isinstance(route.app, _Mapped) and route.app.routes is routes):
            route.app = _Mapped(route.app, routes, path)


class _Mapped:
    """What stands before one route."""

    def __init__(self, app: App, routes: RouteMap, path: str) -> None:
        self.app = app
        self.routes = routes
        self._path = path
        self._bound: dict[Requirement, BoundRequirement] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = WEBSOCKET if scope["type"] == "websocket" else scope["method"]
        mark = self.routes.mark(method, self._path)
        if isinstance(mark, Requirement):
            bound = self._bound.get(mark) or self._bound.setdefault(mark, mark.bind(_nothing))
            current_call().scope = scope
            await bound.enforce_async((), {})
        elif mark is not None:
            current_call().is_public = True
        await self.app(scope, receive, send)


def _nothing() -> None:
    """Stand in for a handler: all parameters are the route's."""


def _leaves(routes: Iterable[Any], prefix: str) -> Iterator[_Leaf]:
    for route in routes:
        included = getattr(route, "effective_route_contexts", None)  # FastAPI's included router
        if included is None:
            yield from _leaf(route, prefix)
            continue
        for context in included():
            yield from _leaf(getattr(context, "starlette_route", None) or context, prefix)


def _leaf(route: Any, prefix: str) -> Iterator[_Leaf]:
    path, app = prefix + (getattr(route, "path", None) or ""), getattr(route, "app", None)
    inside = [] if getattr(route, "endpoint", None) is not None else getattr(route, "routes", None) or routes_of(app)
    if inside:
        yield from _leaves(inside, path)
    elif app is not None:
        yield _Leaf(route, path or "/")
