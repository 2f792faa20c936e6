"""Verify the body of a signed request: shared by ASGI (`asgi/body`, `asgi/streaming_body`) and WSGI (`wsgi/body`).

No I/O: callers pass the parts of a body in, and get back what the application may read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol, TypeAlias

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import SigV4Credential
from iam_guard.authn.signatures.chunked import ChunkedBody
from iam_guard.authn.signatures.payload_hash import check_payload, is_chunked, is_unsigned, stated_payload
from iam_guard.errors import IamGuardError, RequestTooLarge
from iam_guard.settings import Settings

EMPTY_HASH: Final = hashlib.sha256(b"").hexdigest()

TakesUnsigned = Callable[[], bool]

_AWS_CHUNKED: Final = "aws-chunked"


class Payload(NamedTuple):
    """How a signed request declares its body: the stated hash, if any, and the decoder of a chunked body."""

    stated: str | None
    is_unsigned: bool
    chunks: ChunkedBody | None


def payload_of(
    request: HttpRequest, credential: SigV4Credential, settings: Settings, takes_unsigned: TakesUnsigned
) -> Payload:
    """Return how the body is declared; `takes_unsigned` is called if the signature does not cover the body.

    Raises `IncompleteSignature` for a declaration that is not accepted, `MalformedRequest` and `RequestTooLarge` for
    invalid chunks.
    """
    stated = stated_payload(request, credential, unsigned=True, chunked=True)
    unsigned = is_unsigned(stated)
    if unsigned and not takes_unsigned():
        stated, unsigned = stated_payload(request, credential, chunked=True), False
    if stated is None or not is_chunked(stated):
        return Payload(stated, unsigned, None)
    chunks = ChunkedBody(request, stated, max_chunk=settings.max_body, max_body_size=settings.max_stream)
    return Payload(stated, unsigned, chunks)


class Digest(Protocol):
    """An incremental SHA-256."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the hexadecimal hash of all bytes so far."""


def empty_hash() -> str:
    """Return the hash of an empty body, for a request whose body is not read."""
    return EMPTY_HASH


class SignedBody(Protocol):
    """The body of a signed request, read or wrapped."""

    @property
    def is_unsigned(self) -> bool:
        """Whether the signature does not cover it."""

    @property
    def chunks(self) -> ChunkedBody | None:
        """What decodes a chunked body."""

    @property
    def refusal(self) -> IamGuardError | None:
        """Why the body is not the signed one; set while it is read."""

    def hash(self) -> str:
        """Return the hexadecimal SHA-256 of the body; before it is read, the stated one."""

    def release(self) -> None:
        """Free the memory that it takes."""


class HashedParts:
    """The parts of a body too long to buffer: the last part is withheld until the hash is verified.

    `digest` and `size` cover the bytes read before; of these, `pending` was not passed on yet.
    """

    def __init__(self, stated: str, *, max_size: int, digest: Digest, size: int, pending: bytes) -> None:
        self._stated = stated
        self._max_size = max_size
        self._digest = digest
        self._size = size
        self._pending = pending

    def receive(self, part: bytes) -> bytes:
        """Add a part, and return the previous one. Raises `RequestTooLarge`."""
        self._size += len(part)
        if self._size > self._max_size:
            raise too_large(self._max_size)
        self._digest.update(part)
        if not part:
            return b""
        ready, self._pending = self._pending, part
        return ready

    def finish(self) -> bytes:
        """Return the last part. Raises `SignatureDoesNotMatch` if the body is not the signed one."""
        check_payload(self._stated, self._digest.hexdigest())
        return self._pending


class DecodedParts:
    """The parts of a chunked body. `reserve` is called with the number of bytes that an incomplete chunk takes."""

    def __init__(self, chunks: ChunkedBody, reserve: Callable[[int], None]) -> None:
        self._chunks = chunks
        self._reserve = reserve

    def receive(self, part: bytes) -> bytes:
        """Add a part, and return the content of the chunks that it completes."""
        content = self._chunks.receive(part)
        self._reserve(self._chunks.held)
        return content

    def finish(self) -> bytes:
        """Return nothing. Raises `MalformedRequest` for an incomplete body."""
        self._chunks.finish()
        return b""


BodyParts: TypeAlias = HashedParts | DecodedParts
"""Verifies a body while its parts arrive."""


_CODING_HEADERS: Final = (b"content-encoding", b"content-length", b"transfer-encoding")


def headers_of_content(headers: Iterable[tuple[bytes, bytes]], length: int | None) -> list[tuple[bytes, bytes]]:
    """Return the headers of a chunked body of `length` bytes after its chunks are decoded."""
    kept = [(name, value) for name, value in headers if name.lower() not in _CODING_HEADERS]
    codings = [value for name, value in headers if name.lower() == b"content-encoding"]
    left = codings_of_content(value.decode("latin-1") for value in codings)
    if left:
        kept.append((b"content-encoding", left.encode("latin-1")))
    kept.append((b"content-length", str(length).encode("ascii")))
    return kept


def codings_of_content(values: Iterable[str]) -> str:
    """Return the `content-encoding` of a chunked body after its chunks are decoded."""
    codings = (coding.strip() for coding in ",".join(values).split(","))
    return ", ".join(coding for coding in codings if coding and coding.lower() != _AWS_CHUNKED)


def too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"expected a body of at most {limit} bytes", place="body")
