"""Authenticate one ASGI request: read the credential, the signed body, and the principal.

The order limits what an unknown caller costs: first the headers are read, then `MAX_UNVERIFIED` bytes of the body. The
rest is read once the key is known to exist and, if the request states the hash of its body, the signature is correct.

A request of a known caller (`known_credentials`) is accepted before all of this, if its body is empty or not covered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias, TypeVar

import anyio.to_thread
from starlette.types import Receive, Scope

from iam_guard.authn.credential import claimed_credential
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import AnyCredential, NoCredential, SigV4Credential
from iam_guard.authn.signatures.known_signers import SIGNED
from iam_guard.errors import CacheMiss, ServerBusy
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.web.asgi.body import EMPTY_BODIES, BufferedBody, PeekedBody
from iam_guard.web.asgi.streaming_body import DecodedBody, HashedBody, UnsignedBody
from iam_guard.web.body_budget import MAX_UNVERIFIED, Reservation, check_content_length
from iam_guard.web.body_verification import EMPTY_HASH, TakesUnsigned, empty_hash, payload_of, too_large
from iam_guard.web.browser.browser_caller import BrowserCaller, browser_caller_async, session_cookie
from iam_guard.web.connection import Connection
from iam_guard.web.key_lookups import look_up_async
from iam_guard.web.request_credentials import reading_credential

Body: TypeAlias = BufferedBody | HashedBody | DecodedBody | UnsignedBody
T = TypeVar("T")

_EMPTY_HASH = EMPTY_HASH.encode("ascii")


async def authenticate_request(
    guard: Guard,
    connection: Connection,
    scope: Scope,
    receive: Receive,
    facts: Call,
    takes_unsigned: Callable[[Scope], bool],
) -> tuple[Principal, Receive, Body | None, BrowserCaller | None]:
    """Authenticate a request; read or wrap the body if the credential covers it.

    Returns the caller, the `receive` for the application, the body if it was read or wrapped, and what the session
    cookie establishes if there is no other credential. `takes_unsigned` is called if the signature does not cover the
    body. Raises what `Guard.authenticate` raises, and errors about the
    request itself; all of them are recorded.
    """
    known, sent, path = guard.known_credentials, scope["headers"], scope.get("raw_path")
    headers: dict[bytes, bytes] = dict(sent)
    if known is not None and len(headers) == len(sent) and type(path) is bytes and facts.kind == "http":
        query = scope.get("query_string", b"")
        if not headers.get(b"authorization", b"").startswith(SIGNED):
            principal = known.api_keys.principal(path, query, headers, guard.clock())
            if principal is not None:
                guard.count_authenticated(principal)
                return principal, receive, None, None
        elif headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers:
            message = await receive()  # before the signature is verified, since it may be late
            receive = PeekedBody(message, receive).receive
            if message in EMPTY_BODIES:
                principal = known.signers.principal(scope["method"], path, query, headers, _EMPTY_HASH, guard.clock())
                if principal is not None:
                    guard.count_authenticated(principal)
                    return principal, receive, None, None
    body: Body | None = None
    with reading_credential(guard, connection, scope, facts) as (request, credential):
        if isinstance(credential, SigV4Credential) and scope["type"] == "http":
            body = await _read_body(guard, request, credential, receive, partial(takes_unsigned, scope))
    if isinstance(credential, NoCredential) and b"cookie" in request.by_name:
        cookie = session_cookie(request, facts)
        if cookie is not None:
            browser = await browser_caller_async(guard, request, cookie, facts)
            return browser.principal, receive, None, browser
    try:
        principal = await verified(guard, request, credential, body, facts)
    except BaseException:
        if body is not None:
            body.release()
        raise
    return principal, receive if body is None else body.receive, body, None


async def _read_body(
    guard: Guard, request: HttpRequest, credential: SigV4Credential, receive: Receive, takes_unsigned: TakesUnsigned
) -> Body:
    """Read the body, or wrap it if it is verified while the application reads it."""
    settings = guard.settings
    stated, unsigned, chunks = payload_of(request, credential, settings, takes_unsigned)
    if chunks is not None:
        return DecodedBody(chunks, receive, is_unsigned=unsigned, reservation=Reservation(settings.max_bodies))
    if unsigned:
        return UnsignedBody(receive)
    check_content_length(request, settings.max_body if stated is None else settings.max_stream)
    body = BufferedBody(receive, request, settings)
    try:
        await read_signed_body(guard, request, credential, body, stated)
    except BaseException:
        body.release()
        raise
    if body.size <= settings.max_body or (body.is_whole and stated is not None):
        return body
    if stated is None:
        raise too_large(settings.max_body)
    return HashedBody(body, receive, stated=stated, max_size=settings.max_stream)


async def read_signed_body(
    guard: Guard, request: HttpRequest, credential: SigV4Credential, body: BufferedBody, stated: str | None
) -> None:
    """Read a signed body up to the limit; more than `MAX_UNVERIFIED` bytes only for a key that exists.

    Raises what `Guard.precheck` and `BufferedBody.read` raise.
    """
    limit = guard.settings.max_body
    await body.read(min(MAX_UNVERIFIED, limit))
    if not body.is_whole:
        await _run_lookup(guard, credential, partial(guard.precheck, request, credential, stated))
        await body.read(limit)


async def verified(
    guard: Guard,
    request: HttpRequest,
    credential: AnyCredential,
    body: Body | None,
    facts: Call,
    *,
    any_scope: bool = False,
) -> Principal:
    """Return the principal of a credential; use a worker thread if the store must be queried."""
    authenticate = partial(
        guard.authenticate,
        request,
        payload_hash=empty_hash if body is None else body.hash,
        call=facts,
        credential=credential,
        unsigned_payload=body is not None and body.is_unsigned,
        chunks=None if body is None else body.chunks,
        any_scope=any_scope,
    )
    try:
        return await _run_lookup(guard, credential, authenticate)
    except ServerBusy as error:
        guard.trail.record_authentication(error, facts, *claimed_credential(request))
        raise


async def _run_lookup(guard: Guard, credential: AnyCredential, work: Callable[..., T]) -> T:
    """Call `work` from the cache, or on a miss in a thread; lookups of unknown keys are limited."""
    try:
        return work(cache_only=True)
    except CacheMiss:
        if guard.has_seen(credential):
            return await anyio.to_thread.run_sync(work)
    return await look_up_async(work)
