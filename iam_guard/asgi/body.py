"""The body of a signed request: read up to a limit, hashed, and handed on to the application as it came.

A signature covers the body's hash, so the body of a signed request is read before the application runs. Requests with
other credentials are not touched. Must not live here: bodies that pass through while they are verified (`streamed`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from iam_guard.authn.verify import ChunkedBody
from iam_guard.enforcement.payload import EMPTY_HASH, too_large
from iam_guard.errors import IamGuardError, MalformedRequest

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class ReadBody:
    """A body that was read, and a `receive` that gives it again."""

    __slots__ = ("_given", "_receive", "content")

    is_unsigned = False
    refusal: IamGuardError | None = None
    chunks: ChunkedBody | None = None

    def __init__(self, body: bytes, receive: Receive) -> None:
        self.content = body
        self._receive = receive
        self._given = False

    def hash(self) -> str:
        """Give its SHA-256 in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest() if self.content else EMPTY_HASH

    async def receive(self) -> Message:
        """Give the whole body once, then what the server says."""
        if self._given:
            return await self._receive()
        self._given = True
        return {"type": "http.request", "body": self.content, "more_body": False}


class BegunBody(NamedTuple):
    """As much of a body as was read, its length, and whether that is all of it."""

    parts: list[bytes]
    size: int
    is_whole: bool

    def whole(self, receive: Receive) -> ReadBody:
        """Give it as a body that was read."""
        return ReadBody(b"".join(self.parts), receive)


async def read_body(receive: Receive, limit: int) -> ReadBody:
    """Read the whole body.

    Raises `RequestTooLarge` beyond `limit` bytes, `MalformedRequest` when the client goes away in the middle.
    """
    begun = await begin_body(receive, limit)
    if begun.size > limit:
        raise too_large(limit)
    return begun.whole(receive)


async def begin_body(receive: Receive, limit: int) -> BegunBody:
    """Read until the body ends or is over `limit` bytes.

    Raises `MalformedRequest` when the client goes away in the middle.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise MalformedRequest("the body ended before it was complete", place="body")
        part: bytes = message.get("body", b"")
        size += len(part)
        parts.append(part)
        is_whole = not message.get("more_body", False)
        if is_whole or size > limit:
            return BegunBody(parts, size, is_whole)
