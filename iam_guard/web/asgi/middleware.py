"""`GuardMiddleware`: the guard of an ASGI application, for HTTP and WebSocket.

Per request: (1) read the facts of the connection; (2) authenticate, which rejects bad credentials at once; (3) set the
current call and run the application, whose decorators decide; (4) check the start of the response (`guarded_send`): an
endpoint without a decision that is not public is answered with 500 and logged; (5) convert `IamGuardError` to a
response. A body that is verified while it is read may fail in (3): then the application's response does not start, or
breaks off. `inspection` is what happens once: at start-up, and with the first request.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, Final

import anyio.to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from iam_guard.errors import ConfigurationError, IamGuardError
from iam_guard.guard.guard import Guard
from iam_guard.model.request import Call
from iam_guard.web.asgi.authentication import Body, authenticate_request
from iam_guard.web.asgi.guarded_send import (
    GuardedSend,
    encoded_headers,
    send_delegated,
    with_browser_headers,
)
from iam_guard.web.asgi.inspection import AppInspection
from iam_guard.web.asgi.parameters import ParameterReadings, declared_parameters, no_readings
from iam_guard.web.asgi.route_matching import delegated_scope, may_take_unsigned
from iam_guard.web.asgi.streaming_body import DecodedBody
from iam_guard.web.browser.sign_in_redirect import answer_for_browser
from iam_guard.web.call_context import CURRENT_CALL, CurrentCall
from iam_guard.web.connection import Connection, headers_at_host
from iam_guard.web.refusal import BlockingFormat, RefusalFormat, problem
from iam_guard.web.response_guard import record_failure
from iam_guard.web.route_maps.route_map import RouteMap

_log = logging.getLogger("iam_guard.web")

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
        self._refusal = refusal
        self._read_parameters = partial(declared_parameters, readings=readings)
        self._connection = Connection(guard.settings, oidc_audiences)
        self._inspection = AppInspection(app, guard, routes, check_routes=check_routes)
        self.route_map = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind != "http" and kind != "websocket":
            if kind != "lifespan":
                raise ConfigurationError(f"expected an http or websocket scope, got `{kind}`")
            await self._inspection.serve_lifespan(scope, receive, send)
            return
        facts = self._connection.facts(scope)
        if self._inspection.has_own_guard is not False:
            if not self._inspection.is_checked:
                self._inspection.check_before_first_request(scope)
            delegated = self._delegated(scope)
            if delegated is not None:
                await self.app(delegated, receive, partial(send_delegated, delegated, send))
                return
        body: Body | None = None
        response: GuardedSend | None = None
        try:
            principal, receive, body, browser = await authenticate_request(
                self.guard, self._connection, scope, receive, facts, self._takes_unsigned
            )
            credential = principal.credential
            if credential is not None and credential.host is not None:
                host = credential.host  # the application routes by the signed host
                scope, facts = {**scope, "headers": headers_at_host(scope["headers"], host)}, facts._replace(host=host)
            call = CurrentCall(self.guard, principal, facts, scope, read_parameters=self._read_parameters)
            if browser is not None:
                call.browser, send = browser, with_browser_headers(call, send)
            if body is not None:
                if isinstance(body, DecodedBody):
                    call.scope = scope = {**scope, "headers": body.headers(scope["headers"])}
                call.has_unsigned_payload = body.is_unsigned
            response = GuardedSend(call, scope, send, body)
            if self.route_map is not None:
                call.route_map = self.route_map
                self._inspection.install_map(_app_of(scope, self.app))
            token = CURRENT_CALL.set(call)
            try:
                await self.app(scope, receive, response.send)
            except Exception:
                if response.refusal is None:
                    raise
            finally:
                call.is_over = True
                CURRENT_CALL.reset(token)
            if response.refusal is not None:
                raise response.refusal  # even if the framework caught it
        except IamGuardError as error:
            if response is None:  # authentication errors are already recorded
                await self._refuse(error, scope, send, facts, None)
                return
            record_failure(call, error, _log, is_body=body is not None and body.refusal is error)
            if response.started:
                raise
            await self._refuse(error, scope, send, facts, call)
        finally:
            if body is not None:
                body.release()

    def _delegated(self, scope: Scope) -> Scope | None:
        """Return the scope of a request for a mounted application with its own guard, or None."""
        app = _app_of(scope, self.app)
        return delegated_scope(app, scope) if self._inspection.find_own_guard(app) else None

    def _takes_unsigned(self, scope: Scope) -> bool:
        """Return whether the route may accept an unsigned body; its requirement decides later."""
        is_mapped = self.route_map is not None and self.route_map.takes_unsigned
        return is_mapped or may_take_unsigned(_app_of(scope, self.app), scope, self.guard.settings.public_hosts)

    async def _refuse(
        self, error: IamGuardError, scope: Scope, send: Send, facts: Call, call: CurrentCall | None
    ) -> None:
        """Send the response to an error; `call` is None for an error of authentication."""
        if isinstance(self._refusal, BlockingFormat):
            refusal = await anyio.to_thread.run_sync(self._refusal, error, facts.request_id)
        else:
            refusal = self._refusal(error, facts.request_id)
        if call is not None:
            refusal = answer_for_browser(call, error, refusal)
        headers = encoded_headers(refusal)
        headers.append((b"content-length", str(len(refusal.body)).encode("ascii")))
        prefix = "http"
        if scope["type"] == "websocket":
            if "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": error.code})
                return
            prefix = "websocket.http"
        await send({"type": f"{prefix}.response.start", "status": refusal.status, "headers": headers})
        body = b"" if scope.get("method") == "HEAD" else refusal.body
        await send({"type": f"{prefix}.response.body", "body": body})


def _app_of(scope: Scope, inner: ASGIApp) -> Any:
    """Return the application whose routes are guarded: the one that the server calls, if it is in the scope."""
    return scope.get("app") or inner
