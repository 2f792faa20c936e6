"""Signing in the caller of one ASGI request: its credential, its body where that was signed, its principal.

Must not live here: what becomes of a refusal (`middleware`, `wire/app`), verifying (`authn`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, TypeAlias

import anyio.to_thread

from iam_guard.asgi.body import ReadBody, Receive, begin_body
from iam_guard.asgi.streamed import DecodedBody, HashedBody, UnsignedBody
from iam_guard.authn.http import HttpRequest
from iam_guard.authn.verify import AnyCredential, Claim, SigV4Credential, credential_of, extract, refuse_dot_segments
from iam_guard.enforcement.connection import Connection
from iam_guard.enforcement.payload import EMPTY_HASH, TakesUnsigned, payload_of, too_large
from iam_guard.errors import IamGuardError, NotAtHand
from iam_guard.guard import Guard
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.settings import Settings

Body: TypeAlias = ReadBody | HashedBody | DecodedBody | UnsignedBody

_NO_CLAIM: Final = Claim("unknown", None)


async def sign_in(
    guard: Guard,
    connection: Connection,
    scope: Mapping[str, Any],
    receive: Receive,
    facts: Call,
    takes_unsigned: TakesUnsigned,
) -> tuple[Principal, Body | None]:
    """Authenticate a request; the body is read, or read through, where the credential covers it.

    `takes_unsigned` is asked where the signature leaves the body out. Raises what `Guard.authenticate` raises, and
    errors about the request itself; all of them are noted.
    """
    request: HttpRequest | None = None
    body: Body | None = None
    try:
        request = connection.request(scope)
        credential = extract(request, max_header=guard.settings.max_header)
        if isinstance(credential, SigV4Credential):
            refuse_dot_segments(request, credential)
            if scope["type"] == "http":
                body = await _body(request, credential, receive, guard.settings, takes_unsigned)
    except IamGuardError as error:
        claim = _NO_CLAIM if request is None else credential_of(request)
        guard.trail.note_authentication(error, facts, kind=claim.kind, credential_id=claim.id)
        raise
    return await verified(guard, request, credential, body, facts), body


async def _body(
    request: HttpRequest,
    credential: SigV4Credential,
    receive: Receive,
    settings: Settings,
    takes_unsigned: TakesUnsigned,
) -> Body:
    """Read the body, or as much of it as tells how it is to be verified."""
    stated, unsigned, chunks = payload_of(request, credential, settings, takes_unsigned)
    if chunks is not None:
        return DecodedBody(chunks, receive, is_unsigned=unsigned)
    if unsigned:
        return UnsignedBody(receive)
    begun = await begin_body(receive, settings.max_body)
    if begun.size <= settings.max_body:
        return begun.whole(receive)
    if stated is None:
        raise too_large(settings.max_body)
    if begun.is_whole:
        return begun.whole(receive)
    return HashedBody(begun.parts, receive, stated=stated, longest=settings.max_stream)


async def verified(
    guard: Guard,
    request: HttpRequest,
    credential: AnyCredential,
    body: Body | None,
    facts: Call,
    *,
    any_scope: bool = False,
) -> Principal:
    """Give the principal of a credential that was read; leave the event loop where the store must be asked."""
    authenticate = partial(
        guard.authenticate,
        request,
        payload_hash=_hash_of_nothing if body is None else body.hash,
        call=facts,
        credential=credential,
        unsigned_payload=body is not None and body.is_unsigned,
        chunks=None if body is None else body.chunks,
        any_scope=any_scope,
    )
    try:
        return authenticate(at_hand=True)
    except NotAtHand:
        return await anyio.to_thread.run_sync(authenticate)


def _hash_of_nothing() -> str:
    return EMPTY_HASH
