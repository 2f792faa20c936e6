"""The inventory of an ASGI application's endpoints: which action guards each, and which are public or unguarded.

Walks the routes of Starlette (nested routers, mounts, hosts, endpoint classes, WebSockets), of FastAPI with included
routers and guarding dependencies, and of Litestar with its guards. Reads attributes of the frameworks without importing
them.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from iam_guard.web.endpoints import Endpoint, check_handler_parameters, check_services, endpoint_row, name_of, own_mark
from iam_guard.web.requirement import OWN_GUARD
from iam_guard.web.route_maps.route_map import BY_MAP, RouteMap

_METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "query")

_MAX_DEPTH: Final = 50


def inventory(app: Any, routes: RouteMap | None = None) -> list[Endpoint]:
    """Return every endpoint of an application, in the order of its routes; with a map, with the guards of its rows."""
    endpoints = list(_walk(routes_of(app), ""))
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


def is_router(endpoint: Any) -> bool:
    """Return whether the endpoint of a scope is missing, or a mounted application with routes."""
    return endpoint is None or bool(routes_of(endpoint))


def route_guards(route: Any) -> list[Any]:
    """Return what a route calls before its endpoint and is marked: dependencies of FastAPI, guards of Litestar."""
    found = []
    resolve = getattr(route, "resolve_guards", None)
    if resolve is not None:
        found = list(resolve())
    queue = [getattr(route, "dependant", None)]
    while queue:
        dependant = queue.pop(0)
        inner = list(getattr(dependant, "dependencies", None) or ())
        found += [getattr(dependency, "call", None) for dependency in inner]
        queue += inner
    return [guard for guard in found if own_mark(guard) is not None]


def routes_of(app: Any) -> Sequence[Any]:
    """Return the routes of an application, looking inside the middlewares around it."""
    depth = 0
    while app is not None and depth < _MAX_DEPTH:
        frontend_routes = getattr(getattr(app, "router", app), "_iter_low_priority_routes", list)  # FastAPI's frontends
        routes = [*(getattr(app, "routes", None) or ()), *frontend_routes()]
        if routes:
            return routes
        app = getattr(app, "app", None)
        depth += 1
    return []


def _walk(routes: Iterable[Any], prefix: str) -> Iterator[Endpoint]:
    for route in routes:
        host = host_of(route)
        for endpoint in _endpoints_of_route(route, prefix):
            yield endpoint if host is None or endpoint.host is not None else replace(endpoint, host=host)


def host_of(route: Any) -> str | None:
    """Return the host template of a route; None if it matches every host."""
    host = getattr(route, "host", None)
    return host if isinstance(host, str) else None


def _endpoints_of_route(route: Any, prefix: str) -> Iterator[Endpoint]:
    path = prefix + (getattr(route, "path", None) or "")
    endpoint = getattr(route, "endpoint", None)
    contexts = getattr(route, "effective_route_contexts", None)  # FastAPI keeps an included router as a node
    handlers = handlers_of(route)
    group = getattr(route, "original_route", route)
    if endpoint is not None:
        yield from _endpoints(route, path, endpoint)
    elif hasattr(group, "add_frontend_route"):
        before = prefix + getattr(route, "frontend_prefix", "")
        for frontend in group.routes:
            yield endpoint_row(before + frontend.path, ("GET", "HEAD"), "frontend", frontend.app, *route_guards(route))
    elif contexts is not None:
        yield from _walk([getattr(context, "starlette_route", None) or context for context in contexts()], prefix)
    elif handlers:
        yield from _handlers(handlers, path)
    else:
        yield from _mounted(route, path)


def handlers_of(route: Any) -> Sequence[Any]:
    """Return the handlers of a Litestar route, including mounts; nothing for other routes."""
    handler = getattr(route, "route_handler", None)
    return getattr(route, "route_handlers", None) or ([] if handler is None else [handler])


def methods_of(handler: Any) -> tuple[str, ...]:
    """Return the methods of a Litestar handler; nothing if it takes all of them."""
    if hasattr(handler, "resolve_websocket_class"):
        return ("WEBSOCKET",)
    return tuple(sorted(str(getattr(method, "value", method)) for method in getattr(handler, "http_methods", ())))


def is_mount_of_routes(handler: Any) -> bool:
    """Return whether a Litestar handler mounts an application that has routes and no own guard."""
    return getattr(handler, "is_mount", False) and bool(routes_of(handler.fn)) and own_mark(handler.fn) is None


def _handlers(handlers: Iterable[Any], path: str) -> Iterator[Endpoint]:
    """Yield the endpoints of the handlers of one Litestar path."""
    for handler in handlers:
        endpoint = handler.fn
        if is_mount_of_routes(handler):
            yield from _walk(routes_of(endpoint), path.rstrip("/"))
            continue
        name = name_of(getattr(endpoint, "func", endpoint))
        guards = [guard for guard in route_guards(handler) if own_mark(guard) != BY_MAP]  # the route map adds its own
        is_added = getattr(endpoint, "__module__", "").startswith("litestar.")  # OPTIONS: a new function for each path
        runs = getattr(endpoint, "__code__", endpoint) if is_added else endpoint
        yield endpoint_row(path, methods_of(handler), name, endpoint, *guards, handler=runs)


def _mounted(route: Any, path: str) -> Iterator[Endpoint]:
    """Yield the endpoints of a mount or host; the mounted application itself if it has no routes."""
    app = getattr(route, "app", None)
    inside = getattr(route, "routes", None) or routes_of(app)
    if inside:
        yield from _walk(inside, path)
        return
    yield endpoint_row(path or "/", (), getattr(route, "name", None) or type(app).__name__, app)


def _endpoints(route: Any, path: str, endpoint: Any) -> Iterator[Endpoint]:
    name = name_of(endpoint)
    methods = tuple(sorted(getattr(route, "methods", None) or ()))
    if not hasattr(route, "methods"):
        methods = ("WEBSOCKET",)
    if not inspect.isclass(endpoint) or own_mark(endpoint) is not None:
        yield endpoint_row(path, methods, name, endpoint, *route_guards(route))
        return
    handlers = [(method, getattr(endpoint, method)) for method in _METHODS if hasattr(endpoint, method)]
    for method, handler in handlers:
        yield endpoint_row(path, (method.upper(),), f"{name}.{method}", handler)
    if not handlers:
        yield endpoint_row(path, methods, name, getattr(endpoint, "on_connect", None), handler=endpoint)
