"""iam_guard for aiohttp: `setup(app, guard=guard)`, and the decorators of `Service` on handlers and methods of views.

    docs = Service("docs")
    routes = web.RouteTableDef()

    @routes.get("/documents/{document_id}")
    @docs.requires("GetDocument", resource="document/{document_id}")
    async def get_document(request): ...

    app = web.Application()
    app.add_routes(routes)
    setup(app, guard=guard)

aiohttp matches the route before its middlewares run. The guard is the first of them: it authenticates, replaces a body
that a signature covers by the verified one, and reports the route; the decorators decide. Each response is checked
before it starts: what a handler returns when it returns, and what it prepares itself (streams, WebSockets) by the
signal `on_response_prepare`. A response without a decision that is not public becomes a 500. Templates are filled from
the live `request.match_info`, so that a middleware that changes it changes the decision too.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread
from aiohttp import web

from iam_guard import Endpoint, Guard, IamGuardError, RouteMap
from iam_guard.adapters import (
    AsyncBridge,
    RefusalFormat,
    check_handler_parameters,
    check_services,
    mark_of,
    name_of,
    problem,
    route_address,
    serving,
    takes_unsigned,
    unguarded_message,
)
from iam_guard.errors import ConfigurationError
from iam_guard_aiohttp.requests import check_host, receive_of, scope_of, served_request
from iam_guard_aiohttp.responses import EXCHANGE, Exchange, check_prepared, response_of
from iam_guard_aiohttp.routes import apps_of, routes_of, unmapped_inventory

__all__ = ["check_routes", "inventory", "setup"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger("iam_guard.web")


def setup(
    app: web.Application,
    *,
    guard: Guard,
    refusal: RefusalFormat = problem,
    check_routes: bool = True,
    routes: RouteMap | None = None,
) -> None:
    """Guard an application with its sub-applications; call it before the application starts.

    `refusal` formats error responses, by default as RFC 9457. `check_routes=False` lets the application start with
    endpoints that are neither guarded nor public; they still answer 500. `routes` is a map for handlers that can't be
    decorated, such as static files. Raises `ConfigurationError` if the application has a guard already.
    """
    if _guard_of(app) is not None:
        raise ConfigurationError("expected an application without a guard, got a guarded one", place="setup")
    middleware = _GuardMiddleware(guard, refusal, routes)
    app.middlewares.insert(0, middleware)
    app.on_response_prepare.append(check_prepared)

    async def check_at_start(started: web.Application) -> None:
        middleware.inspect(started, check=check_routes)

    async def end_shard(_: web.Application) -> None:
        if guard.trail.usage() is not None:
            await anyio.to_thread.run_sync(guard.trail.end_shard)

    app.on_startup.append(check_at_start)
    app.on_cleanup.append(end_shard)


def check_routes(app: web.Application) -> None:
    """Raise `ConfigurationError` with the endpoints that are neither guarded nor public, if there are any.

    Also raised for a row of the map without a route, for a handler whose route can't fill its resource template, for an
    action of a service that was not passed to the guard, and for a middleware before the guard.
    """
    middleware = _guard_of(app)
    if middleware is None:
        raise ConfigurationError("expected an application with `setup(app, guard=…)`, got one without")
    middleware.inspect(app, check=True)


def inventory(app: web.Application) -> list[Endpoint]:
    """Return every endpoint of an application with its guards, in the order of its routes, with the rows of its map."""
    middleware, endpoints = _guard_of(app), unmapped_inventory(app)
    return endpoints if middleware is None or middleware.routes is None else middleware.routes.joined(endpoints)


def inventory_of(app: object) -> list[Endpoint] | None:
    """Return the endpoints without the map, for `iam-guard routes`; None for anything but an aiohttp application."""
    return unmapped_inventory(app) if isinstance(app, web.Application) else None


def route_map_of(app: object) -> RouteMap | None:
    """Return the map of an application, for `iam-guard routes`."""
    middleware = _guard_of(app) if isinstance(app, web.Application) else None
    return None if middleware is None else middleware.routes


class _GuardMiddleware:
    """The middleware, and what it knows about the routes of its application."""

    __middleware_version__ = 1  # as `web.middleware` sets it

    def __init__(self, guard: Guard, refusal: RefusalFormat, routes: RouteMap | None) -> None:
        self.routes = routes
        self._bridge = AsyncBridge(guard, refusal=refusal)
        self._known: dict[web.AbstractRoute, tuple[str, str | None]] = {}
        self._app: web.Application | None = None

    def inspect(self, app: web.Application, *, check: bool) -> None:
        """Read the routes, which are complete now. Raises `ConfigurationError` as `check_routes` describes."""
        if app.middlewares[0] is not self:
            message = f"expected the guard as the first middleware, got `{name_of(app.middlewares[0])}`; call `setup`"
            raise ConfigurationError(f"{message} after adding the others", place="middlewares")
        if sum(_guard_of(guarded) is not None for guarded in apps_of(app)) > 1:
            raise ConfigurationError("expected one guard, got one more in a sub-application", place="setup")
        self._app, self._known = app, {route: (path, host) for route, path, host in routes_of(app, None)}
        self._check_ambiguous_rows()
        endpoints = inventory(app)
        check_handler_parameters(endpoints)
        check_services(endpoints, self._bridge.guard.signing_names)
        found = [endpoint for endpoint in endpoints if not endpoint.is_guarded]
        if found and check:
            raise ConfigurationError(unguarded_message(found))
        if found:
            _log.warning("%s", unguarded_message(found))

    def _check_ambiguous_rows(self) -> None:
        """Raise `ConfigurationError` for a row of several routes, whose paths differ only in a pattern."""
        handlers: dict[tuple[str, str, str | None], object] = {}
        for route, (path, host) in self._known.items():
            is_first = handlers.setdefault((route.method, path, host), route.handler) is route.handler
            if not is_first and self.routes is not None and self.routes.row(route.method, path, host) is not None:
                message = f"the row of `{route.method} {path}` is for several routes: decorate their handlers"
                raise ConfigurationError(message, place="routes")

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        match = request.match_info
        path, host = self._known.get(match.route, ("", None))
        endpoint: Any = None if match.http_exception is not None else match.handler
        row = None
        if endpoint is not None and self.routes is not None:
            row = self.routes.row(request.method, path, host)
            endpoint = endpoint if row is None else row.endpoint_to_report(endpoint, request.method)
        guarded = self._bridge.begin(scope_of(request))
        exchange, served = Exchange(guarded), request
        has_body = request.can_read_body  # before it is read
        EXCHANGE.set(exchange)  # for the rest of the request's task, which aiohttp ends after the response
        try:
            check_host(request, guarded, self._bridge.guard)
            call = await guarded.authenticate(
                receive_of(request), lambda _: takes_unsigned(mark_of(endpoint, request.method))
            )
            served = await served_request(request, guarded, call, has_body=has_body)
            call.matched(endpoint, match, address=route_address(host, path), app=self._app)
            with serving(call):
                if row is not None:
                    exchange.decided = {} if row.is_public else dict(match)
                    await row.enforce_async(match)
                try:
                    response = await handler(served)
                except web.HTTPException as raised:
                    response = exchange.check(served, raised)
                    if response is raised:
                        raise
                if response is exchange.checked:
                    guarded.check_body()
                else:
                    response = exchange.check(served, response)
            return response
        except IamGuardError as error:
            refused = exchange.checked = response_of(await guarded.refuse_async(error))
            if exchange.is_started:
                raise  # aiohttp ends the connection
            return refused
        except web.HTTPException:
            raise
        except Exception:
            exchange.has_failed = True
            raise
        finally:
            guarded.end()
            if served is not request:
                served._finish()  # closes uploaded files, as aiohttp does for the original request


def _guard_of(app: web.Application) -> _GuardMiddleware | None:
    return next((item for item in app.middlewares if isinstance(item, _GuardMiddleware)), None)
