"""The body of a signed request: read as far as it may be, hashed as it comes, and handed on to the application.

A signature covers the body's hash, so the body of a signed request is read before the application runs. Requests with
other credentials are not touched. Parts are joined to pieces of at least `PIECE` bytes, so that many small ones take no
more memory than one; the pieces are given on one after the other.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio

from iam_guard.authn.credential_verifier import ChunkedBody
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import IamGuardError, MalformedRequest, RequestTimeout
from iam_guard.settings import Settings
from iam_guard.web.body_budget import MAX_UNVERIFIED, PIECE, Reservation, has_body, seconds_for
from iam_guard.web.body_verification import EMPTY_HASH, Digest

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class ReadBody:
    """What was read of a body, and a `receive` that gives it again once it is whole."""

    is_unsigned = False
    refusal: IamGuardError | None = None
    chunks: ChunkedBody | None = None

    def __init__(self, receive: Receive, request: HttpRequest, settings: Settings) -> None:
        self.size = 0
        self.is_whole = False
        self.reservation: Reservation | None = None
        self._digest: Digest | None = None
        self._receive = receive
        self._settings = settings
        self._is_coming = has_body(request)
        self._started: float | None = None
        self._pieces: deque[bytes] = deque()
        self._tail = bytearray()
        self._given = False

    async def read(self, limit: int) -> None:
        """Read on until the body ends or is over `limit` bytes.

        Raises `MalformedRequest` when the client goes away in the middle, `RequestTimeout` for a slow one, and
        `ServerBusy` where the process holds too much.
        """
        while not self.is_whole and self.size <= limit:
            message = await self._next()
            if message["type"] == "http.disconnect":
                raise MalformedRequest("the body ended before it was complete", place="body")
            part: bytes = message.get("body", b"")
            self.is_whole = not message.get("more_body", False)
            if part:
                self._reserve(len(part))
            if part or self._tail:
                self._keep(part)

    async def _next(self) -> Message:
        """Wait for a message; the first one of a request without a body is there already."""
        if not self._is_coming:
            self._is_coming = True
            return await self._receive()
        if self._started is None:
            self._started = anyio.current_time()
        deadline = self._started + seconds_for(self.size, self._settings.body_timeout)
        with anyio.CancelScope(deadline=deadline):
            return await self._receive()
        raise RequestTimeout("expected the body to arrive faster", place="body")

    def _reserve(self, more: int) -> None:
        self.size += more
        if self.size > MAX_UNVERIFIED:
            if self.reservation is None:
                self.reservation = Reservation(self._settings.max_bodies)
            self.reservation.hold(self.size)

    @property
    def digest(self) -> Digest:
        """The hash of what was read up to now."""
        if self._digest is None:
            self._digest = hashlib.sha256()
        return self._digest

    def _keep(self, part: bytes) -> None:
        if part:
            self.digest.update(part)
        if part and self.is_whole and not self._tail:
            self._pieces.append(part)
            return
        self._tail += part
        if len(self._tail) >= PIECE or self.is_whole:
            self._end_piece()

    def _end_piece(self) -> None:
        if self._tail:
            self._pieces.append(bytes(self._tail))
            self._tail = bytearray()

    def hash(self) -> str:
        """Return the SHA-256 in hexadecimal of what was read."""
        return self.digest.hexdigest() if self.size else EMPTY_HASH

    def content(self) -> bytes:
        """Return what was read up to now."""
        self._end_piece()
        if len(self._pieces) > 1:
            joined = b"".join(self._pieces)
            self._pieces.clear()
            self._pieces.append(joined)
        return self._pieces[0] if self._pieces else b""

    def pieces(self) -> deque[bytes]:
        """Hand over what was read up to now; none of it stays here."""
        self._end_piece()
        pieces, self._pieces = self._pieces, deque()
        return pieces

    def release(self) -> None:
        """Return what is held."""
        self._pieces.clear()
        self._tail = bytearray()
        if self.reservation is not None:
            self.reservation.release()

    async def receive(self) -> Message:
        """Return the body piece by piece, then what the server says."""
        if self._given:
            return await self._receive()
        piece = self._pieces.popleft() if self._pieces else b""
        self._given = not self._pieces
        return {"type": "http.request", "body": piece, "more_body": not self._given}
