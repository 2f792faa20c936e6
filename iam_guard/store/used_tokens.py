"""Tokens that count once: assertions, DPoP proofs, sign-in tokens. They are remembered until they expire anyway.

The row of a token is inserted in the transaction that uses it, so of two processes with the same token one is refused.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

from iam_guard.store.records import Records
from iam_guard.store.schema import used_tokens

MAX_PURGED: Final = 100
"""Expired rows that one use deletes at most."""


def use_token(records: Records, purpose: str, *identity: str, expires: int, now: int) -> bool:
    """Record the use of a token; return whether it is the first one.

    `identity` is what identifies a token of this purpose. `expires` and `now` are in seconds since 1970; a token must
    not be accepted from `expires` on. Safe only in a write transaction.
    """
    digest = hashlib.sha256(json.dumps([purpose, *identity]).encode()).hexdigest()
    found = records.one(used_tokens, digest=digest)
    if found is not None and found["expires"] > now:
        return False
    _purge(records, now)
    if found is not None:
        records.delete(used_tokens, digest=digest)
    records.insert(used_tokens, digest=digest, expires=expires)
    return True


def _purge(records: Records, now: int) -> None:
    """Delete some of the expired rows, the oldest first."""
    rows = records.page(used_tokens, order=("expires", "digest"), after=None, limit=MAX_PURGED)
    ended = [row["digest"] for row in rows if row["expires"] <= now]
    if ended:
        records.delete(used_tokens, digest=ended)
