"""Decode and verify a chunked body (`aws-chunked`), without I/O: bytes in, verified content out.

The format: each chunk has its size in hexadecimal, a signature if chunks are signed, and its bytes; the last chunk is
empty. A trailer may follow, with a checksum of the whole content and its own signature:

    10000;chunk-signature=ad80…\r\n  <65536 bytes>\r\n  0;chunk-signature=b6c6…\r\n  x-amz-checksum-crc32:…\r\n  \r\n

The decoder is a state machine (`_size_line`, `_content`, `_trailer`, `_end`); each state consumes what it can from the
buffer and returns whether it made progress. Each signature covers the previous one, the first the request's own, so
chunks cannot be changed, moved, omitted or added. Signed chunks are buffered until their signature is verified,
unsigned ones are returned as they arrive. `finish` checks that the body ended after the empty chunk and a valid
trailer, with `x-amz-decoded-content-length` bytes. INVARIANT: the body is complete only after `finish` has returned.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Final

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import SigV4Credential
from iam_guard.authn.signatures.checksums import PREFIX, Checksum, check_checksum, checksum_of
from iam_guard.authn.signatures.payload_hash import CHUNKED, Chunking
from iam_guard.errors import MalformedRequest, RequestTooLarge, SignatureDoesNotMatch

MIN_CHUNK_SIZE: Final = 8 * 1024
"""Minimum bytes of every chunk but the last, as with S3, since a signature is verified for each."""

_EMPTY_HASH: Final = hashlib.sha256(b"").hexdigest()
_MAX_LINE: Final = 512
_MAX_TRAILER: Final = 4 * 1024
_SIGNATURE = r"[0-9a-f]{16,144}\*{0,128}"  # SigV4A pads signatures to a fixed length
_SIZE = re.compile(rf"([0-9A-Fa-f]{{1,16}})(?:;chunk-signature=({_SIGNATURE}))?".encode("ascii"))
_LENGTH = re.compile(rb"[0-9]{1,16}")
_TRAILER_NAME = re.compile(r"[a-z0-9-]{1,64}")
_TRAILER_SIGNATURE: Final = "x-amz-trailer-signature"

IsSignature = Callable[[str, bytes], bool]
"""Return whether a hexadecimal signature of a text is the signer's."""


