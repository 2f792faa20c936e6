"""`GuardMiddleware`: the guard of an ASGI application, for HTTP and WebSocket.

Per request: (1) read the facts of the connection; (2) authenticate, which rejects bad credentials at once; (3) set the
current call and run the application, whose decorators decide; (4) check the start of the response: an endpoint without
a decision that is not public is answered with 500 and logged; (5) convert `IamGuardError` to a response. A body that is
verified while it is read may fail in (3): then the application's response does not start, or breaks off. At start-up
the routes are inspected for unguarded endpoints.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import anyio.to_thread

from iam_guard.errors import ConfigurationError, IamGuardError, UndecidedEndpoint
from iam_guard.guard.guard import Guard
from iam_guard.model.request import Call
from iam_guard.web.asgi.authentication import Body, authenticate_request
from iam_guard.web.asgi.body import Receive
from iam_guard.web.asgi.parameters import ParameterReadings, declared_parameters, no_readings
from iam_guard.web.asgi.route_mapping import install_guards
from iam_guard.web.asgi.routes import (
    ROUTER_KEYS,
    UNRESOLVED,
    answering_endpoint,
    endpoint_of,
    has_own_guard,
    has_route,
    inventory,
    is_unrouted,
    leads_to_own_guard,
    unguarded,
)
from iam_guard.web.asgi.streaming_body import DecodedBody
from iam_guard.web.call_context import CurrentCall, serving
from iam_guard.web.connection import Connection, headers_at_host
from iam_guard.web.endpoints import mark_of, unguarded_message
from iam_guard.web.refusal import BlockingFormat, Refusal, RefusalFormat, problem
from iam_guard.web.requirement import OWN_GUARD, takes_unsigned
from iam_guard.web.response_guard import ROUTER_ANSWERS, UNKNOWN_ENDPOINT, check_answer, neutral_answer, record_failure
from iam_guard.web.route_map import RouteMap

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("iam_guard.web")

_POLICY_VIOLATION: Final = 1008
_SHUT_DOWN: Final = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")
_EARLY_HINT: Final = "http.response.early_hint"
"""A message before the start of the response."""
_TEST_CLIENT_DEBUG: Final = "http.response.debug"
"""A message with the template and its context for test clients; servers reject it."""
_FAILED: Final = (1011, 4500)
"""Close codes of a WebSocket whose handler raised an unknown exception: of the standard, and of Litestar."""


class GuardMiddleware:
    """Guard an ASGI application.

    `refusal` formats error responses, by default as RFC 9457. `check_routes=False` lets an application start with
    endpoints that are neither guarded nor public; they still answer 500. `routes` is a map that guards routes whose
    handlers are not decorated. `readings` is for adapters: it returns the converted values of a path parameter.
    """

    def __init__(
        self,
        app: App,
        *,
        guard: Guard,
        refusal: RefusalFormat = problem,
        check_routes: bool = True,
        routes: RouteMap | None = None,
        readings: ParameterReadings = no_readings,
    ) -> None:
        self.app = app
        self.guard = guard
        self._refusal = refusal
        self._check_routes = check_routes
        self._read_parameters = partial(declared_parameters, readings=readings)
        self._connection = Connection(guard.settings)
        self._has_own_guards: bool | None = None
        self.route_map = routes
        self._mapped: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._inspect(scope.get("app", self.app), receive, send)
            await self.app(scope, receive, partial(self._end_shard_before, send))
        else:
            raise ConfigurationError(f"expected an http or websocket scope, got `{scope['type']}`")

    async def _inspect(self, app: Any, receive: Receive, send: Send) -> None:
        """Fail the start-up if endpoints are unguarded, and raise `ConfigurationError` with their list.

        An exception alone is not enough: some servers take it for an application without lifespan support, and serve.
        """
        try:
            found = unguarded(app, self.route_map)
        except ConfigurationError as error:
            await self._fail(str(error), receive, send)
            raise
        if not found:
            return
        message = unguarded_message(found)
        if self._check_routes:
            await self._fail(message, receive, send)
            raise ConfigurationError(message)
        _log.warning("%s", message)

    async def _end_shard_before(self, send: Send, message: Message) -> None:
        """Sign the trail before the shutdown is reported, since some servers end the process right after."""
        if message["type"] in _SHUT_DOWN and self.guard.audit_usage() is not None:
            await anyio.to_thread.run_sync(self.guard.trail.end_shard)
        await send(message)

    async def _fail(self, message: str, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": message})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        facts = self._connection.facts(scope)
        watched = _GuardedSend(scope, send, facts)
        call: CurrentCall | None = None
        body: Body | None = None
        own = None if self._has_own_guards is False else self._for_own_guard(scope)
        if own is not None:
            watched.delegate(own)
            await self.app(own, receive, watched.send)
            return
        try:
            takes_unsigned = partial(self._takes_unsigned, scope)
            principal, body = await authenticate_request(
                self.guard, self._connection, scope, receive, facts, takes_unsigned
            )
            host = None if principal.credential is None else principal.credential.host
            if host is not None:
                scope, facts = watched.at_host(host), replace(facts, host=host)
            if body is not None:
                receive = body.receive
                scope = watched.receives(body)
            call = CurrentCall(self.guard, principal, facts, scope, read_parameters=self._read_parameters)
            call.has_unsigned_payload = body is not None and body.is_unsigned
            watched.call = call
            if self.route_map is not None:
                self._install_map(scope, self.route_map)
            try:
                with serving(call):
                    await self._run(scope, receive, watched)
            finally:
                call.is_over = True
        except IamGuardError as error:
            if call is not None:  # authentication errors are already recorded
                record_failure(call, error, _log, is_body=watched.is_refused_for(error))
            if watched.started:
                raise
            await self._refuse(error, scope, receive, send, facts)
        finally:
            if body is not None:
                body.release()

    async def _run(self, scope: Scope, receive: Receive, watched: _GuardedSend) -> None:
        """Run the application, and raise a refusal even if the framework caught it."""
        try:
            await self.app(scope, receive, watched.send)
        except Exception:
            if watched.refusal is None:
                raise
        if watched.refusal is not None:
            raise watched.refusal

    def _for_own_guard(self, scope: Scope) -> Scope | None:
        """Return the scope of a request for a mounted application with its own guard (the AWS API), or None.

        AWS clients send the path of the mount without a trailing slash and don't follow a router's redirect, so the
        slash is added here. `raw_path`, which is signed, stays.
        """
        app = scope.get("app") or self.app
        if self._has_own_guards is None:
            self._has_own_guards = has_own_guard(app)
        if not self._has_own_guards or scope["type"] != "http":
            return None
        if leads_to_own_guard(app, scope):
            return scope
        slashed = {**scope, "path": scope["path"] + "/"}
        return slashed if not has_route(app, scope) and leads_to_own_guard(app, slashed) else None

    def _install_map(self, scope: Scope, routes: RouteMap) -> None:
        """Install the route map once, with the first request, as some servers have no lifespan."""
        app = scope.get("app") or self.app
        if self._mapped is not app:
            routes.joined(inventory(app))
            install_guards(app, routes)
            self._mapped = app

    def _takes_unsigned(self, scope: Scope) -> bool:
        if self.route_map is not None and self.route_map.takes_unsigned:
            return True  # as with `UNRESOLVED` below
        hosts = self.guard.settings.public_hosts  # the request is routed by the host that was signed
        scopes = ({**scope, "headers": headers_at_host(scope["headers"], host)} for host in hosts)
        return self._takes_unsigned_at(scope) or any(map(self._takes_unsigned_at, scopes))

    def _takes_unsigned_at(self, scope: Scope) -> bool:
        endpoint = endpoint_of(scope.get("app") or self.app, scope)
        if endpoint is UNRESOLVED:
            return True  # the requirement decides later; until then the call has no caller (`CurrentCall.caller`)
        return takes_unsigned(mark_of(endpoint, scope.get("method")))

    async def _refuse(self, error: IamGuardError, scope: Scope, receive: Receive, send: Send, facts: Call) -> None:
        if isinstance(self._refusal, BlockingFormat):
            refusal = await anyio.to_thread.run_sync(self._refusal, error, facts.request_id)
        else:
            refusal = self._refusal(error, facts.request_id)
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


def encoded_headers(refusal: Refusal) -> list[tuple[bytes, bytes]]:
    """Return the headers in the form of ASGI."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in refusal.headers]


