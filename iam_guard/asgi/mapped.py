"""A route map put before the routes of an application: each is asked for its row once the router has chosen it.

Strategy. Each route hands its requests on to an ASGI application of its own, after it has matched and has put its
parameters into the scope. That is where the guard is put, once, before the first request: so nothing here compares
paths, and what the handler gets is what was decided about. FastAPI builds routes anew for each inclusion of a router;
these are what is guarded then. It reads path parameters as its handlers declare them (`007` is 7 for an `int`), so the
decision is about what it reads. A route that comes later has no guard, and its answer is a 500 like that of any
endpoint that nobody decided about. Must not live here: the map (`enforcement/route_map`), the inventory (`routes`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple

from iam_guard.asgi.body import Receive
from iam_guard.asgi.routes import routes_of
from iam_guard.enforcement.context import current_call
from iam_guard.enforcement.requirement import BoundRequirement, Requirement
from iam_guard.enforcement.route_map import WEBSOCKET, RouteMap, template_parameters
from iam_guard.errors import ConfigurationError, InvalidInput

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
            route.app = _Mapped(route.app, routes, path, _fields_of(route, path))


class _Mapped:
    """What stands before one route."""

    def __init__(self, app: App, routes: RouteMap, path: str, fields: Sequence[Any]) -> None:
        self.app = app
        self.routes = routes
        self._path = path
        self._fields = fields
        self._bound: dict[Requirement, BoundRequirement] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = WEBSOCKET if scope["type"] == "websocket" else scope["method"]
        mark = self.routes.mark(method, self._path)
        if isinstance(mark, Requirement):
            bound = self._bound.get(mark) or self._bound.setdefault(mark, mark.bind(_nothing))
            current_call().scope = scope
            await bound.enforce_async((), _read(self._fields, scope["path_params"]))
        elif mark is not None:
            current_call().is_public = True
        await self.app(scope, receive, send)


def _nothing() -> None:
    """Stand in for a handler: all parameters are the route's."""


# --- how FastAPI reads path parameters -----------------------------------------------------------------------------


def _fields_of(route: Any, path: str) -> list[Any]:
    """Find what reads the path parameters of a route of FastAPI, its dependencies included; nothing for Starlette's.

    Raises `ConfigurationError` where that cannot be told, for then a decision could be about another resource.
    """
    fields: list[Any] = []
    waiting = [dependant] if (dependant := getattr(route, "dependant", None)) is not None else []
    while waiting:
        each = waiting.pop()
        fields += each.path_params
        waiting += each.dependencies
    names = template_parameters(path)
    if any(getattr(each, "alias", None) not in names or not hasattr(each, "validate") for each in fields):
        message = "the handler reads its path parameters in a way that a map cannot tell, decorate it instead"
        raise ConfigurationError(message, place=path)
    return fields


def _read(fields: Sequence[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Read the parameters as the handler will; what cannot be read never reaches it and stays as it is.

    Raises `InvalidInput` where one is two things, to the handler and to a dependency of it.
    """
    values: dict[str, Any] = {}
    for field in fields:
        name = field.alias
        value, problems = field.validate(given[name], {}, loc=("path", name))
        if not problems and str(values.setdefault(name, value)) != str(value):
            raise InvalidInput("expected a path parameter that is one thing to all that read it", place=name)
    return values


# --- the routes ----------------------------------------------------------------------------------------------------


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
