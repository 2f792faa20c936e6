"""The inventory of an ASGI application's endpoints: which action guards each, and which are public or unguarded.

Walks the routes as a reader for each framework shows them (`route_table.py`): nested routers, mounts, hosts, included
routers, handlers with guards. Reads attributes of the frameworks without importing them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from iam_guard.web.asgi.fastapi_routes import FastApiRoutes, frontends_of
from iam_guard.web.asgi.litestar_routes import LitestarRoutes
from iam_guard.web.asgi.route_table import MountPath, RouteNode, RouteReader
from iam_guard.web.asgi.starlette_routes import StarletteRoutes
from iam_guard.web.endpoints import Endpoint, check_handler_parameters, check_services, own_mark
from iam_guard.web.requirement import OWN_GUARD
from iam_guard.web.route_maps.route_map import RouteMap

READERS: Final[tuple[RouteReader, ...]] = (LitestarRoutes(), FastApiRoutes(), StarletteRoutes())
"""The first one that reads a route is its own."""
_MAX_DEPTH: Final = 50


def inventory(app: Any, routes: RouteMap | None = None) -> list[Endpoint]:
    """Return every endpoint of an application, in the order of its routes; with a map, with the guards of its rows."""
    endpoints = [endpoint for node in _nodes(routes_of(app)) for endpoint in _endpoints(node)]
    return endpoints if routes is None else routes.joined(endpoints)


def unguarded(app: Any, routes: RouteMap | None = None, services: Collection[str] | None = None) -> list[Endpoint]:
    """Return the endpoints that are neither guarded nor public, nor in the route map.

    Raises `ConfigurationError` if the map has routes that the application doesn't have, for a handler whose parameters
    can't fill its resource template, and for an action of none of the guard's `services`.
    """
    endpoints = inventory(app, routes)
    check_handler_parameters(endpoints)
    if services is not None:
        check_services(endpoints, services)
    return [endpoint for endpoint in endpoints if not endpoint.is_guarded]


def has_own_guard(app: Any) -> bool:
    """Return whether an application contains a mount with its own guard."""
    return any(OWN_GUARD in endpoint.guards for endpoint in inventory(app))


def install_guards(app: Any, routes: RouteMap) -> None:
    """Install a route map in the routes of an application, so that each route enforces its row; idempotent.

    Raises `ConfigurationError` for a row whose route has no place for it.
    """
    for node in _nodes(routes_of(app)):
        _reader_of(node.route).install(node, routes)


def is_router(endpoint: Any) -> bool:
    """Return whether the endpoint of a scope is missing, or a mounted application with routes."""
    return endpoint is None or bool(routes_of(endpoint))


def route_guards(route: Any) -> list[Any]:
    """Return what a route calls before its endpoint and is marked: dependencies of FastAPI, guards of Litestar."""
    return [guard for guard in _reader_of(route).guards(route) if own_mark(guard) is not None]


def routes_of(app: Any) -> Sequence[Any]:
    """Return the routes of an application, looking inside the middlewares around it."""
    depth = 0
    while app is not None and depth < _MAX_DEPTH:
        routes = [*(getattr(app, "routes", None) or ()), *frontends_of(app)]
        if routes:
            return routes
        app = getattr(app, "app", None)
        depth += 1
    return []


def _reader_of(route: Any) -> RouteReader:
    return next(reader for reader in READERS if reader.reads(route))


def _nodes(routes: Iterable[Any], mount: MountPath = MountPath()) -> Iterator[RouteNode]:
    """Yield the nodes of routes, and those behind them."""
    for route in routes:
        for node in _reader_of(route).nodes(route, mount):
            inner = routes_of(node.mounted)
            yield node._replace(inner=inner)
            yield from _nodes(inner, mount.through(node.path, node.host))


def _endpoints(node: RouteNode) -> Iterator[Endpoint]:
    if node.inner:
        return
    host = node.host or node.mount.host
    for endpoint in _reader_of(node.route).endpoints(node):
        yield replace(endpoint, host=host) if host is not None else endpoint
