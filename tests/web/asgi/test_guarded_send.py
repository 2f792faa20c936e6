"""The check of each message of a response, and the fast path of allowed responses."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, MutableMapping
from itertools import permutations, product
from typing import Any, cast

import anyio

from iam_guard import Guard, Principal
from iam_guard.errors import IamGuardError, InvalidInput, SignatureDoesNotMatch
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.request import AccessRequest, Call
from iam_guard.web.asgi.body import BufferedBody
from iam_guard.web.asgi.guarded_send import GuardedSend
from iam_guard.web.call_context import CurrentCall
from tests.tables import table

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
REQUEST = AccessRequest(ADA, "docs:GetDocument", "arn:aws:docs:us-east-1:111122223333:document/7")
REQUIREMENT = object()

MESSAGES: dict[str, dict[str, Any]] = {
    "start 200": {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]},
    **{f"start {status}": {"type": "http.response.start", "status": status} for status in (404, 500)},
    "body": {"type": "http.response.body", "body": b"part", "more_body": True},
    "hint": {"type": "http.response.early_hint", "links": []},
    "debug": {"type": "http.response.debug", "info": {}},
    "accept": {"type": "websocket.accept"},
    "close": {"type": "websocket.close", "code": 1011},
}
EVENTS = ("attempt", "allow", "deny", "refuse", "wrong body", "public")


class Body(BufferedBody):
    """A body that may turn out not to be the signed one."""

    def __init__(self) -> None: ...


class Response:
    """A response whose messages are sent by a method of `GuardedSend`."""

    def __init__(self, endpoint: object) -> None:
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": "/7",
            "headers": [],
            "endpoint": endpoint,
        }
        self.call = CurrentCall(cast(Guard, None), ADA, Call("request-1"), self.scope)
        self.body = Body()
        self.log: list[Any] = []
        self.guarded = GuardedSend(self.call, self.scope, self._send, self.body)

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.log.append(dict(message))

    def happen(self, event: str) -> None:
        """Do what the application or the body may do between two messages."""
        match event:
            case "attempt":
                self.call.refused_by = REQUIREMENT
            case "allow":
                self.call.record_decision(Decision(Outcome.ALLOWED, REQUEST, ()))
            case "deny":
                self.call.record_decision(Decision(Outcome.IMPLICITLY_DENIED, REQUEST, ()))
            case "refuse":
                self.call.refusal = InvalidInput("bad input")
            case "public":
                self.call.is_public = True
            case "wrong body":
                self.body.refusal = SignatureDoesNotMatch("another body")

    async def play(self, steps: list[str], is_fast: bool) -> list[Any]:
        for step in steps:
            if step in EVENTS:
                self.happen(step)
                continue
            message = {**MESSAGES[step]}
            try:
                await (self.guarded.send(message) if is_fast else self.guarded._send_checked(message))
            except IamGuardError as error:
                self.log.append((type(error), str(error)))
            except KeyError as error:  # a neutral answer to a message without headers
                self.log.append(error.args)
        return [self.log, self.guarded.started, type(self.guarded.refusal)]


def endpoint() -> None: ...


@table("matched", [None, endpoint])
def test_fast_path_sends_what_the_check_sends(matched: object) -> None:
    """Whatever happened before, and happens between two messages."""
    before = [steps for count in range(3) for steps in permutations(EVENTS, count)]
    for steps in product(before, MESSAGES, [None, *EVENTS], MESSAGES):
        played = [*steps[0], *(step for step in steps[1:] if step is not None)]
        fast, checked = (finished(Response(matched).play(played, is_fast)) for is_fast in (True, False))
        assert fast == checked, played


def finished(playing: Coroutine[Any, Any, list[Any]]) -> list[Any]:
    """Return the result of a coroutine that never waits."""
    try:
        playing.send(None)
    except StopIteration as end:
        return cast("list[Any]", end.value)
    raise AssertionError("it waits")


def test_allowed_response_is_awaited_at_the_server() -> None:
    """A server's own awaitable is returned, without a coroutine around it."""
    sent: list[Awaitable[None]] = []

    async def nothing() -> None: ...

    def send(message: MutableMapping[str, Any]) -> Awaitable[None]:
        sent.append(nothing())
        return sent[-1]

    async def respond() -> None:
        call = CurrentCall(cast(Guard, None), ADA, Call("request-1"))
        call.record_decision(Decision(Outcome.ALLOWED, REQUEST, ()))
        guarded = GuardedSend(call, {"type": "http"}, send, None)
        for name in ("start 200", "body", "body"):
            awaitable = guarded.send({**MESSAGES[name]})
            assert awaitable is sent[-1]
            await awaitable

    anyio.run(respond)
    assert len(sent) == 3
