"""ASGI bodies that are verified while the application reads them: long, chunked, and unsigned bodies.

The last part is withheld, and the end of the body is reported only if hash, chunks and trailer are correct. If they are
not, every call of `receive` raises, and `refusal` is set for the middleware that checks the response. A disconnect is
passed on as the server reports it; the body then never ends.
"""

from __future__ import annotations

from starlette.types import Message, Receive

from iam_guard.authn.signatures.chunked import ChunkedBody
from iam_guard.errors import IamGuardError
from iam_guard.web.asgi.body import BufferedBody
from iam_guard.web.body_budget import Reservation
from iam_guard.web.body_verification import BodyParts, DecodedParts, HashedParts, empty_hash


class _VerifiedBody:
    """A body that is verified part by part."""

    chunks: ChunkedBody | None = None

    def __init__(self, receive: Receive, parts: BodyParts) -> None:
        self.refusal: IamGuardError | None = None
        self._receive = receive
        self._parts = parts
        self._is_over = False

    async def receive(self) -> Message:
        """Return the next verified content, and the end once everything is verified."""
        if self.refusal is not None:
            raise self.refusal
        if self._is_over:
            return await self._receive()
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            is_last = not message.get("more_body", False)
            try:
                content = self._parts.receive(message.get("body", b""))
                if is_last:
                    content += self._parts.finish()
            except IamGuardError as error:
                self.refusal = error
                raise
            if content or is_last:
                self._is_over = is_last
                return {"type": "http.request", "body": content, "more_body": not is_last}


class HashedBody(_VerifiedBody):
    """A body too long to buffer, with its hash stated in the request; `buffered` is the part already read."""

    is_unsigned = False

    def __init__(self, buffered: BufferedBody, receive: Receive, *, stated: str, max_size: int) -> None:
        self._release_reservation = buffered.release
        self._stated = stated
        self._buffered = buffered.take_pieces()
        pending = self._buffered.pop()
        parts = HashedParts(stated, max_size=max_size, digest=buffered.digest, size=buffered.size, pending=pending)
        super().__init__(receive, parts)

    def hash(self) -> str:
        """Return the stated hash, which the signature covers; the body is compared with it at its end."""
        return self._stated

    def release(self) -> None:
        self._buffered.clear()
        self._release_reservation()

    async def receive(self) -> Message:
        """Return the buffered pieces, then the part before the latest one, and the end once the hash is correct."""
        if self._buffered:
            return {"type": "http.request", "body": self._buffered.popleft(), "more_body": True}
        self._release_reservation()
        return await super().receive()


class DecodedBody(_VerifiedBody):
    """A chunked body (`aws-chunked`): the application receives the decoded content."""

    chunks: ChunkedBody

    def __init__(self, chunks: ChunkedBody, receive: Receive, *, is_unsigned: bool, reservation: Reservation) -> None:
        super().__init__(receive, DecodedParts(chunks, reservation.resize))
        self.is_unsigned = is_unsigned
        self.chunks = chunks
        self.release = reservation.release

    hash = staticmethod(empty_hash)  # the signature covers a constant instead


class UnsignedBody:
    """A body that the signature does not cover; it is passed through unchecked."""

    is_unsigned = True
    refusal: IamGuardError | None = None
    chunks: ChunkedBody | None = None

    def __init__(self, receive: Receive) -> None:
        self.receive = receive

    hash = staticmethod(empty_hash)  # the signature covers a constant instead

    def release(self) -> None:
        """Do nothing: no memory is reserved."""
