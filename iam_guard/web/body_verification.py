"""How the body of a signed request is verified, whatever hands it over: which way it goes, and one that is too long.

Pure: parts of a body go in, what may be given on comes out. Both entrances share it, the one that waits
(`web/asgi/body`, `web/asgi/streaming_body`) and the one that reads (`web/wsgi/body`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from iam_guard.authn.credential_verifier import (
    ChunkedBody,
    SigV4Credential,
    check_payload,
    is_chunked,
    is_unsigned,
    stated_payload,
)
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import RequestTooLarge
from iam_guard.settings import Settings

EMPTY_HASH: Final = hashlib.sha256(b"").hexdigest()

TakesUnsigned = Callable[[], bool]

_AWS_CHUNKED: Final = "aws-chunked"


class Payload(NamedTuple):
    """What a signed request says of its body: its hash, if it tells one, and the decoder of a body in chunks."""

    stated: str | None
    is_unsigned: bool
    chunks: ChunkedBody | None


def payload_of(
    request: HttpRequest, credential: SigV4Credential, settings: Settings, takes_unsigned: TakesUnsigned
) -> Payload:
    """Read what is said of the body; `takes_unsigned` is asked where the signature leaves the body out.

    Raises `IncompleteSignature` for what is not accepted, `MalformedRequest` and `RequestTooLarge` for chunks that
    cannot be.
    """
    stated = stated_payload(request, credential, unsigned=True, chunked=True)
    unsigned = is_unsigned(stated)
    if unsigned and not takes_unsigned():
        stated, unsigned = stated_payload(request, credential, chunked=True), False
    if stated is None or not is_chunked(stated):
        return Payload(stated, unsigned, None)
    chunks = ChunkedBody(request, stated, longest_chunk=settings.max_body, longest_body=settings.max_stream)
    return Payload(stated, unsigned, chunks)


class Digest(Protocol):
    """A SHA-256 that is computed as the bytes come."""

    def update(self, data: bytes, /) -> None:
        """Take further bytes in."""

    def hexdigest(self) -> str:
        """Return the hash of all bytes so far, in hexadecimal."""


class HashedParts:
    """A body that is too long to be held, whose hash the request states: its last part waits for the hash.

    `digest` and `size` are of what was read of it before, of which `held` was not given on yet.
    """

    def __init__(
        self, stated: str, *, longest: int, digest: Digest | None = None, size: int = 0, held: bytes = b""
    ) -> None:
        self._stated = stated
        self._longest = longest
        self._digest = hashlib.sha256() if digest is None else digest
        self._size = size
        self._held = held

    def receive(self, part: bytes) -> bytes:
        """Take a part, give the one before. Raises `RequestTooLarge`."""
        self._size += len(part)
        if self._size > self._longest:
            raise too_large(self._longest)
        self._digest.update(part)
        if not part:
            return b""
        given, self._held = self._held, part
        return given

    def finish(self) -> bytes:
        """Return the last part. Raises `SignatureDoesNotMatch` for another body than the one that was signed."""
        check_payload(self._stated, self._digest.hexdigest())
        return self._held


def codings_of_content(values: Iterable[str]) -> str:
    """Return the `content-encoding` that is left of a body in chunks once its chunks are read."""
    codings = (each.strip() for each in ",".join(values).split(","))
    return ", ".join(coding for coding in codings if coding and coding.lower() != _AWS_CHUNKED)


def too_large(limit: int) -> RequestTooLarge:
    """Say that a body is over the limit."""
    return RequestTooLarge(f"expected a body of at most {limit} bytes", place="body")
