"""Encoded authorization messages: the details of a denial, sealed for the account that it belongs to (S-36).

Format: URL-safe base64, unpadded, of the sealed, deflated JSON. INVARIANT: the account is part of the sealing context,
so that administrators of other accounts can't open it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from iam_guard.store.sealing import Sealer

MAX_CHARACTERS = 10240
"""The length of an encoded message; clients may not send a longer one."""


def write_message(message: Mapping[str, Any], account: str, sealer: Sealer) -> str | None:
    """Return the message sealed for an account; None if it is too long even when shortened.

    First the condition values are left out, then the matched statements.
    """
    context = {name: value for name, value in message["context"].items() if name != "conditions"}
    bare = {**message, "context": {**context, "conditions": {"items": []}}}
    for variant in (message, bare, {**bare, "matchedStatements": {"items": []}}):
        content = zlib.compress(json.dumps(variant, separators=(",", ":")).encode(), 9)
        encoded = sealer.seal_text(content, _context(account))
        if len(encoded) <= MAX_CHARACTERS:
            return encoded
    return None


def read_message(encoded: str, account: str, sealer: Sealer) -> str | None:
    """Return a message as JSON text; None if it was not sealed for this account."""
    opened = sealer.open_text(encoded, _context(account))
    return None if opened is None else zlib.decompress(opened).decode()


def _context(account: str) -> bytes:
    return b"authorization-message:1:" + account.encode()
