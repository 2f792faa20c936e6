"""The body of a signed request over WSGI: read and hashed before the application, or verified while it is read.

What the application reads is proved: a body up to the setting `max_body` is held and checked first; of a longer one
whose hash is stated, and of one in chunks, the last part comes only once everything is right. A body that is not what
was signed raises when it is read, and goes on raising; `refusal` says so to whoever watches the answer. Must not live
here: what a request says of its body (`web/body_verification`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from iam_guard.authn.credential_verifier import ChunkedBody, SigV4Credential
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import IamGuardError, MalformedRequest, RequestTimeout
from iam_guard.settings import Settings
from iam_guard.web.body_budget import MAX_UNVERIFIED, Reservation, seconds_for
from iam_guard.web.body_verification import EMPTY_HASH, HashedParts, codings_of_content, payload_of, too_large
from iam_guard.web.wsgi.environ import Environ, length_of

_PART: Final = 64 * 1024

Recognise = Callable[[str | None], None]
"""Raises for a signature whose key does not exist, or that is not right for the hash that is stated of the body."""


class Input(Protocol):
    """What a server gives to read a body from."""

    def read(self, size: int, /) -> bytes: ...


class Content:
    """The body that the application is given.

    `hash` and `chunks` are what the signature is checked with, as `Guard.authenticate` takes them; `length` is that of
    the content, None for one whose length nobody has told.
    """

    refusal: IamGuardError | None = None
    reservation: Reservation | None = None
    """The room that it takes, where it is held."""

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
        """Return its SHA-256 in hexadecimal; of one that is still to be read, the one that is stated."""
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


def content_of(
    request: HttpRequest, credential: SigV4Credential, environ: Environ, settings: Settings, recognise: Recognise
) -> Content:
    """Read the body, or as much of it as tells how it is to be verified.

    Bodies that the signature leaves out are taken for now: the route is not known yet, and until its requirement takes
    such a call it has no caller (`CurrentCall.caller`). `recognise` is called with the stated hash before more than the
    beginning of a body is read. Raises what it raises and what `payload_of` raises, `RequestTooLarge`, `ServerBusy`,
    and `MalformedRequest` for a body that ended too early.
    """
    stated, unsigned, chunks = payload_of(request, credential, settings, lambda: True)
    stream, length = environ["wsgi.input"], length_of(environ)
    source = _Source(stream, length, settings)
    if chunks is not None:
        content = Content(stream, chunks.length, is_unsigned=unsigned, chunks=chunks)
        content.reservation = source.reservation
        return _verified_while_read(
            content, source, lambda part: _received(chunks, part, source.reservation), lambda: _finished(chunks)
        )
    if unsigned:
        return Content(stream, None, is_unsigned=True)
    limit = settings.max_body if stated is None else settings.max_stream
    if length is not None and length > limit:
        raise too_large(limit)
    source.read_up_to(min(MAX_UNVERIFIED, settings.max_body) + 1)
    if not source.is_over:
        recognise(stated)
        source.read_up_to(settings.max_body + 1)
    begun, computed = source.begun(), source.digest.hexdigest()
    if len(begun) <= settings.max_body:
        content = Content(io.BytesIO(begun), len(begun), computed=computed if begun else EMPTY_HASH)
    elif stated is None:
        raise too_large(settings.max_body)
    else:
        parts = HashedParts(stated, longest=settings.max_stream, digest=source.digest, size=len(begun), held=begun)
        content = _verified_while_read(Content(stream, length, computed=stated), source, parts.receive, parts.finish)
    content.reservation = source.reservation
    return content


def _received(chunks: ChunkedBody, part: bytes, reservation: Reservation) -> bytes:
    content = chunks.receive(part)
    reservation.hold(chunks.held)
    return content


def _finished(chunks: ChunkedBody) -> bytes:
    chunks.finish()
    return b""


def _verified_while_read(
    content: Content, source: _Source, receive: Callable[[bytes], bytes], finish: Callable[[], bytes]
) -> Content:
    content.stream = io.BufferedReader(_Verified(content, source, receive, finish), _PART)
    return content


class _Source:
    """What is left to be read of a body, and its beginning, held until it is asked for."""

    def __init__(self, stream: Input, length: int | None, settings: Settings) -> None:
        self._stream = stream
        self._left = length
        self._begun = bytearray()
        self._timeout = settings.body_timeout
        self._started = monotonic()
        self.digest = hashlib.sha256()
        self.reservation = Reservation(settings.max_bodies)
        self.is_over = length == 0

    def read(self) -> bytes:
        """Return the next part, nothing at the end. Raises `MalformedRequest` where it comes too early."""
        if self._left == 0:
            return b""
        part = self._stream.read(_PART if self._left is None else min(_PART, self._left))
        if self._left is not None:
            if not part:
                raise MalformedRequest("the body ended before it was complete", place="body")
            self._left -= len(part)
        self.is_over = self._left == 0 if part else True
        return part

    def read_up_to(self, size: int) -> None:
        """Read the whole body, or at least `size` bytes of it. Raises `RequestTimeout` for a slow one."""
        while len(self._begun) < size and (part := self.read()):
            self.digest.update(part)
            self.reservation.hold(len(self._begun) + len(part))
            self._begun += part
            if monotonic() > self._started + seconds_for(len(self._begun), self._timeout) and not self.is_over:
                raise RequestTimeout("expected the body to arrive faster", place="body")

    def begun(self) -> bytes:
        """Hand over what was read up to now."""
        begun, self._begun = bytes(self._begun), bytearray()
        return begun


class _Verified(io.RawIOBase):
    """Returns what has passed a verifier."""

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
