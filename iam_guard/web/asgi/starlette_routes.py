"""The routes of Starlette: functions, endpoint classes, WebSockets, mounts and hosts.

After a route has matched and put its parameters into the scope, it calls its own ASGI application (`route.app`). A
route map wraps that one once, before the first request.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from iam_guard.errors import ConfigurationError
from iam_guard.web.asgi.route_mapping import RouteRow, pass_mount
from iam_guard.web.asgi.route_table import MountPath, RouteNode
from iam_guard.web.endpoints import Endpoint, endpoint_row, name_of, own_mark
from iam_guard.web.requirement import MARK
from iam_guard.web.route_maps.route_map import RouteMap

_METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "query")


class StarletteRoutes:
    """Reads and guards the routes of Starlette, and others that look like them."""

    def reads(self, route: Any) -> bool:
        return True

    def nodes(self, route: Any, mount: MountPath) -> Iterator[RouteNode]:
        host = getattr(route, "host", None)
        mounted = route if getattr(route, "endpoint", None) is None else None
        yield RouteNode(
            route, mount, getattr(route, "path", None) or "", host if isinstance(host, str) else None, mounted
        )

    def guards(self, route: Any) -> list[Any]:
        return []

    def routed(self, scope: Mapping[str, Any]) -> Any:
        return scope.get("route")

    def endpoints(self, node: RouteNode) -> Iterator[Endpoint]:
        route, path = node.route, node.template
        if node.mounted is not None:  # an application without routes
            app = getattr(route, "app", None)
            yield endpoint_row(path or "/", (), getattr(route, "name", None) or type(app).__name__, app)
            return
        endpoint, name = route.endpoint, name_of(route.endpoint)
        methods = tuple(sorted(getattr(route, "methods", None) or ())) if hasattr(route, "methods") else ("WEBSOCKET",)
        if not inspect.isclass(endpoint) or own_mark(endpoint) is not None:
            yield endpoint_row(path, methods, name, endpoint, *self.guards(route))
            return
        handlers = [(method, getattr(endpoint, method)) for method in _METHODS if hasattr(endpoint, method)]
        for method, handler in handlers:
            yield endpoint_row(path, (method.upper(),), f"{name}.{method}", handler)
        if not handlers:
            yield endpoint_row(path, methods, name, getattr(endpoint, "on_connect", None), handler=endpoint)

    def install(self, node: RouteNode, routes: RouteMap) -> None:
        route = node.route
        if getattr(route, "app", None) is None:
            if not node.inner and routes.methods_of(node.template):
                message = f"expected a route that can be guarded by a map, got `{node.template}`: decorate its handler"
                raise ConfigurationError(message, place="routes")
        elif node.inner:
            if not isinstance(route.app, _MountProxy):
                route.app = _MountProxy(route.app, node)
        else:
            if not (isinstance(route.app, _RouteProxy) and route.app.row.route_map is routes):
                route.app = _RouteProxy(route.app, RouteRow(routes, node.path, node.host))
            route.app.row.mounts.add(node.mount)


class _MountProxy:
    """Wraps a mounted application, and records the mount in the scope."""

    def __init__(self, app: ASGIApp, node: RouteNode) -> None:
        self.app = app
        self._node = node

    @property
    def routes(self) -> Sequence[Any]:
        return getattr(self.app, "routes", [])  # `Host` uses it to build URLs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pass_mount(scope, self._node.path, self._node.host)
        await self.app(scope, receive, send)


class _RouteProxy:
    """Wraps the application of one route."""

    def __init__(self, app: ASGIApp, row: RouteRow) -> None:
        self.app = app
        self.row = row
        mark = own_mark(app)
        if mark is not None:
            setattr(self, MARK, mark)  # the mounted application may have its own guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.row.decide(scope)
        await self.app(scope, receive, send)
