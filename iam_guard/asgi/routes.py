"""The inventory of an application's endpoints: which action guards each, which are public, which nobody guards.

Walks the routes of Starlette and of what is built on it: nested routers, mounts, hosts, endpoint classes, WebSockets,
and FastAPI's included routers. Must not live here: deciding.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from iam_guard.enforcement.endpoints import Endpoint, guards_of, name_of, own_mark
from iam_guard.enforcement.requirement import OWN_GUARD
from iam_guard.enforcement.route_map import RouteMap

_METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "query")

HIDDEN: Final = object()
"""Stands for an endpoint that nobody but the router can tell."""


def inventory(app: Any) -> list[Endpoint]:
    """List every endpoint of an application, in the order of its routes."""
    return list(_walk(routes_of(app), ""))


def unguarded(app: Any, routes: RouteMap | None = None) -> list[Endpoint]:
    """List the endpoints that are neither guarded nor public, nor in the map.

    Raises `ConfigurationError` where the map has routes that the application has not.
    """
    endpoints = inventory(app) if routes is None else routes.joined(inventory(app))
    return [endpoint for endpoint in endpoints if not endpoint.is_guarded]


def guards_itself(app: Any) -> bool:
    """Tell whether something is mounted in an application that signs in its callers and decides by itself."""
    return any(OWN_GUARD in endpoint.guards for endpoint in inventory(app))


def takes_care_of_itself(app: Any, scope: Mapping[str, Any]) -> bool:
    """Tell whether the route that takes a request leads to what is mounted with a guard of its own.

    Asks the routes themselves, in their order, as the router will: never a comparison of paths.
    """
    route, child = _taking(app, scope)
    if route is None or getattr(route, "endpoint", None) is not None:
        return False
    mounted = getattr(route, "app", None)
    return own_mark(mounted) == OWN_GUARD or takes_care_of_itself(mounted, {**scope, **child})


def endpoint_of(app: Any, scope: Mapping[str, Any]) -> Any:
    """Find the endpoint that will answer a request, before the router does; None without one.

    Asks the routes themselves, as `takes_care_of_itself` does, down through what is mounted. `HIDDEN` where a route
    takes the request and does not say what is behind it, as FastAPI's included routers do.
    """
    route, child = _taking(app, scope)
    if route is None:
        return None
    endpoint, mounted = getattr(route, "endpoint", None), getattr(route, "app", None)
    if endpoint is None and mounted is None:
        return HIDDEN
    return endpoint_of(mounted, {**scope, **child}) if endpoint is None else endpoint


def is_taken(app: Any, scope: Mapping[str, Any]) -> bool:
    """Tell whether some route takes a request."""
    return _taking(app, scope)[0] is not None


def _taking(app: Any, scope: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """Find the route that takes a request, and what it puts into the scope; None where there is none."""
    for route in routes_of(app):
        matches = getattr(route, "matches", None)
        match, child = matches(scope) if matches is not None else (None, {})
        if getattr(match, "name", None) == "FULL":
            return route, child
    return None, {}


def is_router(endpoint: Any) -> bool:
    """Tell whether an ASGI scope's endpoint is no endpoint: absent, or what is mounted and routes on."""
    return endpoint is None or bool(routes_of(endpoint))


def routes_of(app: Any) -> Sequence[Any]:
    """Find the routes of an application, through the middlewares around it."""
    seen = 0
    while app is not None and seen < 50:
        routes = getattr(app, "routes", None)
        if routes:
            return list(routes)
        app = getattr(app, "app", None)
        seen += 1
    return []


def _walk(routes: Iterable[Any], prefix: str) -> Iterator[Endpoint]:
    for route in routes:
        path = prefix + (getattr(route, "path", None) or "")
        endpoint = getattr(route, "endpoint", None)
        original = getattr(route, "original_router", None)  # FastAPI keeps an included router as a node of its own
        if endpoint is not None:
            yield from _endpoints(route, path, endpoint)
        elif original is not None:
            context = getattr(route, "include_context", None)
            yield from _walk(original.routes, prefix + (getattr(context, "prefix", "") or ""))
        else:
            yield from _mounted(route, path)


def _mounted(route: Any, path: str) -> Iterator[Endpoint]:
    """A mount or host: the routes inside, or the mounted application itself where it has none."""
    app = getattr(route, "app", None)
    inside = getattr(route, "routes", None) or routes_of(app)
    if inside:
        yield from _walk(inside, path)
        return
    yield Endpoint(path or "/", (), getattr(route, "name", None) or type(app).__name__, guards_of(app))


def _endpoints(route: Any, path: str, endpoint: Any) -> Iterator[Endpoint]:
    name = name_of(endpoint)
    methods = tuple(sorted(getattr(route, "methods", None) or ()))
    if not hasattr(route, "methods"):
        methods = ("WEBSOCKET",)
    if not inspect.isclass(endpoint) or own_mark(endpoint) is not None:
        yield Endpoint(path, methods, name, guards_of(endpoint))
        return
    handlers = [(each, getattr(endpoint, each)) for each in _METHODS if hasattr(endpoint, each)]
    for method, handler in handlers:
        yield Endpoint(path, (method.upper(),), f"{name}.{method}", guards_of(handler))
    if not handlers:
        yield Endpoint(path, methods, name, guards_of(getattr(endpoint, "on_connect", None)))
