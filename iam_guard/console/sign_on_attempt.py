"""The cookie of a browser that has left for its identity provider: what it must come back with, and where it goes on.

It is sealed, so no client can read or write one, and ends after ten minutes. It authenticates no person.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, field
from typing import Final

from starlette.requests import Request

from iam_guard.authn.people.pending_sign_ins import SignOnKind
from iam_guard.console.visit import cookie_header, own_cookie_name
from iam_guard.model.request import Call
from iam_guard.store.sealing import Sealer

SECONDS: Final = 600
"""How long an attempt is valid."""
MAX_COOKIE: Final = 4096
_CONTEXT: Final = b"sign-on-attempt:1"


@dataclass(frozen=True, slots=True)
class SignOnAttempt:
    """A sign-in that began in this browser. `started` is in seconds since 1970.

    `state` is OIDC's, or the id of the SAML request; `nonce` and `verifier` are empty for SAML. `next` is a path of
    this site, which was checked before; empty for none.
    """

    kind: SignOnKind
    provider_id: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    next: str
    started: int


def start_cookie(sealer: Sealer, attempt: SignOnAttempt, call: Call) -> str:
    """Return the value of the `Set-Cookie` header that begins an attempt, and replaces the one before."""
    return cookie_header(call, _name(call), sealer.seal_text(json.dumps(astuple(attempt)).encode(), _CONTEXT), SECONDS)


def read_attempt(sealer: Sealer, request: Request, call: Call, now: int) -> SignOnAttempt | None:
    """Return the attempt of a browser at the time `now`, in seconds; None without one, or for one that is over."""
    value = request.cookies.get(_name(call), "")
    content = sealer.open_text(value, _CONTEXT) if len(value) <= MAX_COOKIE else None
    if content is None:
        return None
    attempt = SignOnAttempt(*json.loads(content))
    return attempt if now < attempt.started + SECONDS else None


def end_cookie(call: Call) -> str:
    """Return the value of the `Set-Cookie` header that ends an attempt: it is good for one answer."""
    return cookie_header(call, _name(call), "")


def _name(call: Call) -> str:
    return own_cookie_name(call, "sign-on")
