"""Authorization messages: what a refusal does not tell its caller, sealed for the account that it belongs to (S-36).

Form: URL-safe base64 without padding of what the sealer makes of the deflated JSON. INVARIANT: it is sealed to its
account, so nobody else's administrator opens it.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

from iam_guard.errors import StoreUnavailable
from iam_guard.store.sealing import Sealer

MAX_CHARACTERS = 10240
"""Of an encoded message: no client may hand in a longer one."""


def write_message(message: Mapping[str, Any], account: str, sealer: Sealer) -> str | None:
    """Seal a message for an account; one that is too long without its condition values, None where that is not enough.

    The statements that decided go last.
    """
    context = {name: value for name, value in message["context"].items() if name != "conditions"}
    bare = {**message, "context": {**context, "conditions": {"items": []}}}
    for each in (message, bare, {**bare, "matchedStatements": {"items": []}}):
        content = zlib.compress(json.dumps(each, separators=(",", ":")).encode(), 9)
        encoded = base64.urlsafe_b64encode(sealer.seal(content, _context(account))).rstrip(b"=").decode("ascii")
        if len(encoded) <= MAX_CHARACTERS:
            return encoded
    return None


def read_message(encoded: str, account: str, sealer: Sealer) -> str | None:
    """Open a message as JSON text; None for anything that was not sealed so for this account."""
    try:
        sealed = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
        opened = sealer.open(sealed, _context(account))
    except (ValueError, StoreUnavailable):
        return None
    return zlib.decompress(opened).decode()


def _context(account: str) -> bytes:
    return b"authorization-message:1:" + account.encode()