class _GuardedSend:
    """A `send` that lets a response start only after a decision, or from a public endpoint."""

    __slots__ = (
        "_body",
        "_facts",
        "_instead",
        "_scope",
        "_send",
        "_was_routed",
        "call",
        "is_answered",
        "is_delegated",
        "refusal",
        "started",
    )

    def __init__(self, scope: Scope, send: Send, facts: Call) -> None:
        self._scope = scope
        self._send = send
        self._facts = facts
        self._body: Body | None = None
        self.call: CurrentCall | None = None
        self.refusal: IamGuardError | None = None
        self.is_delegated = False
        self.started = False
        self.is_answered = False
        """Whether a neutral response was sent instead of the application's."""
        self._instead: Refusal | None = None
        self._was_routed = any(name in scope for name in ROUTER_KEYS)

    def delegate(self, scope: Scope) -> None:
        """Expect the response from an application with its own guard; this middleware does not authenticate."""
        self._scope = scope
        self.is_delegated = True

    def receives(self, body: Body) -> Scope:
        """Check the body too; return the scope with the headers of the decoded body."""
        self._body = body
        if isinstance(body, DecodedBody):
            self._scope = {**self._scope, "headers": body.headers(self._scope["headers"])}
        return self._scope

    def at_host(self, host: str) -> Scope:
        """Return the scope with the signed host, which the application routes by."""
        self._scope = {**self._scope, "headers": headers_at_host(self._scope["headers"], host)}
        return self._scope

    def is_refused_for(self, error: IamGuardError) -> bool:
        """Return whether `error` reports that the body does not match its signature."""
        return self._body is not None and self._body.refusal is error

    async def send(self, message: Message) -> None:
        if self.is_answered:
            return  # drop the rest of the application's response
        if not self.started or self.refusal is not None or (self._body is not None and self._body.refusal is not None):
            try:
                self._check_message(message)
            except IamGuardError as refusal:
                self.refusal = refusal
                raise
        instead = self._instead
        if instead is None:
            await self._send(message)
            return
        self.is_answered = True  # set before the first await: the application may send more meanwhile
        await self._send({name: message[name] for name in ("type", "status", "headers")})
        await self._send({"type": message["type"].replace(".start", ".body"), "body": instead.body})

    def _check_message(self, message: Message) -> None:
        if self.refusal is not None:
            raise self.refusal  # the framework's response to the refusal is not sent
        if self._body is not None and self._body.refusal is not None:
            raise self._body.refusal  # no response to an unverified body, even if the application caught the error
        kind = message["type"]
        if kind == "websocket.close":
            self._check_close(message)
        elif kind != _TEST_CLIENT_DEBUG:
            self._check(message)
            self.started = kind != _EARLY_HINT
            if kind in ("http.response.start", "websocket.http.response.start") and not self.is_delegated:
                request_id = (b"x-amzn-requestid", self._facts.request_id.encode("ascii"))
                headers = message.get("headers", ()) if self._instead is None else encoded_headers(self._instead)
                message["headers"] = [*headers, request_id]

    def _check_close(self, message: Message) -> None:
        """Raise the refusal if a framework closes a WebSocket because of it."""
        if self.call is not None and self.call.refusal is not None and message.get("code") in _FAILED:
            raise self.call.refusal

    def _check(self, message: Message) -> None:
        """Raise for a response without a decision (design 5), and for a framework's 500 after a refusal."""
        if self.call is None:
            if self.is_delegated and mark_of(self._scope.get("endpoint"), None) != OWN_GUARD:
                raise UndecidedEndpoint("expected an answer of the application with its own guard, got another's")
            return
        is_told = bool(self.call.decisions) and self.call.refused_by is None
        status, endpoint = (
            message.get("status", 0),
            UNKNOWN_ENDPOINT if is_told else answering_endpoint(self._scope) or UNKNOWN_ENDPOINT,
        )
        if endpoint is UNKNOWN_ENDPOINT and not is_told and status in ROUTER_ANSWERS and not self._was_routed:
            endpoint = None if is_unrouted(self._scope) else UNKNOWN_ENDPOINT
        if not check_answer(self.call, status, endpoint, self._scope.get("method")):
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ())]
            self._instead = neutral_answer(status, headers, self._scope)
