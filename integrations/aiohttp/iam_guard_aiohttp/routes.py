"""The routes of an aiohttp application and its sub-applications, as endpoints of the inventory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from aiohttp import hdrs, web

from iam_guard import Endpoint
from iam_guard.adapters import endpoint_row, guards_of, name_of


def routes_of(app: web.Application, host: str | None) -> Iterator[tuple[web.AbstractRoute, str, str | None]]:
    """Yield each route with its template and the domain of its sub-application."""
    for resource in app.router.resources():
        info = resource.get_info()
        if isinstance(resource, web.PrefixedSubAppResource):
            rule = info.get("rule")
            yield from routes_of(info["app"], host if rule is None else rule.canonical)
            continue
        path = f"{resource.canonical}/{{filename}}" if isinstance(resource, web.StaticResource) else resource.canonical
        yield from ((route, path, host) for route in resource)


def apps_of(app: web.Application) -> Iterator[web.Application]:
    """Yield an application and its sub-applications."""
    yield app
    for resource in app.router.resources():
        if isinstance(resource, web.PrefixedSubAppResource):
            yield from apps_of(resource.get_info()["app"])


def unmapped_inventory(app: web.Application) -> list[Endpoint]:
    """Return every endpoint with the guards of its handler, without those of a map."""
    return [
        replace(endpoint, host=host)
        for route, path, host in routes_of(app, None)
        for endpoint in _endpoints(route, path)
    ]


def _endpoints(route: web.AbstractRoute, path: str) -> Iterator[Endpoint]:
    handler: Any = route.handler
    methods = () if route.method == hdrs.METH_ANY else (route.method,)
    if not isinstance(handler, type) or guards_of(handler):
        yield endpoint_row(path, methods, name_of(handler), handler)
        return
    for method in methods or sorted(hdrs.METH_ALL):
        found = getattr(handler, method.lower(), None)
        if found is not None:
            yield endpoint_row(path, (method,), f"{name_of(handler)}.{method.lower()}", found)
