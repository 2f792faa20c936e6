"""Install a route map in the routes of an ASGI application, so that each route enforces its row after matching.

Starlette and FastAPI: after a route has matched and put its parameters into the scope, it calls its own ASGI
application (`route.app`). That one is wrapped once, before the first request. So paths are never compared, and the
handler gets the parameters that were decided about. FastAPI creates new routes for each inclusion of a router; those
are wrapped.

Litestar: the guards of a handler run before its dependencies and before the body is read; ours is inserted as the first
one. The scope has the template that matched, but not the path of a mount, so each mount gets a copy of its handler.

An application that is mounted twice has one set of routes. So each mount, and each route for a host, records itself in
the scope (`_MountPath`), and the row is looked up by the complete template. A route added later has no guard, and
answers 500 like every endpoint without a decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from iam_guard.errors import ConfigurationError
from iam_guard.web.asgi.route_matching import ROW_KEY
from iam_guard.web.asgi.routes import handlers_of, host_of, is_mount_of_routes, methods_of, routes_of
from iam_guard.web.call_context import current_call
from iam_guard.web.endpoints import own_mark
from iam_guard.web.requirement import MARK, Requirement
from iam_guard.web.route_maps.route_map import ANY, BY_MAP, WEBSOCKET, RouteMap, template_of

_TEMPLATE: Final = "iam_guard.template"
"""The key of a scope for the mounts that its request has passed."""


class _MountPath(NamedTuple):
    """The mounts before a route: their joined template, and the host of the innermost route with a host."""

    path: str = ""
    host: str | None = None

    def through(self, path: str, host: str | None = None) -> _MountPath:
        return _MountPath(self.path + path, self.host if host is None else host)

    def ends_with(self, other: _MountPath) -> bool:
        return self.path.endswith(other.path) and other.host in (None, self.host)


class _FoundRoute(NamedTuple):
    """A route (with Litestar, one of its handlers) to an endpoint or to a mounted application."""

    route: Any
    mount: _MountPath
    path: str
    """Its own template."""
    has_inner_routes: bool
    """Whether there are routes behind it."""

    @property
    def template(self) -> str:
        return self.mount.path + self.path


def install_guards(app: Any, routes: RouteMap) -> None:
    """Install the map in the routes of an application; idempotent.

    Raises `ConfigurationError` for a row whose route has no application that could be wrapped.
    """
    for found in _find_routes(routes_of(app), _MountPath()):
        route, mount, path, has_inner_routes = found
        if hasattr(route, "resolve_guards"):
            _install_handler_guard(found, routes)
            continue
        if getattr(route, "app", None) is None:
            if not has_inner_routes and routes.methods_of(found.template):
                message = f"expected a route that can be guarded by a map, got `{found.template}`: decorate its handler"
                raise ConfigurationError(message, place="routes")
            continue
        if has_inner_routes:
            if not isinstance(route.app, _MountProxy):
                route.app = _MountProxy(route.app, path, host_of(route))
            continue
        if not (isinstance(route.app, _RouteProxy) and route.app.row.route_map is routes):
            route.app = _RouteProxy(route.app, routes, path, host_of(route))
        route.app.row.mounts.add(mount)


def _install_handler_guard(found: _FoundRoute, routes: RouteMap) -> None:
    """Insert the guard into the guards of a Litestar handler, which caches that list once it is registered."""
    guards = found.route.resolve_guards()
    ours = next((guard for guard in guards if isinstance(guard, _HandlerGuard) and guard.route_map is routes), None)
    if ours is None:
        ours = _HandlerGuard(routes)
        guards.insert(0, ours)
        if ours not in found.route.resolve_guards():
            message = f"expected a handler whose guards can be changed, got that of `{found.template}`"
            raise ConfigurationError(message, place="routes")
    ours.add_route(found)


class _MountProxy:
    """Wraps a mounted application, and records the mount in the scope."""

    def __init__(self, app: ASGIApp, path: str, host: str | None) -> None:
        self.app = app
        self._passed = path, host

    @property
    def routes(self) -> Sequence[Any]:
        return routes_of(self.app)  # `Host` uses it to build URLs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_TEMPLATE] = scope.get(_TEMPLATE, _MountPath()).through(*self._passed)
        await self.app(scope, receive, send)


@dataclass(eq=False, slots=True)
class _RouteRow:
    """Enforces the row of one route; `mounts` are the mount paths that lead to it."""

    route_map: RouteMap
    path: str
    host: str | None = None
    mounts: set[_MountPath] = field(default_factory=set)

    async def decide(self, scope: Scope) -> None:
        """Enforce the row for the mounts that the request has passed; do nothing without a row.

        Nor if another guard of the application, with another map, serves the request.
        """
        method = WEBSOCKET if scope["type"] == "websocket" else scope["method"].upper()
        mount_path = self._mount_path(scope.get(_TEMPLATE, _MountPath()))
        row = self.route_map.row(method, mount_path.path + self.path or "/", self.host or mount_path.host)
        if row is None:
            return
        call = current_call()
        if call.route_map is not self.route_map:
            return
        if isinstance(row.mark, Requirement):
            call.scope = scope
            scope[ROW_KEY] = row
            await row.enforce_async({})
        else:
            call.is_public = True

    def _mount_path(self, mount: _MountPath) -> _MountPath:
        """Return the mount path of a request; `mount` is longer if the guarded application is mounted itself."""
        if mount == _MountPath() and len(self.mounts) == 1:
            return next(iter(self.mounts))  # the first request passed the mount before it was wrapped
        matching = [path for path in self.mounts if mount.ends_with(path)]
        if not matching:
            raise ConfigurationError(f"expected a known mount before `{self.path}`, got `{mount.path}`", place="routes")
        return max(matching, key=lambda mount_path: (len(mount_path.path), mount_path.host is not None))


class _RouteProxy:
    """Wraps the application of one route."""

    def __init__(self, app: ASGIApp, routes: RouteMap, path: str, host: str | None) -> None:
        self.app = app
        self.row = _RouteRow(routes, path, host)
        mark = own_mark(app)
        if mark is not None:
            setattr(self, MARK, mark)  # the mounted application may have its own guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.row.decide(scope)
        await self.app(scope, receive, send)


class _HandlerGuard:
    """The first guard of one Litestar handler, which may have several routes."""

    def __init__(self, routes: RouteMap) -> None:
        self.route_map = routes
        self._rows: dict[str, _RouteRow] = {}
        self._is_fully_mapped = True

    def add_route(self, found: _FoundRoute) -> None:
        if found.has_inner_routes:
            return
        self._rows.setdefault(template_of(found.path), _RouteRow(self.route_map, found.path)).mounts.add(found.mount)
        methods = methods_of(found.route) or (ANY,)
        marks = (self.route_map.mark(method, found.template, found.mount.host) for method in methods)
        self._is_fully_mapped &= all(mark is not None for mark in marks)
        # Code between the middleware and the guards, such as a rate limit, may answer for a guarded handler.
        setattr(self, MARK, BY_MAP if self._is_fully_mapped else None)

    async def __call__(self, connection: Any, handler: Any) -> None:
        scope = connection.scope
        is_mount = getattr(handler, "is_mount", False)
        template = handler.opt.get(_TEMPLATE, "") if is_mount else scope.get("path_template", "")
        if not self._rows:
            scope[_TEMPLATE] = scope.get(_TEMPLATE, _MountPath()).through(template.rstrip("/"))
            return
        row = self._rows.get(template_of(template))
        if row is None:
            raise ConfigurationError(f"expected a template of the handler, got `{template}`", place="routes")
        await row.decide(scope)


def _find_routes(routes: Iterable[Any], mount: _MountPath) -> Iterator[_FoundRoute]:
    for route in routes:
        included = getattr(route, "effective_route_contexts", None)  # FastAPI's included router
        for effective in [route] if included is None else included():
            yield from _find_in_route(getattr(effective, "starlette_route", None) or effective, mount)


def _find_in_route(route: Any, mount: _MountPath) -> Iterator[_FoundRoute]:
    handlers = handlers_of(route)
    for handler in handlers:
        inner = routes_of(handler.fn) if is_mount_of_routes(handler) else []
        yield _FoundRoute(_handler_with_path(handler, route), mount, route.path, has_inner_routes=bool(inner))
        yield from _find_routes(inner, mount.through(route.path.rstrip("/")))
    if handlers:
        return
    path, app = getattr(route, "path", None) or "", getattr(route, "app", None)
    inner = [] if getattr(route, "endpoint", None) is not None else getattr(route, "routes", None) or routes_of(app)
    yield _FoundRoute(route, mount, path, has_inner_routes=bool(inner))
    yield from _find_routes(inner, mount.through(path, host_of(route)))


def _handler_with_path(handler: Any, route: Any) -> Any:
    """Return the handler of a Litestar route; for a mount, a copy with the path for the shared guards."""
    if not getattr(handler, "is_mount", False) or handler.opt.get(_TEMPLATE) == route.path:
        return handler
    handler.resolve_guards()  # so that the copy shares the list
    route.route_handler = copy(handler)
    route.route_handler.opt = {**handler.opt, _TEMPLATE: route.path}
    return route.route_handler
