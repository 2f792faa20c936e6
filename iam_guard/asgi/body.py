"""The body of a signed request: read up to a limit, hashed, and handed on to the application as it came.

A signature covers the body's hash, so the body of a signed request is read before the application runs. Requests with
other credentials are not touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from iam_guard.errors import MalformedRequest, RequestTooLarge

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

EMPTY_HASH = hashlib.sha256(b"").hexdigest()


class ReadBody:
    """A body that was read, and a `receive` that gives it again."""

    __slots__ = ("_given", "_receive", "content")

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


async def read_body(receive: Receive, limit: int) -> ReadBody:
    """Read the whole body.

    Raises `RequestTooLarge` beyond `limit` bytes, `MalformedRequest` when the client goes away in the middle.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise MalformedRequest("the body ended before it was complete", place="body")
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise RequestTooLarge(f"expected a body of at most {limit} bytes", place="body")
        parts.append(part)
        if not message.get("more_body", False):
            return ReadBody(b"".join(parts), receive)
