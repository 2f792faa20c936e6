"""Constant-time comparison of secret values: signatures, digests, body hashes.

The duration depends on the lengths alone. Authentication uses neither `==` nor `hmac.compare_digest` elsewhere.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

same_bytes: Callable[[bytes, bytes], bool] = hmac.compare_digest
"""Compare bytes in constant time."""


def same(actual: str | bytes, expected: str | bytes) -> bool:
    """Compare in constant time; text is compared as UTF-8."""
    if type(actual) is str and type(expected) is str and actual.isascii() and expected.isascii():
        return hmac.compare_digest(actual, expected)
    return hmac.compare_digest(_to_bytes(actual), _to_bytes(expected))


def _to_bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
