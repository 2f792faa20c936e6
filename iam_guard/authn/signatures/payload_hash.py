"""The body hash that a signed request states: a SHA-256, unsigned, or a kind of chunked body.

It is the header `x-amz-content-sha256` or, of a presigned request, also the query parameter; without it the received
body is hashed. The stated value is part of the signed text. `CHUNKED` is the table of chunked bodies (`aws-chunked`).

Unsigned bodies are accepted only for routes that allow them. S3's clients presign without the body and state no hash;
their requests count as unsigned on such routes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from iam_guard.authn.constant_time import same
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import ALGORITHM, ASYMMETRIC, SigV4Credential
from iam_guard.authn.signatures.canonical import S3_STYLE
from iam_guard.authn.signatures.percent_decoding import unescaped
from iam_guard.errors import IncompleteSignature, SignatureDoesNotMatch

UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_PLACE: Final = "x-amz-content-sha256"
_HEADER: Final = b"x-amz-content-sha256"
_PARAMETER: Final = b"X-Amz-Content-Sha256"
_SHA256_HEX = re.compile(rb"[0-9a-f]{64}")


class Chunking(NamedTuple):
    """A kind of chunked body. `algorithm` signs each chunk; None for unsigned chunks."""

    algorithm: str | None
    has_trailer: bool


CHUNKED: Mapping[str, Chunking] = {
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": Chunking(ALGORITHM, has_trailer=False),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": Chunking(ALGORITHM, has_trailer=True),
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD": Chunking(ASYMMETRIC, has_trailer=False),
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER": Chunking(ASYMMETRIC, has_trailer=True),
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": Chunking(None, has_trailer=True),
}
"""The values of `x-amz-content-sha256` for chunked bodies."""


def stated_payload(
    request: HttpRequest, credential: SigV4Credential, *, unsigned: bool = False, chunked: bool = False
) -> str | None:
    """Return the stated hash of the body: a SHA-256, `UNSIGNED`, a key of `CHUNKED`, or None.

    `unsigned` and `chunked` enable these kinds. Raises `IncompleteSignature` for any other value.
    """
    values = request.by_name.get(_HEADER)
    if credential.is_presigned:
        values = [*(values or ()), *_in_query(request.query_string)]
        if not values:
            return UNSIGNED if unsigned and credential.service in S3_STYLE else None
    elif values is None:
        return None
    if len(values) != 1:
        raise IncompleteSignature(f"expected one value, got {len(values)}", place=_PLACE)
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
    return stated in CHUNKED


def is_unsigned(stated: str | None) -> bool:
    """Return whether the signature does not cover the body."""
    return stated is not None and (stated == UNSIGNED or (stated in CHUNKED and CHUNKED[stated].algorithm is None))


def check_payload(stated: str, computed: str) -> None:
    """Raise `SignatureDoesNotMatch` for a body with another hash than the signed one."""
    if not same(stated, computed):
        message = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise SignatureDoesNotMatch(message, place=_PLACE)
