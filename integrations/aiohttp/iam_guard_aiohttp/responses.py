"""The responses to one request: each is checked before it starts, at the latest by the signal `on_response_prepare`."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

from aiohttp import web

from iam_guard import IamGuardError
from iam_guard.adapters import GuardedAsyncRequest, Refusal, parameters_changed
from iam_guard.errors import ConfigurationError, UndecidedEndpoint

_REQUEST_ID: Final = "x-amzn-requestid"


class Exchange:
    """One request and the response that may be sent to it."""

    def __init__(self, guarded: GuardedAsyncRequest) -> None:
        self.guarded = guarded
        self.checked: web.StreamResponse | None = None
        """The response that was checked; no other one may start."""
        self.decided: Mapping[str, Any] = {}
        """The parameters that a row of the map has decided about."""
        self.is_started = False
        self.has_failed = False
        """Whether the handler raised an unknown exception, which aiohttp answers with a 500."""

    def check(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Return the response to send, which is another one if only its status may be sent. Raises the refusal."""
        if parameters_changed(request.match_info, self.decided):
            message = "a middleware changed the parameters of the route after the decision of its row"
            raise ConfigurationError(message, place="match_info")
        instead = self.guarded.leave(response.status, response.headers.items())
        self.checked = response if instead is None else response_of(instead)
        return self.checked

    def start(self, response: web.StreamResponse) -> None:
        """Add the headers of the guard to the response that starts."""
        self.is_started = True
        headers = response.headers
        headers[_REQUEST_ID] = self.guarded.request_id
        answered = ((name.lower(), value) for name, value in headers.items())
        for name, value in self.guarded.added_headers(answered):
            headers.add(name, value)


EXCHANGE: ContextVar[Exchange | None] = ContextVar("iam_guard_aiohttp_exchange", default=None)


async def check_prepared(request: web.Request, response: web.StreamResponse) -> None:
    """Check a response that starts, unless it is the checked one. Raises the refusal before anything is sent.

    The first signal of the application: later ones may add headers to every response.
    """
    exchange = EXCHANGE.get()
    if exchange is None:  # aiohttp answers the header `Expect` before middlewares run
        if response.status < 400:
            raise UndecidedEndpoint("a response was prepared before the guard or outside of the request's task")
        return
    is_own_error = exchange.has_failed and response.status >= 500
    try:
        is_checked = response is exchange.checked or is_own_error
        if not is_checked and exchange.check(request, response) is not response:
            raise UndecidedEndpoint("expected an answer with a decision, got one that was prepared without")
        exchange.start(response)
    except IamGuardError:
        writer: Any = request.writer  # what the response has set up in it does not apply to the refusal
        writer.chunked, writer.length, writer._compress = False, None, None
        response._payload_writer = None  # a handler that catches this error can't write the content
        raise


def response_of(refusal: Refusal) -> web.Response:
    """Return the response of aiohttp for a refusal."""
    return web.Response(status=refusal.status, headers=refusal.headers, body=refusal.body)
