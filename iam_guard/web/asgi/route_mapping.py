"""A route map put before the routes of an application: each is asked for its row once the router has chosen it.

Strategy. Each route hands its requests on to an ASGI application of its own, after it has matched and has put its
parameters into the scope. That is where the guard is put, once, before the first request: so nothing here compares
paths, and what the handler gets is what was decided about. Litestar's routes hand on to nothing, but ask the guards of
the handler that they have chosen, before its dependencies and before the body is read: there it is the first of them,
and the scope says by which of the handler's templates the request came, but not by which path of a mount: each gets a
handler of its own. FastAPI builds routes anew for each inclusion of a router; these are what is guarded then. What is
mounted twice is one application with one set of routes, so each mount, and each route for a host, says in the scope
that it was passed, and the row is that of the way the request took. A route that comes later has no guard, and its
answer is a 500 like that of any endpoint that nobody decided about.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping, Sequence
from copy import copy
from typing import Any, Final, NamedTuple

from iam_guard.errors import ConfigurationError
from iam_guard.web.asgi.body import Receive
from iam_guard.web.asgi.routes import ROW, handlers_of, host_of, is_mount_of_routes, methods_of, routes_of
from iam_guard.web.call_context import current_call
from iam_guard.web.endpoints import own_mark
from iam_guard.web.requirement import MARK, Requirement
from iam_guard.web.route_map import ANY, BY_MAP, WEBSOCKET, RouteMap, template_of

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


_TEMPLATE: Final = "iam_guard.template"
"""Where a scope says by which way its request came to what is mounted."""


class _Way(NamedTuple):
    """What led to a route: the template of the mounts, and the host of the innermost route for one."""

    path: str = ""
    host: str | None = None

    def through(self, path: str, host: str | None = None) -> _Way:
        return _Way(self.path + path, self.host if host is None else host)

    def ends_with(self, other: _Way) -> bool:
        return self.path.endswith(other.path) and other.host in (None, self.host)


class _Found(NamedTuple):
    """A route (with Litestar, one of its handlers) that leads to an endpoint, or to something mounted."""

    route: Any
    before: _Way
    path: str
    """Its own template."""
    leads_on: bool
    """Whether there are routes behind it."""

    @property
    def whole(self) -> str:
        return self.before.path + self.path


def put_guards(app: Any, routes: RouteMap) -> None:
    """Put the map before the routes of an application, unless it stands there already.

    Raises `ConfigurationError` for a row whose route hands nothing on, so that nothing can stand before its handler.
    """
    for found in _found(routes_of(app), _Way()):
        route, before, path, leads_on = found
        if hasattr(route, "resolve_guards"):
            _put_before_handler(found, routes)
            continue
        if getattr(route, "app", None) is None:
            if not leads_on and routes.has_row_of(found.whole):
                message = f"nothing can be put before the handler of `{found.whole}`: guard it where it is declared"
                raise ConfigurationError(message, place="routes")
            continue
        if leads_on:
            if not isinstance(route.app, _Mounted):
                route.app = _Mounted(route.app, path, host_of(route))
            continue
        if not (isinstance(route.app, _Mapped) and route.app.row.route_map is routes):
            route.app = _Mapped(route.app, routes, path, host_of(route))
        route.app.row.ways.add(before)


def _put_before_handler(found: _Found, routes: RouteMap) -> None:
    """Stand before a handler of Litestar, which keeps the list of its guards once it is registered."""
    guards = found.route.resolve_guards()
    ours = next((guard for guard in guards if isinstance(guard, _MappedHandler) and guard.route_map is routes), None)
    if ours is None:
        ours = _MappedHandler(routes)
        guards.insert(0, ours)
        if ours not in found.route.resolve_guards():
            message = f"nothing can be put before the handler of `{found.whole}`"
            raise ConfigurationError(message, place="routes")
    ours.take(found)


class _Mounted:
    """What stands before something mounted, and says how the request came there."""

    def __init__(self, app: App, path: str, host: str | None) -> None:
        self.app = app
        self._passed = path, host

    @property
    def routes(self) -> Sequence[Any]:
        return routes_of(self.app)  # by which a route for a host makes addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_TEMPLATE] = scope.get(_TEMPLATE, _Way()).through(*self._passed)
        await self.app(scope, receive, send)


class _Row:
    """What the map says before one route; `ways` are those by which a request may come to it."""

    def __init__(self, routes: RouteMap, path: str, host: str | None = None) -> None:
        self.route_map = routes
        self.path = path
        self._host = host
        self.ways: set[_Way] = set()

    async def decide(self, scope: Scope) -> None:
        """Decide about the route by the way that the request took; a route without a row is left to others."""
        method = WEBSOCKET if scope["type"] == "websocket" else scope["method"].upper()
        way = self._way(scope.get(_TEMPLATE, _Way()))
        row = self.route_map.row(method, way.path + self.path or "/", self._host or way.host)
        if row is None:
            return
        if isinstance(row.mark, Requirement):
            current_call().scope = scope
            scope[ROW] = row
            await row.enforce_async({})
        else:
            current_call().is_public = True

    def _way(self, before: _Way) -> _Way:
        """Find the way that a request took; what is guarded may be mounted itself, so more may stand before it."""
        if before == _Way() and len(self.ways) == 1:
            return next(iter(self.ways))  # nothing mounted was guarded yet as it came by: the first request in a mount
        fitting = [each for each in self.ways if before.ends_with(each)]
        if not fitting:
            raise ConfigurationError(f"a request came to `{self.path}` by a way that is not known", place="routes")
        return max(fitting, key=lambda way: (len(way.path), way.host is not None))


class _Mapped:
    """What stands before one route."""

    def __init__(self, app: App, routes: RouteMap, path: str, host: str | None) -> None:
        self.app = app
        self.row = _Row(routes, path, host)
        mark = own_mark(app)
        if mark is not None:
            setattr(self, MARK, mark)  # it stands in for what is mounted, which may have a guard of its own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.row.decide(scope)
        await self.app(scope, receive, send)


class _MappedHandler:
    """What stands before one handler of Litestar, as the first of its guards; a handler may have several routes."""

    def __init__(self, routes: RouteMap) -> None:
        self.route_map = routes
        self._rows: dict[str, _Row] = {}
        self._is_whole = True

    def take(self, found: _Found) -> None:
        """Stand before a route of the handler."""
        if found.leads_on:
            return
        self._rows.setdefault(template_of(found.path), _Row(self.route_map, found.path)).ways.add(found.before)
        methods = methods_of(found.route) or (ANY,)
        marks = (self.route_map.mark(method, found.whole, found.before.host) for method in methods)
        self._is_whole &= all(mark is not None for mark in marks)
        # What stands between the middleware and the guards, a limit of the rate say, may refuse for a guarded handler.
        setattr(self, MARK, BY_MAP if self._is_whole else None)

    async def __call__(self, connection: Any, handler: Any) -> None:
        scope = connection.scope
        is_mount = getattr(handler, "is_mount", False)
        template = handler.opt.get(_TEMPLATE, "") if is_mount else scope.get("path_template", "")
        if not self._rows:
            scope[_TEMPLATE] = scope.get(_TEMPLATE, _Way()).through(template.rstrip("/"))
            return
        row = self._rows.get(template_of(template))
        if row is None:
            raise ConfigurationError(f"a request came by `{template}`, which the map does not know", place="routes")
        await row.decide(scope)


def _found(routes: Iterable[Any], before: _Way) -> Iterator[_Found]:
    for route in routes:
        included = getattr(route, "effective_route_contexts", None)  # FastAPI's included router
        for each in [route] if included is None else included():
            yield from _one(getattr(each, "starlette_route", None) or each, before)


def _one(route: Any, before: _Way) -> Iterator[_Found]:
    handlers = handlers_of(route)
    for handler in handlers:
        behind = routes_of(handler.fn) if is_mount_of_routes(handler) else []
        yield _Found(_saying_path(handler, route), before, route.path, leads_on=bool(behind))
        yield from _found(behind, before.through(route.path.rstrip("/")))
    if handlers:
        return
    path, app = getattr(route, "path", None) or "", getattr(route, "app", None)
    inside = [] if getattr(route, "endpoint", None) is not None else getattr(route, "routes", None) or routes_of(app)
    yield _Found(route, before, path, leads_on=bool(inside))
    yield from _found(inside, before.through(path, host_of(route)))


def _saying_path(handler: Any, route: Any) -> Any:
    """Return the handler of a Litestar route; for a mount, a copy that passes the path to the shared guards."""
    if not getattr(handler, "is_mount", False) or handler.opt.get(_TEMPLATE) == route.path:
        return handler
    handler.resolve_guards()  # so that both have one list
    route.route_handler = copy(handler)
    route.route_handler.opt = {**handler.opt, _TEMPLATE: route.path}
    return route.route_handler
