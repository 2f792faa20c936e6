"""The `send` of a guarded ASGI request: a response starts only after a decision, or from a public endpoint.

The start of the response is checked (`response_guard`). A refusal has the last word: once it was raised, no response of
the framework is sent, not even one to that refusal. The same holds for a body that does not match its signature.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from starlette.types import Message, Scope, Send

from iam_guard.errors import IamGuardError, UndecidedEndpoint
from iam_guard.web.asgi.route_matching import ROUTER_KEYS, answering_endpoint, is_unrouted
from iam_guard.web.body_verification import SignedBody
from iam_guard.web.call_context import CurrentCall
from iam_guard.web.endpoints import mark_of
from iam_guard.web.refusal import Refusal
from iam_guard.web.requirement import OWN_GUARD
from iam_guard.web.response_guard import ROUTER_ANSWERS, UNKNOWN_ENDPOINT, check_answer, neutral_answer

_START: Final = "http.response.start"
_STARTS: Final = (_START, "websocket.http.response.start")
_REQUEST_ID: Final = b"x-amzn-requestid"
_EARLY_HINT: Final = "http.response.early_hint"
"""A message before the start of the response."""
_TEST_CLIENT_DEBUG: Final = "http.response.debug"
"""A message with the template and its context for test clients; servers reject it."""
_FAILED: Final = (1011, 4500)
"""Close codes of a WebSocket whose handler raised an unknown exception: of the standard, and of Litestar."""


def encoded_headers(refusal: Refusal) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in refusal.headers]


async def send_delegated(scope: Scope, send: Send, message: Message) -> None:
    """Send a message of the application with its own guard. Raises `UndecidedEndpoint` for another's."""
    if message["type"] != _TEST_CLIENT_DEBUG and mark_of(scope.get("endpoint"), None) != OWN_GUARD:
        raise UndecidedEndpoint("expected an answer of the application with its own guard, got another's")
    await send(message)


def with_browser_headers(call: CurrentCall, send: Send) -> Send:
    """Return a `send` that adds the headers for a browser to the response."""

    async def sending(message: Message) -> None:
        if message["type"] in _STARTS:
            headers = [*message.get("headers", ())]
            answered = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
            added = [
                (name.encode("latin-1"), value.encode("latin-1")) for name, value in call.browser_headers(answered)
            ]
            message = {**message, "headers": headers + added}
        await send(message)

    return sending


class GuardedSend:
    """Checks the response of one call, and replaces it if only its status may be sent."""

    refusal: IamGuardError | None = None
    _is_started = False
    _is_open = False
    """Whether the response of the application has started, so that its rest is sent as it is."""
    _is_checked = False
    """Whether a message was one that had to be checked, as an early hint."""
    _is_answered = False
    """Whether a neutral response was sent instead of the application's."""
    _instead: Refusal | None = None

    def __init__(self, call: CurrentCall, scope: Scope, send: Send, body: SignedBody | None) -> None:
        self._call = call
        self._scope = scope  # a route map may set another one in the call
        self._send = send
        self._body = body
        self._was_unrouted = scope.keys().isdisjoint(ROUTER_KEYS)

    @property
    def started(self) -> bool:
        """Whether the response has started, so that no other one can be sent."""
        return self._is_started or self._is_open

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the application. Raises the refusal if the response must not be sent.

        A response to an allowed call passes without a coroutine of ours: this returns what the server's `send` returns.
        """
        body = self._body
        if body is None or body.refusal is None:
            if self._is_open:
                return self._send(message)
            call = self._call
            if (
                call.refused_by is None
                and call.refusal is None
                and call.decisions
                and message["type"] == _START
                and not self._is_checked
            ):
                self._is_open = True
                request_id = (_REQUEST_ID, call.facts.request_id.encode("ascii"))
                message["headers"] = [*message.get("headers", ()), request_id]
                return self._send(message)
        return self._send_checked(message)

    async def _send_checked(self, message: Message) -> None:
        self._is_checked = True
        if self._is_answered:
            return  # drop the rest of the application's response
        if not self.started or self.refusal is not None or (self._body is not None and self._body.refusal is not None):
            try:
                self._check(message)
            except IamGuardError as refusal:
                self.refusal = refusal
                self._is_started, self._is_open = self.started, False
                raise
        instead = self._instead
        if instead is None:
            self._is_open = self.started
            await self._send(message)
            return
        self._is_answered = True  # set before the first await: the application may send more meanwhile
        await self._send({name: message[name] for name in ("type", "status", "headers")})
        await self._send({"type": message["type"].replace(".start", ".body"), "body": instead.body})

    def _check(self, message: Message) -> None:
        """Raise for a response without a decision, and for what a framework makes of a refusal."""
        call, kind = self._call, message["type"]
        if self.refusal is not None:
            raise self.refusal  # the framework's response to the refusal is not sent
        if self._body is not None and self._body.refusal is not None:
            raise self._body.refusal  # no response to an unverified body, even if the application caught the error
        if kind == "websocket.close":
            if call.refusal is not None and message.get("code") in _FAILED:
                raise call.refusal
            return
        if kind == _TEST_CLIENT_DEBUG:
            return
        status, endpoint = message.get("status", 0), UNKNOWN_ENDPOINT
        if not call.decisions or call.refused_by is not None:
            endpoint = answering_endpoint(self._scope) or UNKNOWN_ENDPOINT
            if endpoint is UNKNOWN_ENDPOINT and status in ROUTER_ANSWERS and self._was_unrouted:
                endpoint = None if is_unrouted(self._scope) else UNKNOWN_ENDPOINT
        if not check_answer(call, status, endpoint, self._scope.get("method")):
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ())]
            self._instead = neutral_answer(status, headers, self._scope)
        self._is_started = kind != _EARLY_HINT
        if kind in _STARTS:
            headers = message.get("headers", ()) if self._instead is None else encoded_headers(self._instead)
            message["headers"] = [*headers, (_REQUEST_ID, call.facts.request_id.encode("ascii"))]
