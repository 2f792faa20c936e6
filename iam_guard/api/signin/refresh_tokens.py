"""Refresh tokens of people's tools: a sealed string that names its session, of which the digest is stored.

So one that was never issued here needs no query, and one that was is recognized even if it was renewed long ago.
INVARIANT: a token has one encoding, as session tokens have.
"""

from __future__ import annotations

import base64
import json
import secrets
from typing import Final, NamedTuple

from iam_guard.errors import StoreUnavailable
from iam_guard.store.sealing import Sealer

PREFIX: Final = "ASOR"
MAX_LENGTH: Final = 1024
_CONTEXT: Final = b"refresh-token:1"
_RANDOM_BYTES: Final = 24


class RefreshToken(NamedTuple):
    """What a refresh token contains: its session, and when that ends, in seconds since 1970."""

    session_id: str
    expires: int


def new_refresh_token(sealer: Sealer, session_id: str, expires: int) -> str:
    """Return a new refresh token of a session."""
    content = json.dumps([session_id, expires, secrets.token_urlsafe(_RANDOM_BYTES)]).encode()
    return _encoded(sealer.seal(content, _CONTEXT))


def read_refresh_token(sealer: Sealer, token: str) -> RefreshToken | None:
    """Open a refresh token, the present one of its session or not; None for one that was not issued here."""
    if not token.startswith(PREFIX) or len(token) > MAX_LENGTH or not token.isascii():
        return None
    text = token[len(PREFIX) :]
    try:
        sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if _encoded(sealed) != token:
            return None
        session_id, expires, _ = json.loads(sealer.open(sealed, _CONTEXT))
    except (ValueError, StoreUnavailable):
        return None
    return RefreshToken(session_id, expires)


def _encoded(sealed: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")
