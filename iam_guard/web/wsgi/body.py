"""The body of a signed WSGI request: buffered and hashed before the application runs, or verified while it is read.

A body up to the setting `max_body` is buffered and verified first. Of a longer one with a stated hash, and of a chunked
one, the last part is withheld until everything is verified. If the body does not match its signature, every read
raises, and `refusal` is set for the middleware that checks the response.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final
from wsgiref.types import InputStream

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import SigV4Credential
from iam_guard.authn.signatures.chunked import ChunkedBody
from iam_guard.errors import IamGuardError, MalformedRequest, RequestTimeout
from iam_guard.settings import Settings
from iam_guard.web.body_budget import MAX_UNVERIFIED, Reservation, max_seconds
from iam_guard.web.body_verification import (
    EMPTY_HASH,
    BodyParts,
    DecodedParts,
    HashedParts,
    codings_of_content,
    payload_of,
    too_large,
)
from iam_guard.web.wsgi.environ import Environ, content_length

_PART: Final = 64 * 1024

Precheck = Callable[[str | None], None]
"""(the stated hash) -> nothing; raises if the key does not exist, or the signature does not match that hash."""


@dataclass(eq=False, slots=True)
class RequestBody:
    """The body that the application reads.

    `hash` and `chunks` are the arguments of `Guard.authenticate`; `length` is that of the content, None if unknown.
    """

    stream: InputStream
    length: int | None
    computed: str = EMPTY_HASH
    """The hexadecimal SHA-256 of the body; before it is read, the stated one."""
    is_unsigned: bool = False
    chunks: ChunkedBody | None = None
    refusal: IamGuardError | None = None
    reservation: Reservation | None = None
    """The memory that it takes, if it is buffered."""

    def hash(self) -> str:
        return self.computed

    def release(self) -> None:
        if self.reservation is not None:
            self.reservation.release()

    def install_in(self, environ: Environ) -> None:
        """Replace the body in the environ, with the headers of the decoded content."""
        if self.stream is environ["wsgi.input"]:
            return  # unchanged
        environ["wsgi.input"] = self.stream
        environ["wsgi.input_terminated"] = True
        if self.chunks is not None:
            environ.pop("HTTP_TRANSFER_ENCODING", None)
            left = codings_of_content([environ.pop("HTTP_CONTENT_ENCODING", "")])
            if left:
                environ["HTTP_CONTENT_ENCODING"] = left
        if self.length is not None:
            environ["CONTENT_LENGTH"] = str(self.length)


def read_body(
    request: HttpRequest, credential: SigV4Credential, environ: Environ, settings: Settings, precheck: Precheck
) -> RequestBody:
    """Read the body, or wrap it if it is verified while the application reads it.

    Bodies that the signature does not cover are accepted here, as the route is not known yet; until its requirement
    accepts that, the call has no caller (`CurrentCall.caller`). `precheck` is called with the stated hash before more
    than `MAX_UNVERIFIED` bytes are read. Raises what it and `payload_of` raise, `RequestTooLarge`, `ServerBusy`, and
    `MalformedRequest` for a truncated body.
    """
    stated, unsigned, chunks = payload_of(request, credential, settings, lambda: True)
    stream, length = environ["wsgi.input"], content_length(environ)
    if length == 0 and chunks is None and not unsigned:
        return RequestBody(io.BytesIO(), 0)
    source = _BodySource(stream, length, settings)
    if chunks is not None:
        content = RequestBody(stream, chunks.length, is_unsigned=unsigned, chunks=chunks)
        content.reservation = source.reservation
        return _verify_while_reading(content, source, DecodedParts(chunks, source.reservation.resize))
    if unsigned:
        return RequestBody(stream, None, is_unsigned=True)
    limit = settings.max_body if stated is None else settings.max_stream
    if length is not None and length > limit:
        raise too_large(limit)
    source.read_up_to(min(MAX_UNVERIFIED, settings.max_body) + 1)
    if not source.is_over:
        precheck(stated)
        source.read_up_to(settings.max_body + 1)
    buffered, computed = source.take_buffered(), source.digest.hexdigest()
    if len(buffered) <= settings.max_body:
        content = RequestBody(io.BytesIO(buffered), len(buffered), computed=computed if buffered else EMPTY_HASH)
    elif stated is None:
        raise too_large(settings.max_body)
    else:
        parts = HashedParts(
            stated, max_size=settings.max_stream, digest=source.digest, size=len(buffered), pending=buffered
        )
        content = _verify_while_reading(RequestBody(stream, length, computed=stated), source, parts)
    content.reservation = source.reservation
    return content


def _verify_while_reading(content: RequestBody, source: _BodySource, parts: BodyParts) -> RequestBody:
    content.stream = io.BufferedReader(_VerifyingReader(content, source, parts), _PART)
    return content


class _BodySource:
    """The server's stream, and the buffered start of the body."""

    def __init__(self, stream: InputStream, length: int | None, settings: Settings) -> None:
        self._stream = stream
        self._remaining = length
        self._buffered = bytearray()
        self._timeout = settings.body_timeout
        self._started = monotonic()
        self.digest = hashlib.sha256()
        self.reservation = Reservation(settings.max_bodies)
        self.is_over = length == 0

    def read(self) -> bytes:
        """Return the next part, empty at the end. Raises `MalformedRequest` for a truncated body."""
        if self._remaining == 0:
            return b""
        part = self._stream.read(_PART if self._remaining is None else min(_PART, self._remaining))
        if self._remaining is not None:
            if not part:
                raise MalformedRequest("the body ended before it was complete", place="body")
            self._remaining -= len(part)
        self.is_over = self._remaining == 0 if part else True
        return part

    def read_up_to(self, size: int) -> None:
        """Read the complete body, or at least `size` bytes of it. Raises `RequestTimeout` if it is too slow."""
        while len(self._buffered) < size and (part := self.read()):
            self.digest.update(part)
            self.reservation.resize(len(self._buffered) + len(part))
            self._buffered += part
            if monotonic() > self._started + max_seconds(len(self._buffered), self._timeout) and not self.is_over:
                raise RequestTimeout("expected the body within the time limit", place="body")

    def take_buffered(self) -> bytes:
        """Return and remove the bytes read so far."""
        buffered, self._buffered = bytes(self._buffered), bytearray()
        return buffered


class _VerifyingReader(io.RawIOBase):
    """A stream of the verified content."""

    def __init__(self, content: RequestBody, source: _BodySource, parts: BodyParts) -> None:
        self._content = content
        self._source = source
        self._parts = parts
        self._available = memoryview(b"")
        self._is_over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer has no length
        if self._content.refusal is not None:
            raise self._content.refusal
        while not self._available and not self._is_over:
            try:
                self._available = memoryview(self._next())
            except IamGuardError as error:
                self._content.refusal = error
                raise
        size = min(len(buffer), len(self._available))
        buffer[:size] = self._available[:size]
        self._available = self._available[size:]
        return size

    def _next(self) -> bytes:
        part = self._source.read()
        if part:
            return self._parts.receive(part)
        self._is_over = True
        return self._parts.finish()
