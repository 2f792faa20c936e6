"""The steps of a guarded request in an asynchronous framework with its own request class, for adapters.

`GuardMiddleware` serves every ASGI framework. The adapter of another framework, such as aiohttp, calls the steps
itself: `AsyncBridge.begin`, `GuardedAsyncRequest.authenticate`, then the application inside of `serving(call)`, which
reads the body by `receive` if `replaces_body`, then `GuardedAsyncRequest.leave` before the response is sent.
`GuardedAsyncRequest.refuse_async` answers errors, and `end` ends the call.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio.to_thread
from starlette.types import Receive, Scope

from iam_guard.errors import IamGuardError
from iam_guard.guard.guard import Guard
from iam_guard.web.asgi.authentication import Body, authenticate_request
from iam_guard.web.asgi.streaming_body import DecodedBody, UnsignedBody
from iam_guard.web.call_context import CurrentCall
from iam_guard.web.connection import Connection, headers_at_host
from iam_guard.web.guarded_answer import GuardedAnswer
from iam_guard.web.refusal import BlockingFormat, Refusal, RefusalFormat, problem


class AsyncBridge:
    """Creates guarded requests; created once. `refusal` formats error responses."""

    def __init__(self, guard: Guard, *, refusal: RefusalFormat = problem) -> None:
        self.guard = guard
        self._refusal = refusal
        self._connection = Connection(guard.settings)

    def begin(self, scope: Scope, receive: Receive) -> GuardedAsyncRequest:
        """Return the steps for a request: its ASGI scope, with headers and raw path as received, and its body."""
        return GuardedAsyncRequest(self.guard, self._connection, self._refusal, scope, receive)


class GuardedAsyncRequest(GuardedAnswer):
    """The steps of one request."""

    def __init__(
        self, guard: Guard, connection: Connection, refusal: RefusalFormat, scope: Scope, receive: Receive
    ) -> None:
        super().__init__(guard, connection, refusal, scope)
        self._body: Body | None = None
        self.changes_headers = False
        """Whether the headers for the application differ from those received: another signed host, a decoded body."""
        self.receive = receive
        """Receives the verified body once the caller is authenticated."""

    async def authenticate(self, takes_unsigned: Callable[[], bool]) -> CurrentCall:
        """Authenticate the caller, and return the call for `serving`. Raises what `Guard.authenticate` raises.

        `takes_unsigned` returns whether the route may accept a body that the signature does not cover; its requirement
        decides later. The headers for the application are in the scope of the call.
        """
        principal, self.receive, self._body, browser = await authenticate_request(
            self._guard, self._connection, self._scope, self.receive, self.facts, lambda _: takes_unsigned()
        )
        credential = principal.credential
        if credential is not None and credential.host is not None:
            self._scope["headers"] = headers_at_host(self._scope["headers"], credential.host)
            self.facts = self.facts._replace(host=credential.host)
            self.changes_headers = True
        body = self._body
        if isinstance(body, DecodedBody):
            self._scope["headers"] = body.headers(self._scope["headers"])
            self.changes_headers = True
        is_unsigned = body is not None and body.is_unsigned
        self._call = CurrentCall(self._guard, principal, self.facts, self._scope, has_unsigned_payload=is_unsigned)
        if browser is not None:
            self._call.browser = browser
        return self._call

    @property
    def replaces_body(self) -> bool:
        """Whether the application must read the body by `receive`, as the signature covers it."""
        return self._body is not None and not isinstance(self._body, UnsignedBody)

    async def refuse_async(self, error: IamGuardError) -> Refusal:
        """Return the response of `refuse`; a format that may block is called in a thread."""
        if isinstance(self._refusal, BlockingFormat):
            return await anyio.to_thread.run_sync(self.refuse, error)
        return self.refuse(error)

    def end(self) -> None:
        """End the call after the response; code that the application runs later, as in a task, has no caller."""
        if self._call is not None:
            self._call.is_over = True
        if self._body is not None:
            self._body.release()

    @property
    def _body_refusal(self) -> IamGuardError | None:
        return None if self._body is None else self._body.refusal
