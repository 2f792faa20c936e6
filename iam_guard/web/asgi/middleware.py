"""`GuardMiddleware`: the guard of an ASGI application, for HTTP and WebSocket.

Per request: (1) read the facts of the connection; (2) authenticate, which rejects bad credentials at once; (3) set the
current call and run the application, whose decorators decide; (4) check the start of the response (`guarded_send`): an
endpoint without a decision that is not public is answered with 500 and logged; (5) convert `IamGuardError` to a
response. A body that is verified while it is read may fail in (3): then the application's response does not start, or
breaks off. `inspection` is what happens once: at start-up, and with the first request.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from iam_guard.errors import ConfigurationError, IamGuardError
from iam_guard.guard.guard import Guard
from iam_guard.web.asgi.bridge import AsyncBridge, GuardedAsyncRequest
from iam_guard.web.asgi.guarded_send import (
    GuardedSend,
    encoded_headers,
    send_delegated,
    with_browser_headers,
)
from iam_guard.web.asgi.inspection import AppInspection
from iam_guard.web.asgi.parameters import ParameterReadings, declared_parameters, no_readings
from iam_guard.web.asgi.route_matching import delegated_scope, may_take_unsigned
from iam_guard.web.call_context import CURRENT_CALL
from iam_guard.web.refusal import Refusal, RefusalFormat, problem
from iam_guard.web.route_maps.route_map import RouteMap

_POLICY_VIOLATION: Final = 1008


class GuardMiddleware:
    """Guard an ASGI application.

    `refusal` formats error responses, by default as RFC 9457. `check_routes=False` lets an application start with
    endpoints that are neither guarded nor public; they still answer 500. `routes` is a map that guards routes whose
    handlers are not decorated. `readings` is for adapters: it returns the converted values of a path parameter.
    `oidc_audiences` replaces the setting for this application.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        guard: Guard,
        refusal: RefusalFormat = problem,
        check_routes: bool = True,
        routes: RouteMap | None = None,
        readings: ParameterReadings = no_readings,
        oidc_audiences: tuple[str, ...] = (),
    ) -> None:
        self.app = app
        self.guard = guard
        self._read_parameters = partial(declared_parameters, readings=readings)
        self._bridge = AsyncBridge(guard, refusal=refusal, oidc_audiences=oidc_audiences)
        self._inspection = AppInspection(app, guard, routes, check_routes=check_routes)
        self.route_map = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind != "http" and kind != "websocket":
            if kind != "lifespan":
                raise ConfigurationError(f"expected an http or websocket scope, got `{kind}`")
            await self._inspection.serve_lifespan(scope, receive, send)
            return
        if self._inspection.has_own_guard is not False:
            if not self._inspection.is_checked:
                self._inspection.check_before_first_request(scope)
            delegated = self._delegated(scope)
            if delegated is not None:
                await self.app(delegated, receive, partial(send_delegated, delegated, send))
                return
        guarded = GuardedAsyncRequest(self._bridge, scope)
        response: GuardedSend | None = None
        try:
            call = await guarded.authenticate(receive, self._takes_unsigned)
            call.read_parameters = self._read_parameters
            if call.browser is not None:
                send = with_browser_headers(call, send)
            response = GuardedSend(call, guarded.scope, send, guarded.body)
            if self.route_map is not None:
                call.route_map = self.route_map
                self._inspection.install_map(_app_of(scope, self.app))
            token = CURRENT_CALL.set(call)
            try:
                await self.app(guarded.scope, guarded.receive, response.send)
            except Exception:
                if response.refusal is None:
                    raise
            finally:
                call.is_over = True
                CURRENT_CALL.reset(token)
            if response.refusal is not None:
                raise response.refusal  # even if the framework caught it
        except IamGuardError as error:
            if response is not None and response.started:
                guarded.record(error)
                raise
            await _send_refusal(error, await guarded.refuse_async(error), scope, send)
        finally:
            if guarded.body is not None:
                guarded.body.release()

    def _delegated(self, scope: Scope) -> Scope | None:
        """Return the scope of a request for a mounted application with its own guard, or None."""
        app = _app_of(scope, self.app)
        return delegated_scope(app, scope) if self._inspection.find_own_guard(app) else None

    def _takes_unsigned(self, scope: Scope) -> bool:
        """Return whether the route may accept an unsigned body; its requirement decides later."""
        is_mapped = self.route_map is not None and self.route_map.takes_unsigned
        return is_mapped or may_take_unsigned(_app_of(scope, self.app), scope, self.guard.settings.public_hosts)


async def _send_refusal(error: IamGuardError, refusal: Refusal, scope: Scope, send: Send) -> None:
    prefix = "http"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": error.code})
            return
        prefix = "websocket.http"
    headers = encoded_headers(refusal)
    await send({"type": f"{prefix}.response.start", "status": refusal.status, "headers": headers})
    await send({"type": f"{prefix}.response.body", "body": refusal.body})


def _app_of(scope: Scope, inner: ASGIApp) -> Any:
    """Return the application whose routes are guarded: the one that the server calls, if it is in the scope."""
    return scope.get("app") or inner
