"""The inventory of an ASGI application's endpoints: which action guards each, and which are public or unguarded.

Walks the routes of Starlette (nested routers, mounts, hosts, endpoint classes, WebSockets), of FastAPI with included
routers and guarding dependencies, and of Litestar with its guards. Reads attributes of the frameworks without importing
them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from iam_guard.web.endpoints import Endpoint, check_handler_parameters, endpoint_row, mark_of, name_of, own_mark
from iam_guard.web.requirement import OWN_GUARD, PUBLIC
from iam_guard.web.route_map import BY_MAP, RouteMap

_METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "query")

_MAX_DEPTH: Final = 50
UNRESOLVED: Final = object()
"""Stands for an endpoint that only the router can determine."""
ROW_KEY: Final = "iam_guard.row"
"""The key of a scope for the route map row that guards its route."""


def inventory(app: Any) -> list[Endpoint]:
    """Return every endpoint of an application, in the order of its routes."""
    return list(_walk(routes_of(app), ""))


def unguarded(app: Any, routes: RouteMap | None = None) -> list[Endpoint]:
    """Return the endpoints that are neither guarded nor public, nor in the route map.

    Raises `ConfigurationError` if the map has routes that the application doesn't have, and for a handler whose
    parameters can't fill its resource template.
    """
    endpoints = inventory(app) if routes is None else routes.joined(inventory(app))
    check_handler_parameters(endpoints)
    return [endpoint for endpoint in endpoints if not endpoint.is_guarded]


def has_own_guard(app: Any) -> bool:
    """Return whether an application contains a mount with its own guard."""
    return any(OWN_GUARD in endpoint.guards for endpoint in inventory(app))


def leads_to_own_guard(app: Any, scope: Mapping[str, Any]) -> bool:
    """Return whether the route that matches a request leads to a mount with its own guard.

    Calls the `matches` of the routes in their order, as the router does; paths are never compared.
    """
    route, child = _matching_route(app, scope)
    if route is None or getattr(route, "endpoint", None) is not None:
        return False
    mounted = getattr(route, "app", None)
    return own_mark(mounted) == OWN_GUARD or leads_to_own_guard(mounted, {**scope, **child})


def endpoint_of(app: Any, scope: Mapping[str, Any]) -> Any:
    """Return the endpoint that will answer a request, before it is routed; None without one.

    Calls the `matches` of the routes, as `leads_to_own_guard` does, also inside of mounts. Returns `UNRESOLVED` if the
    matching route does not expose its endpoint, as FastAPI's included routers, or if something before the endpoint
    guards it. With Litestar, the handler is already known.
    """
    handler = scope.get("route_handler")
    if handler is not None:
        return handler.fn if own_mark(handler.fn) is not None else UNRESOLVED
    route, child = _matching_route(app, scope)
    if route is None:
        return None
    endpoint, mounted = getattr(route, "endpoint", None), getattr(route, "app", None)
    if (endpoint is None and mounted is None) or any(own_mark(guard) != PUBLIC for guard in _guarding(route)):
        return UNRESOLVED
    return endpoint_of(mounted, {**scope, **child}) if endpoint is None else endpoint


def has_route(app: Any, scope: Mapping[str, Any]) -> bool:
    """Return whether a route matches a request."""
    return _matching_route(app, scope)[0] is not None


def _matching_route(app: Any, scope: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """Return the route that matches a request, or None, and its additions to the scope."""
    for route in routes_of(app):
        matches = getattr(route, "matches", None)
        match, child = matches(scope) if matches is not None else (None, {})
        if getattr(match, "name", None) == "FULL":
            return route, child
    return None, {}


ROUTER_KEYS: Final = ("router", "litestar_app")
"""The scope keys under which the routers of the frameworks store themselves, before they match."""


def is_unrouted(scope: Mapping[str, Any]) -> bool:
    """Return whether the router of this scope matched no route, so that it answers by itself.

    A router stores itself and then the endpoint in its scope. The result is False if this can't be determined: if a
    middleware passed on a copy of the scope, or the mounted application is not a plain router.
    """
    if scope.get("route_handler") is not None:
        return False
    router, mounted = next((scope[name] for name in ROUTER_KEYS if name in scope), None), scope.get("endpoint")
    if mounted is not None:
        stack = getattr(mounted, "middleware_stack", None)
        is_plain = stack is not None and stack == getattr(mounted, "app", None)
        router = mounted if is_plain or mounted is scope.get("litestar_app") else None
    if router is None or _matching_route(router, scope)[0] is not None:
        return False
    default = getattr(router, "default", None)  # the application may define its own
    return default is None or getattr(default, "__module__", "").partition(".")[0] in ("starlette", "fastapi")


def is_router(endpoint: Any) -> bool:
    """Return whether the endpoint of a scope is missing, or a mounted application with routes."""
    return endpoint is None or bool(routes_of(endpoint))


def answering_endpoint(scope: Mapping[str, Any]) -> Any:
    """Return the marked endpoint of a routed call, or what guards it; None without one.

    Litestar stores a handler instead of an endpoint. An unmarked endpoint is represented by what decides before it: a
    row of a route map, a dependency of FastAPI, a guard of Litestar.
    """
    endpoint = scope.get("endpoint")
    handler = scope.get("route_handler")
    if handler is not None and is_router(endpoint):
        endpoint = getattr(handler, "fn", None)
    mark = mark_of(endpoint, scope.get("method"))
    if ROW_KEY in scope and mark in (None, PUBLIC):
        return scope[ROW_KEY]
    if mark is not None:
        return endpoint
    route = (scope.get("fastapi") or {}).get("effective_route_context")
    guards = [guard for part in (handler, route, scope.get("route")) for guard in _guarding(part)]
    if guards:
        return next((guard for guard in guards if own_mark(guard) != PUBLIC), guards[0])
    return None if is_router(endpoint) else endpoint


def _guarding(route: Any) -> list[Any]:
    """Return what is called before the endpoint and is marked: dependencies of FastAPI, guards of Litestar."""
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
            yield endpoint_row(before + frontend.path, ("GET", "HEAD"), "frontend", frontend.app, *_guarding(route))
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
        guards = [guard for guard in _guarding(handler) if own_mark(guard) != BY_MAP]  # the route map adds its own
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
        yield endpoint_row(path, methods, name, endpoint, *_guarding(route))
        return
    handlers = [(method, getattr(endpoint, method)) for method in _METHODS if hasattr(endpoint, method)]
    for method, handler in handlers:
        yield endpoint_row(path, (method.upper(),), f"{name}.{method}", handler)
    if not handlers:
        yield endpoint_row(path, methods, name, getattr(endpoint, "on_connect", None), handler=endpoint)
