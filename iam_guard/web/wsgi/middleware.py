"""`GuardWsgiMiddleware`: the guard before a WSGI application, whatever framework it is made with.

Strategy, as in `web/asgi/middleware`: (1) the facts of the connection; (2) authenticate, which refuses bad credentials
at once; (3) set the current call and run the application, whose decorators decide; (4) hold its `start_response` back
until it is clear that the answer was decided; (5) turn errors of our family into refusals. The parts of an answer are
made after the application has returned, so the call is current again while each is made.

A framework's own router is not known here: whoever joins it to the guard says with `CurrentCall.matched` what it found
(the adapters do). Of an application that never says, an answer without a decision is let out only where it is a 404, a
405 or a redirect to its own URL, and then a standard answer stands in for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any, TypeAlias

from iam_guard.errors import ConfigurationError, IamGuardError, UndecidedEndpoint
from iam_guard.guard.guard import Guard
from iam_guard.web.call_context import CurrentCall, serving
from iam_guard.web.refusal import Refusal, RefusalFormat, problem
from iam_guard.web.wsgi.bridge import GuardedRequest, WsgiBridge
from iam_guard.web.wsgi.environ import scope_of

Headers: TypeAlias = list[tuple[str, str]]
Write: TypeAlias = Callable[[bytes], object]
StartResponse: TypeAlias = Callable[..., Write]
WsgiApp: TypeAlias = Callable[[dict[str, Any], Any], Iterable[bytes]]

_REQUEST_ID = "x-amzn-requestid"


class GuardWsgiMiddleware:
    """Put a guard before a WSGI application.

    `refusal` gives the form of refusals, RFC 9457 by default. `drops_underscores` says that the server drops headers
    with an underscore in their names, which it must where headers of proxies count (`trusted_proxies`,
    `client_certificates`); raises `ConfigurationError` where they do and nobody has said so.
    """

    def __init__(
        self, app: WsgiApp, *, guard: Guard, refusal: RefusalFormat = problem, drops_underscores: bool = False
    ) -> None:
        self.app = app
        self.guard = guard
        self._entrance = WsgiBridge(guard, refusal=refusal, drops_underscores=drops_underscores)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        passage = self._entrance.passage(scope_of(environ))
        answer = _Answer(passage, start_response)
        try:
            passage.read(environ)
            answer.call = call = passage.enter()
            with serving(call):
                answer.parts = self.app(environ, answer.hold)
                if answer.is_held:
                    answer.begin()
        except IamGuardError as error:
            return answer.refused(error)
        return _Served(answer, call)


class _Answer:
    """What the application answers: held back until it is clear that it may go out, so that it can be refused."""

    def __init__(self, passage: GuardedRequest, start_response: StartResponse) -> None:
        self._passage = passage
        self._start_response = start_response
        self._held: tuple[str, Headers] | None = None
        self._write: Write | None = None
        self.call: CurrentCall | None = None
        self.parts: Iterable[bytes] = ()
        self.instead: Refusal | None = None
        """The standard answer that goes out in the place of the application's."""

    @property
    def is_held(self) -> bool:
        """Whether the application has said how its answer begins; a generator does so with its first part."""
        return self._held is not None

    def hold(self, status: str, headers: Headers, exc_info: Any = None) -> Write:
        """Stand for `start_response`. With `exc_info` it may be called again; the server knows what to do then."""
        if self._write is not None:
            if self._passage.leave(_code(status), headers) is not None:
                raise UndecidedEndpoint("an answer without a decision was begun twice")
            return self._start_response(status, self._with_id(headers), exc_info)
        self._held = (status, headers)
        return self._write_at_once

    def begin(self) -> Write:
        """Let the answer out, once. Raises why it may not."""
        if self._write is None:
            if self._held is None:
                raise ConfigurationError("the application gave an answer before it called `start_response`")
            status, headers = self._held
            self.instead = self._passage.leave(_code(status), headers)
            if self.instead is not None:
                status, headers = _status_of(self.instead), [*self.instead.headers]
            self._write = self._start_response(status, self._with_id(headers))
        return self._write

    def let_out(self) -> Write:
        """Let another part out. Raises why it may not."""
        write = self.begin()
        self._passage.go_on()
        return write

    def refused(self, error: IamGuardError) -> list[bytes]:
        """Answer with a refusal instead; break off what has begun, by raising the error."""
        refusal = self._passage.refuse(error)
        self.close()
        if self._write is not None:
            raise error
        self._write = self._start_response(_status_of(refusal), self._with_id([*refusal.headers]))
        return [refusal.body]

    def close(self) -> None:
        """Tell the application that its answer is over, once; what it does then still has its caller."""
        parts, self.parts = self.parts, ()
        close = getattr(parts, "close", None)
        if close is not None and self.call is not None:
            with serving(self.call):
                close()
        self._passage.end()

    def _write_at_once(self, data: bytes) -> object:
        write = self.let_out()
        return write(data) if self.instead is None else None

    def _with_id(self, headers: Headers) -> Headers:
        kept = [(name, value) for name, value in headers if name.lower() != _REQUEST_ID]
        return [*kept, (_REQUEST_ID, self._passage.request_id)]


class _Served:
    """The parts of an answer, each made while its call is the current one."""

    def __init__(self, answer: _Answer, call: CurrentCall) -> None:
        self._answer = answer
        self._call = call
        self._parts: Iterator[bytes] | None = None
        self._refused: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._refused is None:
            try:
                with serving(self._call):
                    return self._next()
            except IamGuardError as error:
                self._refused = iter(self._answer.refused(error))
        return next(self._refused)

    def _next(self) -> bytes:
        if self._answer.instead is None:
            part = self._next_part()
            if part is not None:
                return part
        if self._answer.instead is None:
            raise StopIteration
        self._refused = iter(())
        return self._answer.instead.body

    def _next_part(self) -> bytes | None:
        """Return a part that may go out; None at the end, and where a standard answer stands in."""
        if self._parts is None:
            self._parts = iter(self._answer.parts)
        part = next(self._parts, None)
        self._answer.let_out()  # an answer without parts begins at its end
        return part if self._answer.instead is None else None

    def close(self) -> None:
        """Tell the application that its answer is over."""
        self._answer.close()


def _status_of(refusal: Refusal) -> str:
    return f"{refusal.status} {HTTPStatus(refusal.status).phrase}"


def _code(status: str) -> int:
    return int(status[:3])
