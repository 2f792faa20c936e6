"""The steps of a guarded request that wait, in an asynchronous framework: for `GuardMiddleware`, and for adapters.

`GuardMiddleware` serves every ASGI framework. The adapter of another framework, such as aiohttp, calls the steps
itself: `AsyncBridge.begin`, `GuardedAsyncRequest.authenticate`, then the application inside of `serving(call)`, which
reads the body by `receive` if `replaces_body`, then `leave` before the response is sent. `refuse_async` answers errors,
and `end` ends the call.

The order limits what an unknown caller costs: first the headers are read, then `MAX_UNVERIFIED` bytes of the body. The
rest is read once the key is known to exist and, if the request states the hash of its body, the signature is correct.
A request of a known caller (`known_credentials`) is accepted before all of this, if its body is empty or not covered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio.to_thread
from starlette.types import Receive, Scope

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import SigV4Credential
from iam_guard.authn.signatures.known_signers import SIGNED
from iam_guard.errors import IamGuardError
from iam_guard.guard.guard import Guard
from iam_guard.web.asgi.body import EMPTY_BODIES, BufferedBody, PeekedBody
from iam_guard.web.asgi.streaming_body import DecodedBody, HashedBody, UnsignedBody
from iam_guard.web.body_budget import MAX_UNVERIFIED, Reservation, check_content_length
from iam_guard.web.body_verification import EMPTY_HASH, payload_of, too_large
from iam_guard.web.call_context import CurrentCall
from iam_guard.web.guarded_request import Bridge, GuardedRequest
from iam_guard.web.key_lookups import look_up_async
from iam_guard.web.refusal import BlockingFormat, Refusal
from iam_guard.web.request_credentials import caller_lookup, reading_credential

_EMPTY_HASH = EMPTY_HASH.encode("ascii")


class AsyncBridge(Bridge):
    """Creates guarded requests."""

    def begin(self, scope: Scope) -> GuardedAsyncRequest:
        """Return the steps for a request: `scope` is its ASGI scope, with headers and raw path as received."""
        return GuardedAsyncRequest(self, scope)


class GuardedAsyncRequest(GuardedRequest):
    """The steps of one request."""

    receive: Receive
    """Receives the verified body once the caller is authenticated."""

    async def authenticate(self, receive: Receive, takes_unsigned: Callable[[Scope], bool]) -> CurrentCall:
        """Authenticate the caller, and return the call for `serving`; the body is read by `receive`.

        `takes_unsigned` returns whether the route may accept a body that the signature does not cover; its requirement
        decides later. Raises what `Guard.authenticate` raises, and errors about the request itself; all are recorded.
        """
        self.receive = receive
        guard, scope = self.bridge.guard, self.scope
        known, sent, path = guard.known_credentials, scope["headers"], scope.get("raw_path")
        headers: dict[bytes, bytes] = dict(sent)
        if known is not None and len(headers) == len(sent) and type(path) is bytes and scope["type"] == "http":
            principal, query = None, scope.get("query_string", b"")
            if not headers.get(b"authorization", b"").startswith(SIGNED):
                principal = known.api_keys.principal(path, query, headers, guard.clock())
            elif headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers:
                message = await receive()  # before the signature is verified, since it may be late
                self.receive = PeekedBody(message, receive).receive
                if message in EMPTY_BODIES:
                    principal = known.signers.principal(
                        scope["method"], path, query, headers, _EMPTY_HASH, guard.clock()
                    )
            if principal is not None:
                guard.count_authenticated(principal)
                return self.admit_principal(principal)
        body = None
        with reading_credential(guard, self.bridge.connection, scope, self.facts) as (request, credential):
            if isinstance(credential, SigV4Credential) and scope["type"] == "http":
                body = await self._read_body(request, credential, takes_unsigned)
                self.body, self.receive = body, body.receive
        return self.admit(await caller_lookup(guard, request, credential, self.facts, body).run_async())

    async def _read_body(
        self, request: HttpRequest, credential: SigV4Credential, takes_unsigned: Callable[[Scope], bool]
    ) -> BufferedBody | HashedBody | DecodedBody | UnsignedBody:
        """Read the body, or wrap it if it is verified while the application reads it."""
        settings = self.bridge.guard.settings
        stated, unsigned, chunks = payload_of(request, credential, settings, partial(takes_unsigned, self.scope))
        if chunks is not None:
            return DecodedBody(chunks, self.receive, is_unsigned=unsigned, reservation=Reservation(settings.max_bodies))
        if unsigned:
            return UnsignedBody(self.receive)
        check_content_length(request, settings.max_body if stated is None else settings.max_stream)
        self.body = body = BufferedBody(self.receive, request, settings)  # `end` releases it
        await read_signed_body(self.bridge.guard, request, credential, body, stated)
        if body.size <= settings.max_body or (body.is_whole and stated is not None):
            return body
        if stated is None:
            raise too_large(settings.max_body)
        return HashedBody(body, self.receive, stated=stated, max_size=settings.max_stream)

    @property
    def replaces_body(self) -> bool:
        """Whether the application must read the body by `receive`, as the signature covers it."""
        return self.body is not None and not isinstance(self.body, UnsignedBody)

    async def refuse_async(self, error: IamGuardError) -> Refusal:
        """Return the response of `refuse`; a format that may block is called in a thread."""
        if isinstance(self.bridge.refusal, BlockingFormat):
            return await anyio.to_thread.run_sync(self.refuse, error)
        return self.refuse(error)


async def read_signed_body(
    guard: Guard, request: HttpRequest, credential: SigV4Credential, body: BufferedBody, stated: str | None
) -> None:
    """Read a signed body up to the limit; more than `MAX_UNVERIFIED` bytes only for a key that exists.

    Raises what `Authenticators.precheck` and `BufferedBody.read` raise.
    """
    limit = guard.settings.max_body
    await body.read(min(MAX_UNVERIFIED, limit))
    if not body.is_whole:
        precheck = partial(guard.authenticators.precheck, request, credential, stated)
        await look_up_async(precheck, partial(guard.authenticators.has_seen, credential))
        await body.read(limit)
