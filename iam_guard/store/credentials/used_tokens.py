"""Tokens that count once: assertions, DPoP proofs, sign-in tokens. They are remembered until they expire anyway.

The row of a token is inserted in the transaction that uses it, so of two processes with the same token one is refused.
Tokens without rows can be ended together (`end_tokens`): all that expire no later than those that are issued now.
"""

from __future__ import annotations

import hashlib
import json

from iam_guard.store.database.records import Records
from iam_guard.store.schema import used_tokens


def use_token(records: Records, purpose: str, *identity: str, expires: int, now: int) -> bool:
    """Record the use of a token; return whether it is the first one.

    `identity` is what identifies a token of this purpose. `expires` and `now` are in seconds since 1970; a token must
    not be accepted from `expires` on. Safe only in a write transaction.
    """
    digest = _digest(purpose, *identity)
    found = records.one(used_tokens, digest=digest)
    if found is not None and found["expires"] > now:
        return False
    _purge(records, now)
    if found is not None:
        records.delete(used_tokens, digest=digest)
    records.insert(used_tokens, digest=digest, expires=expires)
    return True


def end_tokens(records: Records, purpose: str, *identity: str, expires: int, now: int) -> None:
    """End the tokens of a purpose and an owner, `identity`; `expires` is when one that is issued now would expire."""
    _purge(records, now)
    digest = _digest("ended", purpose, *identity)
    records.delete(used_tokens, digest=digest)
    records.insert(used_tokens, digest=digest, expires=expires)


def is_ended_token(records: Records, purpose: str, *identity: str, expires: int) -> bool:
    """Return whether a token that expires then was ended with all of its owner."""
    found = records.one(used_tokens, digest=_digest("ended", purpose, *identity))
    return found is not None and bool(expires <= found["expires"])


def _digest(purpose: str, *identity: str) -> str:
    return hashlib.sha256(json.dumps([purpose, *identity]).encode()).hexdigest()


def _purge(records: Records, now: int) -> None:
    if ended := records.expired(used_tokens, now):
        records.delete(used_tokens, digest=ended)
