"""The body of a signed request over WSGI: read and hashed before the application, or verified while it is read.

What the application reads is proved: a body up to the setting `max_body` is held and checked first; of a longer one
whose hash is stated, and of one in chunks, the last part comes only once everything is right. A body that is not what
was signed raises when it is read, and goes on raising; `refusal` says so to whoever watches the answer. Must not live
here: what a request says of its body (`enforcement/payload`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Final, Protocol

from iam_guard.authn.http import HttpRequest
from iam_guard.authn.verify import ChunkedBody, SigV4Credential
from iam_guard.enforcement.payload import EMPTY_HASH, HashedParts, codings_of_content, payload_of, too_large
from iam_guard.errors import IamGuardError, MalformedRequest
from iam_guard.settings import Settings
from iam_guard.wsgi.environ import Environ, length_of

_PART: Final = 64 * 1024


class Input(Protocol):
    """What a server gives to read a body from."""

    def read(self, size: int, /) -> bytes: ...


class Content:
    """The body that the application is given.

    `hash` and `chunks` are what the signature is checked with, as `Guard.authenticate` takes them; `length` is that of
    the content, None for one whose length nobody has told.
    """

    refusal: IamGuardError | None = None

    def __init__(
        self,
        stream: io.BufferedIOBase | Input,
        length: int | None,
        *,
        computed: str = EMPTY_HASH,
        is_unsigned: bool = False,
        chunks: ChunkedBody | None = None,
    ) -> None:
        self.stream = stream
        self.length = length
        self.is_unsigned = is_unsigned
        self.chunks = chunks
        self._computed = computed

    def hash(self) -> str:
        """Give its SHA-256 in hexadecimal; of one that is still to be read, the one that is stated."""
        return self._computed

    def put_into(self, environ: Environ) -> None:
        """Hand it to the application, with the headers that the content has without its coding."""
        if self.stream is environ["wsgi.input"]:
            return  # as the server gave it
        environ["wsgi.input"] = self.stream
        environ["wsgi.input_terminated"] = True
        if self.chunks is not None:
            environ.pop("HTTP_TRANSFER_ENCODING", None)
            left = codings_of_content([environ.pop("HTTP_CONTENT_ENCODING", "")])
            if left:
                environ["HTTP_CONTENT_ENCODING"] = left
        if self.length is not None:
            environ["CONTENT_LENGTH"] = str(self.length)


def content_of(request: HttpRequest, credential: SigV4Credential, environ: Environ, settings: Settings) -> Content:
    """Read the body, or as much of it as tells how it is to be verified.

    Bodies that the signature leaves out are taken for now: the route is not known yet, and until its requirement takes
    such a call it has no caller (`CurrentCall.caller`). Raises what `payload_of` raises, `RequestTooLarge`, and
    `MalformedRequest` for a body that ended too early.
    """
    stated, unsigned, chunks = payload_of(request, credential, settings, lambda: True)
    stream, length = environ["wsgi.input"], length_of(environ)
    source = _Source(stream, length)
    if chunks is not None:
        content = Content(stream, chunks.length, is_unsigned=unsigned, chunks=chunks)
        return _verified_while_read(content, source, chunks.receive, lambda: _finished(chunks))
    if unsigned:
        return Content(stream, None, is_unsigned=True)
    begun = source.read_up_to(settings.max_body + 1)
    if len(begun) <= settings.max_body:
        computed = hashlib.sha256(begun).hexdigest() if begun else EMPTY_HASH
        return Content(io.BytesIO(begun), len(begun), computed=computed)
    if stated is None:
        raise too_large(settings.max_body)
    parts = HashedParts(stated, longest=settings.max_stream)
    parts.receive(begun)  # the first part is held, and nothing given before it
    return _verified_while_read(Content(stream, length, computed=stated), source, parts.receive, parts.finish)


def _finished(chunks: ChunkedBody) -> bytes:
    chunks.finish()
    return b""


def _verified_while_read(
    content: Content, source: _Source, receive: Callable[[bytes], bytes], finish: Callable[[], bytes]
) -> Content:
    content.stream = io.BufferedReader(_Verified(content, source, receive, finish), _PART)
    return content


class _Source:
    """What is left to be read of a body."""

    def __init__(self, stream: Input, length: int | None) -> None:
        self._stream = stream
        self._left = length

    def read(self) -> bytes:
        """Give the next part, nothing at the end. Raises `MalformedRequest` where it comes too early."""
        if self._left == 0:
            return b""
        part = self._stream.read(_PART if self._left is None else min(_PART, self._left))
        if self._left is not None:
            if not part:
                raise MalformedRequest("the body ended before it was complete", place="body")
            self._left -= len(part)
        return part

    def read_up_to(self, size: int) -> bytes:
        """Give the whole body, or at least `size` bytes of it."""
        read = bytearray()
        while len(read) < size and (part := self.read()):
            read += part
        return bytes(read)


class _Verified(io.RawIOBase):
    """Gives what has passed a verifier."""

    def __init__(
        self, content: Content, source: _Source, receive: Callable[[bytes], bytes], finish: Callable[[], bytes]
    ) -> None:
        self._content = content
        self._source = source
        self._receive = receive
        self._finish = finish
        self._ready = memoryview(b"")
        self._is_over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer has no length
        if self._content.refusal is not None:
            raise self._content.refusal
        while not self._ready and not self._is_over:
            try:
                self._ready = memoryview(self._next())
            except IamGuardError as error:
                self._content.refusal = error
                raise
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _next(self) -> bytes:
        part = self._source.read()
        if part:
            return self._receive(part)
        self._is_over = True
        return self._finish()
