"""Read the credential of a request, for ASGI and WSGI alike, and record requests that are rejected at this stage.

Looking up the key and verifying the signature may wait, which ASGI and WSGI do each in its own way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from iam_guard.authn.credential import claimed_credential, extract
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import AnyCredential, Claim, SigV4Credential
from iam_guard.authn.signatures.canonical import refuse_dot_segments
from iam_guard.errors import IamGuardError
from iam_guard.guard.guard import Guard
from iam_guard.model.request import Call
from iam_guard.web.connection import Connection


@contextmanager
def reading_credential(
    guard: Guard, connection: Connection, scope: Mapping[str, Any], facts: Call
) -> Iterator[tuple[HttpRequest, AnyCredential]]:
    """Enter the request and its credential; record errors that are raised here, and inside while the body is read.

    Raises what `Connection.request`, `extract` and `refuse_dot_segments` raise.
    """
    request: HttpRequest | None = None
    try:
        request = connection.request(scope)
        credential = extract(request, max_header=guard.settings.max_header)
        if isinstance(credential, SigV4Credential):
            refuse_dot_segments(request, credential)
        yield request, credential
    except IamGuardError as error:
        claim = Claim("unknown", None) if request is None else claimed_credential(request)
        guard.trail.record_authentication(error, facts, *claim)
        raise
