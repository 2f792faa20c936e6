"""The one place where something secret is compared: signatures, digests, body hashes.

The time it takes depends on the lengths alone. Nothing else in this room uses `==` for such values or calls `hmac`'s
comparison itself.
"""

from __future__ import annotations

import hmac


def same(given: str | bytes, expected: str | bytes) -> bool:
    """Compare in constant time; text is compared as UTF-8."""
    if type(given) is str and type(expected) is str and given.isascii() and expected.isascii():
        return hmac.compare_digest(given, expected)  # as it does with bytes
    return hmac.compare_digest(_bytes_of(given), _bytes_of(expected))


def _bytes_of(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
