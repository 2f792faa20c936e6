"""What a signed request says of its body: its SHA-256, that it is not signed, or that it comes in chunks.

`x-amz-content-sha256` says it, in a header or, of a presigned request, in the query; without it the body is hashed as
it came. Whatever it says is a line of what was signed. A table tells the kinds of bodies in chunks (`aws-chunked`).

A body that the signature does not cover is accepted only where the caller of this room says so, for one route. S3's
clients presign without the body and do not say so; theirs are read as unsigned where that is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from iam_guard.authn.canonical import S3_STYLE
from iam_guard.authn.constant_time import same
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.percent_decoding import unescaped
from iam_guard.authn.presented_credentials import ALGORITHM, ASYMMETRIC, SigV4Credential
from iam_guard.errors import IncompleteSignature, SignatureDoesNotMatch

UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_PLACE: Final = "x-amz-content-sha256"
_HEADER: Final = b"x-amz-content-sha256"
_PARAMETER: Final = b"X-Amz-Content-Sha256"
_SHA256_HEX = re.compile(rb"[0-9a-f]{64}")


class Chunking(NamedTuple):
    """One kind of body in chunks. `algorithm` is what signs each chunk, None where nothing does."""

    algorithm: str | None
    has_trailer: bool


CHUNKED: Mapping[str, Chunking] = {
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": Chunking(ALGORITHM, has_trailer=False),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": Chunking(ALGORITHM, has_trailer=True),
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD": Chunking(ASYMMETRIC, has_trailer=False),
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER": Chunking(ASYMMETRIC, has_trailer=True),
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": Chunking(None, has_trailer=True),
}
"""What `x-amz-content-sha256` says of a body in chunks."""


def stated_payload(
    request: HttpRequest, credential: SigV4Credential, *, unsigned: bool = False, chunked: bool = False
) -> str | None:
    """Return the stated hash of the body: a hash, `UNSIGNED`, a name of `CHUNKED`, or None.

    `unsigned` and `chunked` tell what is accepted. Raises `IncompleteSignature` for everything else.
    """
    values = request.by_name.get(_HEADER)
    if credential.is_presigned:
        values = [*(values or ()), *_in_query(request.query_string)]
        if not values:
            return UNSIGNED if unsigned and credential.service in S3_STYLE else None
    elif values is None:
        return None
    if len(values) != 1:
        raise IncompleteSignature(f"expected it once, got it {len(values)} times", place=_PLACE)
    value = values[0].strip()
    if _SHA256_HEX.fullmatch(value):
        return value.decode("ascii")
    return _other(value.decode("latin-1"), credential.algorithm, unsigned=unsigned, chunked=chunked)


def _in_query(query: bytes) -> Sequence[bytes]:
    pairs = (part.partition(b"=") for part in query.split(b"&"))
    return [unescaped(value) for name, _, value in pairs if name == _PARAMETER]


def _other(text: str, algorithm: str, *, unsigned: bool, chunked: bool) -> str:
    if text == UNSIGNED and unsigned:
        return text
    chunking = CHUNKED.get(text) if chunked else None
    if chunking is not None and (chunking.algorithm == algorithm or (chunking.algorithm is None and unsigned)):
        return text
    if text == UNSIGNED or text in CHUNKED:
        message = "unsigned and streaming payloads are not accepted here: expected the SHA-256 of the body"
    else:
        message = "expected the SHA-256 of the body in hexadecimal"
    raise IncompleteSignature(message, place=_PLACE)


def is_chunked(stated: str | None) -> bool:
    """Return whether the body comes in chunks."""
    return stated in CHUNKED


def is_unsigned(stated: str | None) -> bool:
    """Return whether the signature covers no byte of the body."""
    return stated is not None and (stated == UNSIGNED or (stated in CHUNKED and CHUNKED[stated].algorithm is None))


def check_payload(stated: str, computed: str) -> None:
    """Refuse a body that is not the one whose hash was signed."""
    if not same(stated, computed):
        message = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise SignatureDoesNotMatch(message, place=_PLACE)
