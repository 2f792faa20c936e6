"""Parsing of the header `Retry-After` (RFC 9110, 10.2.3)."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime


def retry_after(text: str, now: float) -> float:
    """Return the requested delay in seconds, as of `now` in seconds since 1970; 0 for an empty or malformed header."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        time = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return max(0.0, aware.timestamp() - now)
