"""Memory and time limits for request bodies, per connection and per process.

Until the key of a signature is known to exist, at most `MAX_UNVERIFIED` bytes of the body are read. More than that is
reserved from the setting `max_bodies`, which limits the whole process. A body must arrive within `max_seconds`.
"""

from __future__ import annotations

import os
import threading
from typing import Final

from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import MalformedRequest, ServerBusy
from iam_guard.web.body_verification import too_large

MAX_UNVERIFIED: Final = 48 * 1024
"""Bytes of a body that are read before the caller is known; the whole request then takes less than 64 KiB."""
PIECE: Final = 16 * 1024
"""Minimum size in bytes of the pieces that small parts of a body are joined to."""
LARGE_PART: Final = 4 * 1024
"""Size in bytes from which a part of a body is a piece of its own."""
_MIN_BYTES_PER_SECOND: Final = 64 * 1024


class _Reserved:
    """The number of bytes reserved in this process."""

    def __init__(self) -> None:
        self.size = 0
        self.lock = threading.RLock()  # the collector may release a reservation while this thread makes another


_RESERVED = _Reserved()


def _reset_in_child() -> None:
    """Start with nothing reserved in a forked process: the threads that would release it don't exist here."""
    global _RESERVED
    _RESERVED.lock = threading.RLock()
    _RESERVED = _Reserved()


os.register_at_fork(after_in_child=_reset_in_child)


def reserved_bytes() -> int:
    return _RESERVED.size


class Reservation:
    """The reservation of one body; it ends with `release`, or when this object is collected."""

    __slots__ = ("_size", "_total", "limit")

    def __init__(self, limit: int) -> None:
        self._total = _RESERVED
        self.limit = limit
        self._size = 0

    def resize(self, size: int) -> None:
        """Reserve memory for `size` bytes in total. Raises `ServerBusy` if the limit is exceeded."""
        more = max(size - MAX_UNVERIFIED, 0) - self._size
        if not more:
            return
        total = self._total
        with total.lock:
            if more > 0 and total.size + more > self.limit:
                raise ServerBusy("the bodies in memory have reached the setting `max_bodies`", place="body")
            total.size += more
        self._size += more

    def release(self) -> None:
        self.resize(0)

    __del__ = release


def max_seconds(size: int, timeout: float) -> float:
    """Return how many seconds the first `size` bytes of a body may take."""
    return timeout + size / _MIN_BYTES_PER_SECOND


def check_content_length(request: HttpRequest, limit: int) -> None:
    """Check the announced length. Raises `RequestTooLarge`, and `MalformedRequest` for an invalid length."""
    for value in request.by_name.get(b"content-length", ()):
        text = value.strip()
        if not text.isdigit() or len(text) > _MAX_LENGTH_DIGITS:
            raise MalformedRequest("expected a length in decimal digits", place="content-length")
        if int(text) > limit:
            raise too_large(limit)


_MAX_LENGTH_DIGITS: Final = 19
