"""Memory for the bodies of requests: how much a caller who is not known yet may fill, and all callers together.

Before the key of a signature is known to exist, a connection holds `MAX_UNVERIFIED` bytes of its body at most. What
is held beyond that is reserved from the setting `max_bodies`, which counts for the whole process, and a body has to
keep arriving (`seconds_for`). Pure but for that one counter.
"""

from __future__ import annotations

import os
import threading
from typing import Final

from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import MalformedRequest, ServerBusy
from iam_guard.web.body_verification import too_large

MAX_UNVERIFIED: Final = 48 * 1024
"""Bytes of a body that are held before its caller is known; with all else of the request it takes less than 64 KiB."""
PIECE: Final = 64 * 1024
"""Bytes of the pieces that a body is kept in, however small the parts are in which it comes."""
_BYTES_A_SECOND: Final = 64 * 1024


class _Held:
    """The bytes that are reserved in this process."""

    def __init__(self) -> None:
        self.size = 0
        self.lock = threading.RLock()  # a reservation may be collected while this thread makes another


_HELD = _Held()


def _begin_in_child() -> None:
    """Leave the parent's bodies to the parent: no thread is here that would release them, or a lock."""
    global _HELD
    _HELD.lock = threading.RLock()
    _HELD = _Held()


os.register_at_fork(after_in_child=_begin_in_child)


def bytes_held() -> int:
    """Return how many bytes of bodies are reserved in this process."""
    return _HELD.size


class Reservation:
    """The share of one body; it ends with `release`, or with this object."""

    __slots__ = ("_held", "_limit", "_size")

    def __init__(self, limit: int) -> None:
        self._held = _HELD
        self._limit = limit
        self._size = 0

    def hold(self, size: int) -> None:
        """Reserve room for the `size` bytes that are held now. Raises `ServerBusy` where there is none left."""
        more = max(size - MAX_UNVERIFIED, 0) - self._size
        if not more:
            return
        held = self._held
        with held.lock:
            if more > 0 and held.size + more > self._limit:
                raise ServerBusy("as many bodies are in memory as the setting `max_bodies` allows", place="body")
            held.size += more
        self._size += more

    def release(self) -> None:
        """Release the room."""
        self.hold(0)

    __del__ = release


def seconds_for(size: int, timeout: float) -> float:
    """Return how many seconds a body may have taken once `size` bytes of it have come."""
    return timeout + size / _BYTES_A_SECOND


def has_body(request: HttpRequest) -> bool:
    """Return whether the headers of HTTP/1.1 announce a body."""
    by_name = request.by_name
    return b"transfer-encoding" in by_name or by_name.get(b"content-length", (b"0",))[0] != b"0"


def check_announced(request: HttpRequest, limit: int) -> None:
    """Refuse a body before its first byte. Raises `RequestTooLarge`, and `MalformedRequest` for what is no length."""
    for value in request.by_name.get(b"content-length", ()):
        text = value.strip()
        if not text.isdigit() or len(text) > _LONGEST_LENGTH:
            raise MalformedRequest("expected a length in decimal digits", place="content-length")
        if int(text) > limit:
            raise too_large(limit)


_LONGEST_LENGTH: Final = 19
