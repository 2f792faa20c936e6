"""The one place where something secret is compared: signatures, digests, body hashes.

The time it takes depends on the lengths alone. Nothing else in this room uses `==` for such values or calls `hmac`'s
comparison itself.
"""

from __future__ import annotations

import hmac


def same(given: str | bytes, expected: str | bytes) -> bool:
    """Compare in constant time; text is compared as UTF-8."""
    if isinstance(given, str):
        given = given.encode("utf-8", "surrogatepass")
    if isinstance(expected, str):
        expected = expected.encode("utf-8", "surrogatepass")
    return hmac.compare_digest(given, expected)
