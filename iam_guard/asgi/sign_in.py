"""Signing in the caller of one ASGI request: its credential, its body where that was signed, its principal.

Must not live here: what becomes of a refusal (`middleware`, `wire/app`), verifying (`authn`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import anyio.to_thread

from iam_guard.asgi.body import EMPTY_HASH, ReadBody, Receive, read_body
from iam_guard.asgi.client import Connection
from iam_guard.authn.http import HttpRequest
from iam_guard.authn.verify import AnyCredential, Claim, claim_of, credential_of, extract
from iam_guard.errors import IamGuardError
from iam_guard.guard import Guard
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call

_NO_CLAIM: Final = Claim("unknown", None)


async def sign_in(
    guard: Guard, connection: Connection, scope: Mapping[str, Any], receive: Receive, facts: Call
) -> tuple[Principal, ReadBody | None]:
    """Authenticate a request; the body is read where the credential covers it.

    Raises what `Guard.authenticate` raises, and errors about the request itself; all of them are noted.
    """
    request: HttpRequest | None = None
    try:
        request = connection.request(scope)
        credential = extract(request, max_header=guard.settings.max_header)
        is_covered = scope["type"] == "http" and claim_of(credential).needs_body
        body = await read_body(receive, guard.settings.max_body) if is_covered else None
    except IamGuardError as error:
        claim = _NO_CLAIM if request is None else credential_of(request)
        guard.trail.note_authentication(error, facts, kind=claim.kind, credential_id=claim.id)
        raise
    return await verified(guard, request, credential, body, facts), body


async def verified(
    guard: Guard, request: HttpRequest, credential: AnyCredential, body: ReadBody | None, facts: Call
) -> Principal:
    """Give the principal of a credential that was read; leave the event loop where the store must be asked."""
    authenticate = partial(
        guard.authenticate,
        request,
        payload_hash=_hash_of_nothing if body is None else body.hash,
        call=facts,
        credential=credential,
    )
    if guard.knows_credential(credential, request, facts):
        return authenticate()
    return await anyio.to_thread.run_sync(authenticate)


def _hash_of_nothing() -> str:
    return EMPTY_HASH
