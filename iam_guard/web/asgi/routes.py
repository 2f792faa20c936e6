"""The inventory of an application's endpoints: which action guards each, which are public, which nobody guards.

Walks the routes of Starlette and of what is built on it: nested routers, mounts, hosts, endpoint classes, WebSockets;
those of FastAPI, with its included routers and the dependencies that guard; and those of Litestar, whose handlers have
guards of their own. Names of theirs are asked for, and nothing of theirs is imported.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from iam_guard.web.endpoints import Endpoint, endpoint_row, mark_of, name_of, own_mark, refuse_unfit_handlers
from iam_guard.web.requirement import OWN_GUARD, PUBLIC
from iam_guard.web.route_map import BY_MAP, RouteMap

_METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "query")

HIDDEN: Final = object()
"""Stands for an endpoint that nobody but the router can tell."""
ROW: Final = "iam_guard.row"
"""Where a scope has the row of a route map that guards its route."""


def inventory(app: Any) -> list[Endpoint]:
    """List every endpoint of an application, in the order of its routes."""
    return list(_walk(routes_of(app), ""))


def unguarded(app: Any, routes: RouteMap | None = None) -> list[Endpoint]:
    """List the endpoints that are neither guarded nor public, nor in the map.

    Raises `ConfigurationError` where the map has routes that the application has not, and for a handler that can fill
    no resource template.
    """
    endpoints = inventory(app) if routes is None else routes.joined(inventory(app))
    refuse_unfit_handlers(endpoints)
    return [endpoint for endpoint in endpoints if not endpoint.is_guarded]


def guards_itself(app: Any) -> bool:
    """Return whether something is mounted in an application that signs in its callers and decides by itself."""
    return any(OWN_GUARD in endpoint.guards for endpoint in inventory(app))


def takes_care_of_itself(app: Any, scope: Mapping[str, Any]) -> bool:
    """Return whether the route that takes a request leads to what is mounted with a guard of its own.

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
    takes the request and does not say what is behind it, as FastAPI's included routers do, or where something else
    than the endpoint guards it. Litestar has found the handler already.
    """
    handler = scope.get("route_handler")
    if handler is not None:
        return handler.fn if own_mark(handler.fn) is not None else HIDDEN
    route, child = _taking(app, scope)
    if route is None:
        return None
    endpoint, mounted = getattr(route, "endpoint", None), getattr(route, "app", None)
    if (endpoint is None and mounted is None) or any(own_mark(each) != PUBLIC for each in _guarding(route)):
        return HIDDEN
    return endpoint_of(mounted, {**scope, **child}) if endpoint is None else endpoint


def is_taken(app: Any, scope: Mapping[str, Any]) -> bool:
    """Return whether some route takes a request."""
    return _taking(app, scope)[0] is not None


def _taking(app: Any, scope: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """Find the route that takes a request, and what it puts into the scope; None where there is none."""
    for route in routes_of(app):
        matches = getattr(route, "matches", None)
        match, child = matches(scope) if matches is not None else (None, {})
        if getattr(match, "name", None) == "FULL":
            return route, child
    return None, {}


ROUTED: Final = ("router", "litestar_app")
"""What the router of a framework puts into the scope that it is given, before it looks for a route."""


def found_nothing(scope: Mapping[str, Any]) -> bool:
    """Return whether the router that was given this very scope has found no route in it, so that it answers itself.

    A router writes into its scope which it is, and then the endpoint. Where something has handed on a copy, or what is
    mounted is no plain router, nothing says what was found.
    """
    if scope.get("route_handler") is not None:
        return False
    router, mounted = next((scope[name] for name in ROUTED if name in scope), None), scope.get("endpoint")
    if mounted is not None:
        stack = getattr(mounted, "middleware_stack", None)
        is_plain = stack is not None and stack == getattr(mounted, "app", None)
        router = mounted if is_plain or mounted is scope.get("litestar_app") else None
    if router is None or _taking(router, scope)[0] is not None:
        return False
    default = getattr(router, "default", None)  # the application may have one of its own
    return default is None or getattr(default, "__module__", "").partition(".")[0] in ("starlette", "fastapi")


def is_router(endpoint: Any) -> bool:
    """Return whether an ASGI scope's endpoint is no endpoint: absent, or what is mounted and routes on."""
    return endpoint is None or bool(routes_of(endpoint))


def answering(scope: Mapping[str, Any]) -> Any:
    """Return what answers a call after its routing: a marked endpoint, or what stands in for it; None without one.

    Litestar names a handler and no endpoint. What decides before an endpoint that is not marked itself stands in for
    it: a row of a route map, a dependency of FastAPI, a guard of Litestar.
    """
    endpoint = scope.get("endpoint")
    handler = scope.get("route_handler")
    if handler is not None and is_router(endpoint):
        endpoint = getattr(handler, "fn", None)
    mark = mark_of(endpoint, scope.get("method"))
    if ROW in scope and mark in (None, PUBLIC):
        return scope[ROW]
    if mark is not None:
        return endpoint
    route = (scope.get("fastapi") or {}).get("effective_route_context")
    standing_in = [each for part in (handler, route, scope.get("route")) for each in _guarding(part)]
    if standing_in:
        return next((each for each in standing_in if own_mark(each) != PUBLIC), standing_in[0])
    return None if is_router(endpoint) else endpoint