class ChunkedBody:
    """The decoder of one body: call `begin` with the request's signature, `receive` with bytes, `finish` at the end."""

    def __init__(self, request: HttpRequest, stated: str, *, max_chunk: int, max_body_size: int) -> None:
        """Read length and trailer from the headers. Raises `MalformedRequest`, `RequestTooLarge`."""
        self._chunking: Chunking = CHUNKED[stated]
        self._longest_chunk = max_chunk
        self.length = _announced_length(request, max_body_size)
        self._trailer_name = _announced_trailer(request, self._chunking)
        self._checksum: Checksum | None = checksum_of(self._trailer_name) if self._trailer_name else None
        self._buffer = bytearray()
        self._content_parts: list[bytes] = []
        self._size = self._remaining = self._total = 0
        self._chunk_signature = self._previous = ""
        self._head = ""
        self._is_signature: IsSignature | None = None
        self._step = self._size_line

    def begin(self, credential: SigV4Credential, is_signature: IsSignature) -> None:
        """Start the chain with the request's verified signature."""
        self._head = f"{credential.timestamp}\n{credential.scope}"
        self._previous = credential.signature
        self._is_signature = is_signature

    def receive(self, data: bytes) -> bytes:
        """Add bytes; return the content that they complete. Raises `SignatureDoesNotMatch`, `MalformedRequest`."""
        if self._is_signature is None:
            raise SignatureDoesNotMatch()  # the request has not been verified
        self._buffer += data
        while self._step():
            pass
        content = b"".join(self._content_parts)
        self._content_parts.clear()
        return content

    @property
    def held(self) -> int:
        """Number of buffered bytes of an incomplete chunk."""
        return len(self._buffer)

    def finish(self) -> None:
        """Raise `MalformedRequest` for an incomplete body."""
        if self._step != self._end:
            raise MalformedRequest("the body ended before it was complete", place="body")

    # --- the states --------------------------------------------------------------------------------------------

    def _size_line(self) -> bool:
        line = self._until(b"\r\n", _MAX_LINE, "expected the size of a chunk")
        if line is None:
            return False
        match = _SIZE.fullmatch(line)
        if match is None or (match[2] is None) is (self._chunking.algorithm is not None):
            raise MalformedRequest("expected the size of a chunk, and its signature if chunks are signed", place="body")
        if self._total and self._size < MIN_CHUNK_SIZE and int(match[1], 16):
            raise MalformedRequest(f"expected chunks of at least {MIN_CHUNK_SIZE} bytes before the last", place="body")
        self._size = self._remaining = int(match[1], 16)
        self._chunk_signature = (match[2] or b"").decode("ascii")
        self._total += self._size
        if self._total > self.length:
            raise MalformedRequest(f"expected {self.length} bytes, as announced, got more", place="body")
        if self._chunking.algorithm is not None and self._size > self._longest_chunk:
            raise RequestTooLarge(f"expected signed chunks of at most {self._longest_chunk} bytes", place="body")
        if self._size:
            self._step = self._content
        else:
            self._end_of_content()
        return True

    def _content(self) -> bool:
        if self._chunking.algorithm is None:
            return self._unsigned_content()
        if len(self._buffer) < self._size + 2:
            return False
        chunk = bytes(self._buffer[: self._size])
        self._end_of_chunk(self._size)
        self._check_chunk(chunk)
        self._emit(chunk)
        return True

    def _unsigned_content(self) -> bool:
        part = bytes(self._buffer[: self._remaining])
        del self._buffer[: len(part)]
        self._remaining -= len(part)
        self._emit(part)
        if self._remaining or len(self._buffer) < 2:
            return False
        self._end_of_chunk(0)
        return True

    def _trailer(self) -> bool:
        trailer = self._until(b"\r\n\r\n", _MAX_TRAILER, f"expected a trailer of at most {_MAX_TRAILER} bytes")
        if trailer is None:
            return False
        self._check_trailer(trailer.decode("latin-1").split("\r\n"))
        self._step = self._end
        return True

    def _end(self) -> bool:
        if self._buffer:
            raise MalformedRequest("expected the end of the body, got more", place="body")
        return False

    # --- helpers of the states ---------------------------------------------------------------------------------

    def _until(self, mark: bytes, limit: int, expected: str) -> bytes | None:
        """Consume the bytes up to a mark, which must end within the limit; None if it has not arrived yet."""
        end = self._buffer.find(mark, 0, limit)
        if end < 0:
            if len(self._buffer) >= limit:
                raise MalformedRequest(expected, place="body")
            return None
        content = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return content

    def _emit(self, content: bytes) -> None:
        if self._checksum is not None:
            self._checksum.update(content)
        self._content_parts.append(content)

    def _end_of_chunk(self, size: int) -> None:
        if self._buffer[size : size + 2] != b"\r\n":
            raise MalformedRequest("expected a line break after a chunk", place="body")
        del self._buffer[: size + 2]
        self._step = self._size_line

    def _end_of_content(self) -> None:
        """Check the empty chunk and the length of the content."""
        if self._total != self.length:
            raise MalformedRequest(f"expected {self.length} bytes, as announced, got {self._total}", place="body")
        self._check_chunk(b"")
        self._step = self._trailer
        if not self._chunking.has_trailer:
            self._buffer[:0] = b"\r\n"  # an empty trailer, ended by the line break after the empty chunk

    def _check_chunk(self, chunk: bytes) -> None:
        if self._chunking.algorithm is not None:
            digest = hashlib.sha256(chunk).hexdigest()
            self._check(f"{self._chunking.algorithm}-PAYLOAD", self._chunk_signature, f"{_EMPTY_HASH}\n{digest}")

    def _check(self, kind: str, signature: str, rest: str) -> None:
        """Check a signature of the chain, without its padding."""
        is_well_formed = re.fullmatch(_SIGNATURE, signature) is not None
        signature = signature.rstrip("*")
        text = f"{kind}\n{self._head}\n{self._previous}\n{rest}".encode("ascii")
        is_signature = self._is_signature
        if is_signature is None or not is_well_formed or not is_signature(signature, text):
            raise SignatureDoesNotMatch(place="body")
        self._previous = signature

    def _check_trailer(self, lines: list[str]) -> None:
        """Check the trailer's names, signature and checksum."""
        fields = _trailer_fields(lines)
        signature = fields.pop(_TRAILER_SIGNATURE, None)
        expected = [self._trailer_name] if self._trailer_name else []
        is_signed = self._chunking.has_trailer and self._chunking.algorithm is not None
        if list(fields) != expected or is_signed is not (signature is not None):
            raise MalformedRequest("expected the trailer that `x-amz-trailer` announced", place="body")
        if signature is not None:
            text = "".join(f"{name}:{value}\n" for name, value in fields.items())
            digest = hashlib.sha256(text.encode("latin-1")).hexdigest()
            self._check(f"{self._chunking.algorithm}-TRAILER", signature, digest)
        if self._checksum is not None:
            check_checksum(self._trailer_name, fields[self._trailer_name], self._checksum)


def _trailer_fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in filter(None, lines):
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or _TRAILER_NAME.fullmatch(name) is None or name in fields:
            raise MalformedRequest("expected a trailer of names and values, each name once", place="body")
        fields[name] = value.strip(" \t")
    return fields


def _announced_length(request: HttpRequest, max_length: int) -> int:
    values = request.values(b"x-amz-decoded-content-length")
    if len(values) != 1 or _LENGTH.fullmatch(values[0].strip()) is None:
        message = "expected the length of the content in bytes, once"
        raise MalformedRequest(message, place="x-amz-decoded-content-length")
    length = int(values[0])
    if length > max_length:
        raise RequestTooLarge(f"expected a body of at most {max_length} bytes", place="x-amz-decoded-content-length")
    return length


def _announced_trailer(request: HttpRequest, chunking: Chunking) -> str:
    """Return the name of the announced trailer, empty without one. Like S3, accepts a single checksum."""
    values = request.values(b"x-amz-trailer")
    if not values and not chunking.has_trailer:
        return ""
    text = b",".join(values).decode("latin-1").strip().lower()
    if not chunking.has_trailer or not text.startswith(PREFIX) or _TRAILER_NAME.fullmatch(text) is None:
        message = "expected the name of one checksum, for a body with a trailer"
        raise MalformedRequest(message, place="x-amz-trailer")
    return text
