"""`GuardMiddleware`: the guard before an ASGI application, for HTTP and WebSocket.

Strategy. Per request: (1) read the facts of the connection; (2) authenticate, which refuses bad credentials at once;
(3) set the current call and run the application, whose decorators decide; (4) watch the first message of the answer: an
endpoint that made no decision and is not public is answered 500 and reported; (5) turn errors of our family into
refusals. A body that passes through while it is verified can be refused in (3): then no answer of the application
begins, or the one that has begun breaks off. At start-up the routes are inspected, so that an unguarded endpoint is
found before a request finds it.
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
from iam_guard.web.asgi.authentication import Body, sign_in
from iam_guard.web.asgi.body import Receive
from iam_guard.web.asgi.parameters import ParameterReadings, declared_parameters, no_readings
from iam_guard.web.asgi.route_mapping import put_guards
from iam_guard.web.asgi.routes import (
    HIDDEN,
    ROUTED,
    answering,
    endpoint_of,
    found_nothing,
    guards_itself,
    inventory,
    is_taken,
    takes_care_of_itself,
    unguarded,
)
from iam_guard.web.asgi.streaming_body import DecodedBody
from iam_guard.web.call_context import CurrentCall, serving
from iam_guard.web.connection import Connection, headers_at_host, signed_host
from iam_guard.web.endpoints import mark_of, unguarded_message
from iam_guard.web.refusal import Refusal, RefusalFormat, WaitingForm, problem
from iam_guard.web.requirement import OWN_GUARD, takes_unsigned
from iam_guard.web.response_guard import ROUTER_ANSWERS, UNTOLD, check_answer, neutral_answer, record_failure
from iam_guard.web.route_map import RouteMap

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("iam_guard.web")

_POLICY_VIOLATION: Final = 1008
_SHUT_DOWN: Final = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")
_HINT: Final = "http.response.early_hint"
"""Comes before the start of an answer, and is none."""
_TOLD_TO_TESTS: Final = "http.response.debug"
"""The same for what a test client is told of a template; no server takes it, so that nothing leaves."""
_FAILED: Final = (1011, 4500)
"""How frameworks close a WebSocket whose handler raised what they do not know: by the standard, and Litestar."""


class GuardMiddleware:
    """Put a guard before an ASGI application.

    `refusal` gives the form of refusals, RFC 9457 by default. `check_routes=False` lets an application start although
    the inspection of its routes finds endpoints that are neither guarded nor public; they still answer 500. `routes` is
    a map that guards routes whose handlers are not decorated. `readings` is for adapters: it gives what those who
    declare a path parameter read from it.
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
        """Find endpoints that nobody guards; a failed start-up stops the server with the message.

        Raising alone would not: some servers take it for an application without start-up, and serve.
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
        """Sign the trail once the application has shut down, for some servers end the process as soon as they hear."""
        if message["type"] in _SHUT_DOWN and self.guard.audit_usage() is not None:
            await anyio.to_thread.run_sync(self.guard.trail.end_shard)
        await send(message)

    async def _fail(self, message: str, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": message})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        facts = self._connection.facts(scope)
        watched = _Watched(scope, send, facts)
        call: CurrentCall | None = None
        body: Body | None = None
        own = None if self._has_own_guards is False else self._for_own_guard(scope)
        if own is not None:
            watched.pass_on(own)
            await self.app(own, receive, watched.send)
            return
        try:
            takes_unsigned = partial(self._takes_unsigned, scope)
            principal, body = await sign_in(self.guard, self._connection, scope, receive, facts, takes_unsigned)
            if (host := signed_host(principal)) is not None:
                scope, facts = watched.at_host(host), replace(facts, host=host)
            if body is not None:
                receive = body.receive
                scope = watched.receives(body)
            call = CurrentCall(self.guard, principal, facts, scope, read_parameters=self._read_parameters)
            call.has_unsigned_payload = body is not None and body.is_unsigned
            watched.call = call
            if self.route_map is not None:
                self._put_map(scope, self.route_map)
            try:
                with serving(call):
                    await self._run(scope, receive, watched)
            finally:
                call.is_over = True
        except IamGuardError as error:
            if call is not None:  # authentication errors were noted where they were made
                record_failure(call, error, _log, is_body=watched.is_refused_for(error))
            if watched.started:
                raise
            await self._refuse(error, scope, receive, send, facts)
        finally:
            if body is not None:
                body.release()

    async def _run(self, scope: Scope, receive: Receive, watched: _Watched) -> None:
        """Run the application; an answer that was refused is refused, whatever a framework makes of that."""
        try:
            await self.app(scope, receive, watched.send)
        except Exception:
            if watched.refusal is None:
                raise
        if watched.refusal is not None:
            raise watched.refusal

    def _for_own_guard(self, scope: Scope) -> Scope | None:
        """Return the scope of a request for a mounted application that signs in its callers itself (our own API).

        A client that is told the path of the mount sends no slash after it, and a router would redirect it: no client
        of AWS follows that. The path as it was sent, which is signed, stays.
        """
        app = scope.get("app") or self.app
        if self._has_own_guards is None:
            self._has_own_guards = guards_itself(app)
        if not self._has_own_guards or scope["type"] != "http":
            return None
        if takes_care_of_itself(app, scope):
            return scope
        slashed = {**scope, "path": scope["path"] + "/"}
        return slashed if not is_taken(app, scope) and takes_care_of_itself(app, slashed) else None

    def _put_map(self, scope: Scope, routes: RouteMap) -> None:
        """Put the map before the routes, once; servers that know no start-up come here first."""
        app = scope.get("app") or self.app
        if self._mapped is not app:
            routes.joined(inventory(app))
            put_guards(app, routes)
            self._mapped = app

    def _takes_unsigned(self, scope: Scope) -> bool:
        if self.route_map is not None and self.route_map.takes_unsigned:
            return True  # as with `HIDDEN` below
        hosts = self.guard.settings.public_hosts  # one of them may be the one that was signed, and routes the request
        scopes = ({**scope, "headers": headers_at_host(scope["headers"], host)} for host in hosts)
        return self._takes_unsigned_at(scope) or any(map(self._takes_unsigned_at, scopes))

    def _takes_unsigned_at(self, scope: Scope) -> bool:
        endpoint = endpoint_of(scope.get("app") or self.app, scope)
        if endpoint is HIDDEN:
            return True  # until the requirement that runs says so, such a call has no caller (`CurrentCall.caller`)
        return takes_unsigned(mark_of(endpoint, scope.get("method")))

    async def _refuse(self, error: IamGuardError, scope: Scope, receive: Receive, send: Send, facts: Call) -> None:
        if isinstance(self._refusal, WaitingForm):
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
    """Return headers as ASGI has them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in refusal.headers]