def _guarding(route: Any) -> list[Any]:
    """List what is called before a route's endpoint and is marked: dependencies of FastAPI, guards of Litestar."""
    found = []
    resolve = getattr(route, "resolve_guards", None)
    if resolve is not None:
        found = list(resolve())
    waiting = [getattr(route, "dependant", None)]
    while waiting:
        dependant = waiting.pop(0)
        inner = list(getattr(dependant, "dependencies", None) or ())
        found += [getattr(each, "call", None) for each in inner]
        waiting += inner
    return [each for each in found if own_mark(each) is not None]


def routes_of(app: Any) -> Sequence[Any]:
    """Find the routes of an application, through the middlewares around it."""
    seen = 0
    while app is not None and seen < 50:
        late = getattr(getattr(app, "router", app), "_iter_low_priority_routes", list)  # FastAPI's frontends
        routes = [*(getattr(app, "routes", None) or ()), *late()]
        if routes:
            return routes
        app = getattr(app, "app", None)
        seen += 1
    return []


def _walk(routes: Iterable[Any], prefix: str) -> Iterator[Endpoint]:
    for route in routes:
        host = host_of(route)
        for each in _behind(route, prefix):
            yield each if host is None or each.host is not None else replace(each, host=host)


def host_of(route: Any) -> str | None:
    """Return the host that a route is for, a template; None for every host."""
    host = getattr(route, "host", None)
    return host if isinstance(host, str) else None


def _behind(route: Any, prefix: str) -> Iterator[Endpoint]:
    path = prefix + (getattr(route, "path", None) or "")
    endpoint = getattr(route, "endpoint", None)
    contexts = getattr(route, "effective_route_contexts", None)  # FastAPI keeps an included router as a node
    handlers = handlers_of(route)
    group = getattr(route, "original_route", route)
    if endpoint is not None:
        yield from _endpoints(route, path, endpoint)
    elif hasattr(group, "add_frontend_route"):
        before = prefix + getattr(route, "frontend_prefix", "")
        for each in group.routes:
            yield endpoint_row(before + each.path, ("GET", "HEAD"), "frontend", each.app, *_guarding(route))
    elif contexts is not None:
        yield from _walk([getattr(context, "starlette_route", None) or context for context in contexts()], prefix)
    elif handlers:
        yield from _handlers(handlers, path)
    else:
        yield from _mounted(route, path)


def handlers_of(route: Any) -> Sequence[Any]:
    """List the handlers of a route of Litestar; none of what is no such route. What is mounted stands in one too."""
    handler = getattr(route, "route_handler", None)
    return getattr(route, "route_handlers", None) or ([] if handler is None else [handler])


def methods_of(handler: Any) -> tuple[str, ...]:
    """List the methods of a handler of Litestar; none of what takes whatever comes."""
    if hasattr(handler, "resolve_websocket_class"):
        return ("WEBSOCKET",)
    return tuple(sorted(str(getattr(each, "value", each)) for each in getattr(handler, "http_methods", ())))


def is_mount_of_routes(handler: Any) -> bool:
    """Return whether a handler of Litestar leads on to an application that has routes, and no guard of its own."""
    return getattr(handler, "is_mount", False) and bool(routes_of(handler.fn)) and own_mark(handler.fn) is None


def _handlers(handlers: Iterable[Any], path: str) -> Iterator[Endpoint]:
    """The handlers of one path of Litestar."""
    for handler in handlers:
        endpoint = handler.fn
        if is_mount_of_routes(handler):
            yield from _walk(routes_of(endpoint), path.rstrip("/"))
            continue
        name = name_of(getattr(endpoint, "func", endpoint))
        guards = [each for each in _guarding(handler) if own_mark(each) != BY_MAP]  # which the map adds itself
        is_added = getattr(endpoint, "__module__", "").startswith("litestar.")  # made anew for each path: OPTIONS
        runs = getattr(endpoint, "__code__", endpoint) if is_added else endpoint
        yield endpoint_row(path, methods_of(handler), name, endpoint, *guards, handler=runs)


def _mounted(route: Any, path: str) -> Iterator[Endpoint]:
    """A mount or host: the routes inside, or the mounted application itself where it has none."""
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
    handlers = [(each, getattr(endpoint, each)) for each in _METHODS if hasattr(endpoint, each)]
    for method, handler in handlers:
        yield endpoint_row(path, (method.upper(),), f"{name}.{method}", handler)
    if not handlers:
        yield endpoint_row(path, methods, name, getattr(endpoint, "on_connect", None), handler=endpoint)
