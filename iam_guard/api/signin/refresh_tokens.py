"""Refresh tokens of people's tools: a sealed string that names its session, of which the digest is stored.

So one that was never issued here needs no query, and one that was is recognized even if it was renewed long ago.
"""

from __future__ import annotations

import json
import secrets
from typing import Final, NamedTuple

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
    return sealer.seal_text(content, _CONTEXT, PREFIX)


def read_refresh_token(sealer: Sealer, token: str) -> RefreshToken | None:
    """Open a refresh token, the present one of its session or not; None for one that was not issued here."""
    content = sealer.open_text(token, _CONTEXT, PREFIX) if len(token) <= MAX_LENGTH else None
    if content is None:
        return None
    session_id, expires, _ = json.loads(content)
    return RefreshToken(session_id, expires)