class _Watched:
    """The way out of the application: lets an answer start only if it was decided, or its endpoint is public."""

    __slots__ = (
        "_body",
        "_facts",
        "_instead",
        "_scope",
        "_send",
        "_was_routed",
        "call",
        "is_answered",
        "is_passed_on",
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
        self.is_passed_on = False
        self.started = False
        self.is_answered = False
        """Whether a standard answer was given in the place of the application's."""
        self._instead: Refusal | None = None
        self._was_routed = any(name in scope for name in ROUTED)

    def pass_on(self, scope: Scope) -> None:
        """Watch a request that is not signed in here; only an application with a guard of its own may answer it."""
        self._scope = scope
        self.is_passed_on = True

    def receives(self, body: Body) -> Scope:
        """Watch over the body too; give the scope with the headers that the application's body has."""
        self._body = body
        if isinstance(body, DecodedBody):
            self._scope = {**self._scope, "headers": body.headers(self._scope["headers"])}
        return self._scope

    def at_host(self, host: str) -> Scope:
        """Return the scope with the host that was signed, which the application routes by."""
        self._scope = {**self._scope, "headers": headers_at_host(self._scope["headers"], host)}
        return self._scope

    def is_refused_for(self, error: IamGuardError) -> bool:
        """Return whether the body was not what was signed, and this says so."""
        return self._body is not None and self._body.refusal is error

    async def send(self, message: Message) -> None:
        if self.is_answered:
            return  # what the application goes on with is nobody's to see
        if not self.started or self.refusal is not None or (self._body is not None and self._body.refusal is not None):
            try:
                self._let_out(message)
            except IamGuardError as refusal:
                self.refusal = refusal
                raise
        instead = self._instead
        if instead is None:
            await self._send(message)
            return
        self.is_answered = True  # before anything is awaited: the application may go on meanwhile
        await self._send({name: message[name] for name in ("type", "status", "headers")})
        await self._send({"type": message["type"].replace(".start", ".body"), "body": instead.body})

    def _let_out(self, message: Message) -> None:
        if self.refusal is not None:
            raise self.refusal  # an answer to our refusal is none
        if self._body is not None and self._body.refusal is not None:
            raise self._body.refusal  # whatever the application makes of it, it gives no answer
        kind = message["type"]
        if kind == "websocket.close":
            self._check_close(message)
        elif kind != _TOLD_TO_TESTS:
            self._check(message)
            self.started = kind != _HINT
            if kind in ("http.response.start", "websocket.http.response.start") and not self.is_passed_on:
                request_id = (b"x-amzn-requestid", self._facts.request_id.encode("ascii"))
                headers = message.get("headers", ()) if self._instead is None else encoded_headers(self._instead)
                message["headers"] = [*headers, request_id]

    def _check_close(self, message: Message) -> None:
        """Refuse in our own words where a framework closes a WebSocket because of a refusal that it does not know."""
        if self.call is not None and self.call.refusal is not None and message.get("code") in _FAILED:
            raise self.call.refusal

    def _check(self, message: Message) -> None:
        """Refuse an answer that nobody decided (design 5), and the 500 that a framework makes of a refusal."""
        if self.call is None:
            if self.is_passed_on and mark_of(self._scope.get("endpoint"), None) != OWN_GUARD:
                raise UndecidedEndpoint("a request for an application with a guard of its own was answered by another")
            return
        is_told = bool(self.call.decisions) and self.call.refused_by is None
        status, endpoint = message.get("status", 0), UNTOLD if is_told else answering(self._scope) or UNTOLD
        if endpoint is UNTOLD and not is_told and status in ROUTER_ANSWERS and not self._was_routed:
            endpoint = None if found_nothing(self._scope) else UNTOLD
        if not check_answer(self.call, status, endpoint, self._scope.get("method")):
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ())]
            self._instead = neutral_answer(status, headers, self._scope)
