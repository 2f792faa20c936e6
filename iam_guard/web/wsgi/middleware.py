"""`GuardWsgiMiddleware`: the guard of a WSGI application of any framework.

As in `web/asgi/middleware`: (1) read the facts of the connection; (2) authenticate, which rejects bad credentials at
once; (3) set the current call and run the application, whose decorators decide; (4) delay its `start_response` until
the response is known to be decided; (5) convert `IamGuardError` to a response. The parts of a response are generated
after the application has returned, so the call is set again for each of them.

The router of the framework is unknown here: adapters report the matched endpoint with `CurrentCall.matched`. Without
such a report, a response without a decision is sent only if it is a 404, a 405 or a redirect to the same URL, and then
as a neutral response.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any, TypeAlias
from wsgiref.types import StartResponse, WSGIApplication

from iam_guard.errors import ConfigurationError, IamGuardError, UndecidedEndpoint
from iam_guard.guard.guard import Guard
from iam_guard.web.call_context import CURRENT_CALL, CurrentCall, serving
from iam_guard.web.refusal import Refusal, RefusalFormat, problem
from iam_guard.web.wsgi.bridge import GuardedSyncRequest, WsgiBridge
from iam_guard.web.wsgi.environ import scope_of

Headers: TypeAlias = list[tuple[str, str]]
Write: TypeAlias = Callable[[bytes], object]

_REQUEST_ID = "x-amzn-requestid"


class GuardWsgiMiddleware:
    """Guard a WSGI application.

    `refusal` formats error responses, by default as RFC 9457. `drops_underscores` states that the server drops headers
    with an underscore in their names; it is required if the settings trust headers of proxies (`trusted_proxies`,
    `client_certificates`), and raises `ConfigurationError` otherwise.
    """

    def __init__(
        self, app: WSGIApplication, *, guard: Guard, refusal: RefusalFormat = problem, drops_underscores: bool = False
    ) -> None:
        self.app = app
        self.guard = guard
        self._bridge = WsgiBridge(guard, refusal=refusal, drops_underscores=drops_underscores)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        guarded = self._bridge.begin(scope_of(environ))
        response = _PendingResponse(guarded, start_response)
        try:
            guarded.read(environ)
            response.call = call = guarded.authenticate()
            with serving(call):
                response.parts = self.app(environ, response.start_response)
                if response.has_started:
                    response.start()
        except IamGuardError as error:
            return response.refused(error)
        return _ResponseParts(response, call)


class _PendingResponse:
    """The application's response, delayed until it is known that it may be sent."""

    def __init__(self, guarded: GuardedSyncRequest, start_response: StartResponse) -> None:
        self._guarded = guarded
        self._start_response = start_response
        self._start_arguments: tuple[str, Headers] | None = None
        self._write: Write | None = None
        self.call: CurrentCall | None = None
        self.parts: Iterable[bytes] = ()
        self.replacement: Refusal | None = None
        """The neutral response that is sent instead of the application's."""

    @property
    def has_started(self) -> bool:
        """Whether the application has called `start_response`; a generator does so with its first part."""
        return self._start_arguments is not None

    def start_response(self, status: str, headers: Headers, exc_info: Any = None) -> Write:
        """Serve as `start_response`. With `exc_info` it may be called again, which the server handles."""
        if self._write is not None:
            if self._guarded.leave(_code(status), headers) is not None:
                raise UndecidedEndpoint("an answer without a decision was started twice")
            return self._start_response(status, self._with_id(headers), exc_info)
        self._start_arguments = (status, headers)
        return self._write_at_once

    def start(self) -> Write:
        """Start the response, once. Raises if it must not be sent."""
        if self._write is None:
            if self._start_arguments is None:
                raise ConfigurationError("expected a call of `start_response` before the body, got none")
            status, headers = self._start_arguments
            self.replacement = self._guarded.leave(_code(status), headers)
            if self.replacement is not None:
                status, headers = _status_of(self.replacement), [*self.replacement.headers]
            self._write = self._start_response(status, self._with_id(headers))
        return self._write

    def checked_write(self) -> Write:
        """Return the server's `write` for another part. Raises if it must not be sent."""
        write = self.start()
        self._guarded.check_body()
        return write

    def refused(self, error: IamGuardError) -> list[bytes]:
        """Send an error response instead; raise the error if the response has already started."""
        refusal = self._guarded.refuse(error)
        self.close()
        if self._write is not None:
            raise error
        self._write = self._start_response(_status_of(refusal), self._with_id([*refusal.headers]))
        return [refusal.body]

    def close(self) -> None:
        """Close the application's response, once; the call is still current for its `close`."""
        parts, self.parts = self.parts, ()
        close = getattr(parts, "close", None)
        if close is not None and self.call is not None:
            with serving(self.call):
                close()
        self._guarded.end()

    def _write_at_once(self, data: bytes) -> object:
        write = self.checked_write()
        return write(data) if self.replacement is None else None

    def _with_id(self, headers: Headers) -> Headers:
        kept = [(name, value) for name, value in headers if name.lower() != _REQUEST_ID]
        return [*kept, (_REQUEST_ID, self._guarded.request_id), *self._guarded.added_headers(kept)]


class _ResponseParts:
    """The parts of a response, each generated while its call is current."""

    def __init__(self, response: _PendingResponse, call: CurrentCall) -> None:
        self._response = response
        self._call = call
        self._parts: Iterator[bytes] | None = None
        self._refused: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._refused is None:
            try:
                token = CURRENT_CALL.set(self._call)
                try:
                    return self._next()
                finally:
                    CURRENT_CALL.reset(token)
            except IamGuardError as error:
                self._refused = iter(self._response.refused(error))
        return next(self._refused)

    def _next(self) -> bytes:
        """Return the next part, or the neutral response that replaces them."""
        response = self._response
        if response.replacement is None:
            if self._parts is None:
                self._parts = iter(response.parts)
            part = next(self._parts, None)
            response.checked_write()  # a response without parts starts at its end
        if response.replacement is not None:
            self._refused = iter(())
            return response.replacement.body
        if part is None:
            raise StopIteration
        return part

    def close(self) -> None:
        self._response.close()


def _status_of(refusal: Refusal) -> str:
    return f"{refusal.status} {HTTPStatus(refusal.status).phrase}"


def _code(status: str) -> int:
    return int(status[:3])
