"""The buffered body of a signed ASGI request, hashed while it is read and replayed to the application.

A signature covers the hash of the body, so the body of a signed request is read before the application runs. Other
requests are not touched. Small parts are joined to pieces of at least `PIECE` bytes to limit the memory overhead; large
parts are kept as they are, since a copy would double what a client makes the server hold.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Final

import anyio
from starlette.types import Message, Receive

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.signatures.chunked import ChunkedBody
from iam_guard.errors import IamGuardError, MalformedRequest, RequestTimeout
from iam_guard.settings import Settings
from iam_guard.web.body_budget import LARGE_PART, MAX_UNVERIFIED, PIECE, Reservation, max_seconds
from iam_guard.web.body_verification import Digest

EMPTY_BODIES: Final[tuple[Message, ...]] = (
    {"type": "http.request", "body": b"", "more_body": False},
    {"type": "http.request", "body": b""},
    {"type": "http.request"},
)
"""The messages of servers for a request without a body."""


class PeekedBody:
    """A body whose first message was received, and a `receive` that replays it."""

    __slots__ = ("_message", "_receive")

    def __init__(self, message: Message, receive: Receive) -> None:
        self._message: Message | None = message
        self._receive = receive

    async def receive(self) -> Message:
        """Return the message received first, then the server's messages."""
        message = self._message
        if message is None:
            return await self._receive()
        self._message = None
        return message


class BufferedBody:
    """A body read into memory, and a `receive` that replays it once it is complete."""

    is_unsigned = False
    refusal: IamGuardError | None = None
    chunks: ChunkedBody | None = None

    def __init__(self, receive: Receive, request: HttpRequest, settings: Settings) -> None:
        self.size = 0
        self.is_whole = False
        self.reservation: Reservation | None = None
        self.digest: Digest = hashlib.sha256()
        """The running hash of the bytes read so far."""
        self._receive = receive
        self._settings = settings
        self._max_bodies = settings.max_bodies
        headers = request.by_name
        is_announced = b"transfer-encoding" in headers or headers.get(b"content-length", (b"0",))[0] != b"0"
        self._is_ready = not is_announced
        """Whether the next message is there at once: the only one of a request that announces no body."""
        self._started: float | None = None
        self._pieces: deque[bytes] = deque()
        self._tail = bytearray()
        self._is_replayed = False

    async def read(self, limit: int) -> None:
        """Read until the body ends or exceeds `limit` bytes.

        Raises `MalformedRequest` if the client disconnects, `RequestTimeout` if it is too slow, and `ServerBusy` if
        the bodies in memory exceed the setting `max_bodies`.
        """
        while not self.is_whole and self.size <= limit:
            message = await (self._receive() if self._is_ready else self._receive_in_time())
            self._is_ready = False
            if message["type"] == "http.disconnect":
                raise MalformedRequest("the body ended before it was complete", place="body")
            part: bytes = message.get("body", b"")
            self.is_whole = not message.get("more_body", False)
            if part:
                self._reserve(len(part))
            if part or self._tail:
                self._append(part)

    def limit_memory(self, share: int) -> None:
        """Read on only while the bodies in memory have less than this share of the setting `max_bodies`."""
        self._max_bodies = self._settings.max_bodies // share
        if self.reservation is not None:
            self.reservation.limit = self._max_bodies

    async def _receive_in_time(self) -> Message:
        """Wait for the next message. Raises `RequestTimeout` if the body is too slow."""
        if self._started is None:
            self._started = anyio.current_time()
        deadline = self._started + max_seconds(self.size, self._settings.body_timeout)
        with anyio.CancelScope(deadline=deadline):
            return await self._receive()
        raise RequestTimeout("expected the body within the time limit", place="body")

    def _reserve(self, more: int) -> None:
        self.size += more
        if self.size > MAX_UNVERIFIED:
            if self.reservation is None:
                self.reservation = Reservation(self._max_bodies)
            self.reservation.resize(self.size)

    def _append(self, part: bytes) -> None:
        self.digest.update(part)
        if len(part) >= LARGE_PART or (part and self.is_whole and not self._tail):
            self._flush_tail()
            self._pieces.append(part)  # not copied
            return
        self._tail += part
        if len(self._tail) >= PIECE or self.is_whole:
            self._flush_tail()

    def _flush_tail(self) -> None:
        if self._tail:
            self._pieces.append(bytes(self._tail))
            self._tail = bytearray()

    def hash(self) -> str:
        """Return the hexadecimal SHA-256 of the bytes read so far."""
        return self.digest.hexdigest()

    def content(self) -> bytes:
        self._flush_tail()
        joined = b"".join(self._pieces)
        self._pieces = deque([joined] if joined else [])
        return joined

    def take_pieces(self) -> deque[bytes]:
        """Return and remove the pieces read so far."""
        self._flush_tail()
        pieces, self._pieces = self._pieces, deque()
        return pieces

    def release(self) -> None:
        self._pieces.clear()
        self._tail = bytearray()
        if self.reservation is not None:
            self.reservation.release()

    async def receive(self) -> Message:
        """Return the body piece by piece, then the server's messages."""
        if self._is_replayed:
            return await self._receive()
        piece = self._pieces.popleft() if self._pieces else b""
        self._is_replayed = not self._pieces
        return {"type": "http.request", "body": piece, "more_body": not self._is_replayed}
