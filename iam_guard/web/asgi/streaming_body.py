"""Bodies that pass through to the application while they are verified: long ones, ones in chunks, unsigned ones.

What the application gets is not proved whole before its end: the last part is held back, and the end is told only when
hash, chunks and trailer are right. A body that is not what was signed ends the request instead: `receive` raises, and
goes on raising, and `refusal` says so to whoever watches the answer. A client that goes away in the middle is told as
the server tells it; then no end is ever given.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from iam_guard.authn.credential_verifier import ChunkedBody
from iam_guard.errors import IamGuardError
from iam_guard.web.asgi.body import Message, ReadBody, Receive
from iam_guard.web.body_budget import Reservation
from iam_guard.web.body_verification import EMPTY_HASH, HashedParts, codings_of_content

Headers = list[tuple[bytes, bytes]]

_OF_THE_CODING: Final = (b"content-encoding", b"content-length", b"transfer-encoding")


class HashedBody:
    """A body that is too long to be held, whose hash the request states; `begun` is what was read of it."""

    is_unsigned = False
    chunks: ChunkedBody | None = None

    def __init__(self, begun: ReadBody, receive: Receive, *, stated: str, longest: int) -> None:
        self.refusal: IamGuardError | None = None
        self._release_room = begun.release
        self._receive = receive
        self._stated = stated
        self._begun = begun.pieces()
        self._parts = HashedParts(stated, longest=longest, digest=begun.digest, size=begun.size, held=self._begun.pop())
        self._is_over = False

    def hash(self) -> str:
        """Return the stated hash, which the signature is checked with; the body itself is checked at its end."""
        return self._stated

    def release(self) -> None:
        """Return what is held."""
        self._begun.clear()
        self._release_room()

    async def receive(self) -> Message:
        """Return the part before the latest, and the end once the hash is right."""
        if self.refusal is not None:
            raise self.refusal
        if self._is_over:
            return await self._receive()
        if self._begun:
            return {"type": "http.request", "body": self._begun.popleft(), "more_body": True}
        self._release_room()
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            part: bytes = message.get("body", b"")
            is_last = not message.get("more_body", False)
            try:
                given = self._parts.receive(part)
                if is_last:
                    given += self._parts.finish()
            except IamGuardError as error:
                self.refusal = error
                raise
            if given or is_last:
                self._is_over = is_last
                return {"type": "http.request", "body": given, "more_body": not is_last}


class DecodedBody:
    """A body in chunks: the application gets what is in them."""

    def __init__(self, chunks: ChunkedBody, receive: Receive, *, is_unsigned: bool, reservation: Reservation) -> None:
        self.refusal: IamGuardError | None = None
        self._reservation = reservation
        self.is_unsigned = is_unsigned
        self.chunks = chunks
        self._receive = receive
        self._is_over = False

    def hash(self) -> str:
        """Never asked for: of a body in chunks the signature covers the word that says so."""
        return EMPTY_HASH

    def release(self) -> None:
        """Return what is held."""
        self._reservation.release()

    def headers(self, headers: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Return the headers of the content, without those of its coding."""
        kept = [(name, value) for name, value in headers if name.lower() not in _OF_THE_CODING]
        codings = [value for name, value in headers if name.lower() == b"content-encoding"]
        left = codings_of_content(value.decode("latin-1") for value in codings)
        if left:
            kept.append((b"content-encoding", left.encode("latin-1")))
        kept.append((b"content-length", str(self.chunks.length).encode("ascii")))
        return kept

    async def receive(self) -> Message:
        """Return what further chunks had in them, and the end once everything is right."""
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
                content = self.chunks.receive(message.get("body", b""))
                self._reservation.hold(self.chunks.held)
                if is_last:
                    self.chunks.finish()
            except IamGuardError as error:
                self.refusal = error
                raise
            if content or is_last:
                self._is_over = is_last
                return {"type": "http.request", "body": content, "more_body": not is_last}


class UnsignedBody:
    """A body that the signature leaves out: nothing of it is looked at."""

    is_unsigned = True
    refusal: IamGuardError | None = None
    chunks: ChunkedBody | None = None

    def __init__(self, receive: Receive) -> None:
        self.receive = receive

    def hash(self) -> str:
        """Never asked for, as of `DecodedBody`."""
        return EMPTY_HASH

    def release(self) -> None:
        """Return nothing back, for nothing is held."""
