"""The route of one ASGI request: before it is routed, by calling the routes' `matches`, and afterwards, by its scope.

Paths are never compared: the routes are asked in their order, as the router does, also inside of mounts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from starlette.types import Scope

from iam_guard.web.asgi.litestar_routes import APP_KEY, handled_by
from iam_guard.web.asgi.route_mapping import ROW_KEY
from iam_guard.web.asgi.routes import READERS, is_router, route_guards, routes_of
from iam_guard.web.connection import headers_at_host
from iam_guard.web.endpoints import mark_of, own_mark
from iam_guard.web.requirement import OWN_GUARD, PUBLIC, takes_unsigned

UNRESOLVED: Final = object()
"""Stands for an endpoint that only the router can determine."""
ROUTER_KEYS: Final = ("router", APP_KEY)
"""The scope keys under which the routers of the frameworks store themselves, before they match."""


# --- before the request is routed --------------------------------------------------------------------------------


def delegated_scope(app: Any, scope: Scope) -> Scope | None:
    """Return the scope of a request for a mounted application with its own guard (the AWS API), or None.

    AWS clients send the path of the mount without a trailing slash and don't follow a router's redirect, so the slash
    is added here. `raw_path`, which is signed, stays.
    """
    if scope["type"] != "http":
        return None
    if _leads_to_own_guard(app, scope):
        return scope
    slashed = {**scope, "path": scope["path"] + "/"}
    return slashed if _matching_route(app, scope)[0] is None and _leads_to_own_guard(app, slashed) else None


def may_take_unsigned(app: Any, scope: Scope, hosts: Collection[str]) -> bool:
    """Return whether the route may accept a body that the signature does not cover.

    The request is routed by the host that was signed, which may be one of `hosts`.
    """
    scopes = [scope, *({**scope, "headers": headers_at_host(scope["headers"], host)} for host in hosts)]
    for routed in scopes:
        endpoint = endpoint_of(app, routed)
        # `UNRESOLVED`: the requirement decides later; until then the call has no caller (`CurrentCall.caller`)
        if endpoint is UNRESOLVED or takes_unsigned(mark_of(endpoint, scope.get("method"))):
            return True
    return False


def endpoint_of(app: Any, scope: Mapping[str, Any]) -> Any:
    """Return the endpoint that will answer a request, before it is routed; None without one.

    Returns `UNRESOLVED` if the matching route does not expose its endpoint, as FastAPI's included routers, or if
    something before the endpoint guards it. With Litestar, the handler is already known.
    """
    handler = handled_by(scope)
    if handler is not None:
        return handler if own_mark(handler) is not None else UNRESOLVED
    route, child = _matching_route(app, scope)
    if route is None:
        return None
    endpoint, mounted = getattr(route, "endpoint", None), getattr(route, "app", None)
    if (endpoint is None and mounted is None) or any(own_mark(guard) != PUBLIC for guard in route_guards(route)):
        return UNRESOLVED
    return endpoint_of(mounted, {**scope, **child}) if endpoint is None else endpoint


def _leads_to_own_guard(app: Any, scope: Mapping[str, Any]) -> bool:
    """Return whether the route that matches a request leads to a mount with its own guard."""
    route, child = _matching_route(app, scope)
    if route is None or getattr(route, "endpoint", None) is not None:
        return False
    mounted = getattr(route, "app", None)
    return own_mark(mounted) == OWN_GUARD or _leads_to_own_guard(mounted, {**scope, **child})


def _matching_route(app: Any, scope: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """Return the route that matches a request, or None, and its additions to the scope."""
    for route in routes_of(app):
        matches = getattr(route, "matches", None)
        match, child = matches(scope) if matches is not None else (None, {})
        if getattr(match, "name", None) == "FULL":
            return route, child
    return None, {}


# --- after the request was routed --------------------------------------------------------------------------------


def answering_endpoint(scope: Mapping[str, Any]) -> Any:
    """Return the marked endpoint of a routed call, or what guards it; None without one.

    Litestar stores a handler instead of an endpoint. An unmarked endpoint is represented by what decides before it: a
    row of a route map, a dependency of FastAPI, a guard of Litestar.
    """
    endpoint = scope.get("endpoint")
    if is_router(endpoint):
        endpoint = handled_by(scope) or endpoint
    mark = mark_of(endpoint, scope.get("method"))
    if ROW_KEY in scope and mark in (None, PUBLIC):
        return scope[ROW_KEY]
    if mark is not None:
        return endpoint
    routed = (reader.routed(scope) for reader in READERS)
    guards = [guard for route in routed if route is not None for guard in route_guards(route)]
    if guards:
        return next((guard for guard in guards if own_mark(guard) != PUBLIC), guards[0])
    return None if is_router(endpoint) else endpoint


def is_unrouted(scope: Mapping[str, Any]) -> bool:
    """Return whether the router of this scope matched no route, so that it answers by itself.

    A router stores itself and then the endpoint in its scope. The result is False if this can't be determined: if a
    middleware passed on a copy of the scope, or the mounted application is not a plain router.
    """
    if handled_by(scope) is not None:
        return False
    router, mounted = next((scope[name] for name in ROUTER_KEYS if name in scope), None), scope.get("endpoint")
    if mounted is not None:
        stack = getattr(mounted, "middleware_stack", None)
        is_plain = stack is not None and stack == getattr(mounted, "app", None)
        router = mounted if is_plain or mounted is scope.get(APP_KEY) else None
    if router is None or _matching_route(router, scope)[0] is not None:
        return False
    default = getattr(router, "default", None)  # the application may define its own
    return default is None or getattr(default, "__module__", "").partition(".")[0] in ("starlette", "fastapi")
