"""What the middleware finds out about the application itself, at start-up and with the first request.

At start-up, unguarded endpoints are reported; with the first request if there was no start-up, as for a test client or
a server without lifespan. With the first request, the route map is installed, and mounted applications with their own
guard are found. What depends on a single request is in `route_matching`.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, Final

import anyio.to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from iam_guard.errors import ConfigurationError
from iam_guard.guard.guard import Guard
from iam_guard.web.asgi.routes import has_own_guard, install_guards, inventory, unguarded
from iam_guard.web.endpoints import unguarded_message
from iam_guard.web.route_maps.route_map import RouteMap

_log = logging.getLogger("iam_guard.web")

_SHUT_DOWN: Final = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")


class AppInspection:
    """Inspects a guarded application."""

    def __init__(self, app: ASGIApp, guard: Guard, routes: RouteMap | None, *, check_routes: bool) -> None:
        self._app = app
        self._guard = guard
        self._routes = routes
        self._check_routes = check_routes
        self._mapped: Any = None
        self.is_checked = False
        """Whether the endpoints were checked, at start-up or with the first request."""
        self.has_own_guard: bool | None = None
        """Whether an application with its own guard is mounted; None before the first request."""

    async def serve_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Inspect the application, then serve its lifespan; sign the audit trail at shutdown."""
        await self._check_endpoints(scope.get("app", self._app), receive, send)
        await self._app(scope, receive, partial(self._end_shard_before, send))

    async def _check_endpoints(self, app: Any, receive: Receive, send: Send) -> None:
        """Fail the start-up if endpoints are unguarded, and raise `ConfigurationError` with their list.

        An exception alone is not enough: some servers take it for an application without lifespan support, and serve.
        """
        try:
            self.check_endpoints(app)
        except ConfigurationError as error:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise

    def check_endpoints(self, app: Any) -> None:
        """Raise `ConfigurationError` with the list of unguarded endpoints, or log it; and as `unguarded`."""
        found = unguarded(app, self._routes, self._guard.signing_names)
        if found and self._check_routes:
            raise ConfigurationError(unguarded_message(found))
        if found:
            _log.warning("%s", unguarded_message(found))
        self.is_checked = True

    def check_before_first_request(self, scope: Scope) -> None:
        """Check the endpoints of an application without a start-up: as `check_endpoints`, but log a missing service.

        The guard still decides about it, as it always did for such servers and test clients. With `check_routes=False`
        everything is logged. Behind a router, whose other routes are not guarded here, a map has the paths of the outer
        application, and `install_map` checks it.
        """
        is_mounted = "endpoint" in scope
        if is_mounted and self._routes is not None:
            self.is_checked = True
            return
        app = self._app if is_mounted else scope.get("app") or self._app
        found = unguarded(app, self._routes) if self._check_routes else ()
        if found:
            raise ConfigurationError(unguarded_message(found))
        self.is_checked = True
        try:
            self.check_endpoints(app)
        except ConfigurationError as error:
            _log.error("the application is served without start-up checks: %s", error)

    async def _end_shard_before(self, send: Send, message: Message) -> None:
        """Sign the trail before the shutdown is reported, since some servers end the process right after."""
        if message["type"] in _SHUT_DOWN and self._guard.trail.usage() is not None:
            await anyio.to_thread.run_sync(self._guard.trail.end_shard)
        await send(message)

    def find_own_guard(self, app: Any) -> bool:
        """Return whether an application with its own guard (the AWS API) is mounted; found once."""
        if self.has_own_guard is None:
            self.has_own_guard = has_own_guard(app)
        return self.has_own_guard

    def install_map(self, app: Any) -> None:
        """Install the route map in the routes of an application, once."""
        if self._routes is not None and self._mapped is not app:
            inventory(app, self._routes)
            install_guards(app, self._routes)
            self._mapped = app
