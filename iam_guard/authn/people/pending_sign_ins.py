"""Sign-ins that were verified, and wait for their browser: it chooses a role, or confirms that it wants to sign in.

What the identity provider sent is sealed, and kept for five minutes under a token that is not stored. It is verified
again when the browser goes on, as of the time when it was received. The session that it becomes is issued in the
transaction that deletes it, so what ends sessions ends it, too: the logout of its provider, or an administrator.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from iam_guard.authn.tokens.session_cookie import new_token, token_digest
from iam_guard.errors import InvalidIdentityToken, ServerBusy
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import pending_sign_ins, sealing_context, sign_on_providers

SignOnKind: TypeAlias = Literal["oidc", "saml"]
"""How an identity provider and we talk to each other."""

MAX_AGE: Final = timedelta(minutes=5)
MAX_TEXT: Final = 100_000
"""Characters of what an identity provider sent."""
MAX_PENDING: Final = 1000
"""Sign-ins of one provider that wait at the same time: a client can send what was signed for it again and again."""
_UNNAMED: Final[Mapping[str, str | None]] = MappingProxyType({"subject_digest": None, "session_digest": None})


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """A verified SAML response or ID token as it was received. `provider_id` is that of the sign-on provider."""

    kind: SignOnKind
    provider_id: str
    text: str = field(repr=False)
    received: datetime


class PendingSignIns:
    """The pending sign-ins of a store. Safe to share between threads; `clock` is timezone-aware."""

    def __init__(self, store: RecordStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    def put(self, kind: SignOnKind, provider_id: str, text: str, names: Mapping[str, str | None] = _UNNAMED) -> str:
        """Return the token of a sign-in that was just verified; `names` are its `names_at_provider`.

        Raises `InvalidIdentityToken` for a text that is too long, or a provider that was removed, `ServerBusy` if too
        many wait, `StoreIsReadOnly`.
        """
        if len(text) > MAX_TEXT:
            raise InvalidIdentityToken(f"expected at most {MAX_TEXT} characters")
        token, received = new_token(), self._clock()
        digest, now = token_digest(token), int(received.timestamp())
        content = json.dumps([kind, text, received.astimezone(UTC).isoformat()]).encode()
        sealed = self._store.sealer.seal(content, _context(digest))
        with self._store.write_transaction() as records:
            if ended := records.expired(pending_sign_ins, now):
                records.delete(pending_sign_ins, digest=ended)
            if records.one(sign_on_providers, id=provider_id) is None:
                raise InvalidIdentityToken("the sign-on provider was removed")
            if records.count(pending_sign_ins, provider_id=provider_id) >= MAX_PENDING:
                raise ServerBusy("too many sign-ins wait for their browsers")
            values = {"provider_id": provider_id, "sealed": sealed, "received": now, **names}
            records.insert(pending_sign_ins, digest=digest, **values, expires=now + MAX_AGE.seconds)
        return token

    def get(self, token: str) -> PendingSignIn | None:
        """Return the sign-in of a token; None for one that is unknown, over, or was deleted."""
        digest = token_digest(token)
        with self._store.read_transaction() as records:
            row = records.one(pending_sign_ins, digest=digest)
        if row is None or self._clock().timestamp() >= row["expires"]:
            return None
        kind, text, received = json.loads(self._store.sealer.open(row["sealed"], _context(digest)))
        return PendingSignIn(kind, row["provider_id"], text, datetime.fromisoformat(received))


def _context(digest: str) -> bytes:
    return sealing_context(pending_sign_ins.c.sealed, digest)
