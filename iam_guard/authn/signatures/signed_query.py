"""Parse the signature in the query of a URL (a presigned request): its parts, scope, time and lifetime.

Each parameter must occur once, with the exact name that AWS's signers write. A name in another case or percent-encoded
is counted as the same parameter and refused, since applications and proxies differ in what they make of it.
`X-Amz-Expires` is optional, as with AWS's STS; without it the signature is valid as long as one in a header.

Signature Version 2 is detected and refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import ALGORITHM, ASYMMETRIC, Claim, SigV4Credential
from iam_guard.authn.signatures.percent_decoding import roughly_unescaped, unescaped
from iam_guard.authn.signatures.signature_parts import (
    iso_basic,
    printable,
    read_region_set,
    read_scope,
    read_signature,
    read_signed_headers,
)
from iam_guard.errors import IncompleteSignature, SignatureDoesNotMatch

MAX_EXPIRES: Final = 604_800
"""Maximum lifetime of a presigned request in seconds: seven days."""
NOT_SUPPORTED: Final = f"The authorization mechanism you have provided is not supported. Please use {ALGORITHM}."

MAX_TARGET: Final = 8 * 1024
"""Maximum bytes of path and query of a signed request, the usual limit of servers."""
MAX_PARAMETERS: Final = 250
"""Maximum number of query parameters of a signed request."""

_PLACE = "query"
_REQUIRED = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date")
_NAMES = {
    name.lower(): name
    for name in (*_REQUIRED, "X-Amz-Expires", "X-Amz-Security-Token", "X-Amz-Region-Set", "X-Amz-Content-Sha256")
}
_SIGNATURES = frozenset({b"x-amz-algorithm", b"x-amz-credential", b"x-amz-signature"})
_VERSION_2 = b"awsaccesskeyid"
_MARKS = _SIGNATURES | {_VERSION_2}
_SECONDS = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_MISSPELT = "expected the query parameter `{}` with this case and not percent-encoded"
_CLAIMED_ACCESS_KEY_ID = re.compile(rb"(\w{3,128})/")


def has_signature(query: bytes) -> bool:
    """Return whether a query contains a signature or a part of one."""
    return bool(query) and not _marks(query).isdisjoint(_MARKS)


def is_too_long(path: bytes, query: bytes) -> bool:
    """Return whether path and query exceed the limits for signed requests."""
    return len(path) + len(query) > MAX_TARGET or query.count(b"&") >= MAX_PARAMETERS


def claimed(query: bytes) -> Claim | None:
    """Return the unverified claim of a signature in the query; None without one."""
    marks = _marks(query) if query else frozenset()
    if marks.isdisjoint(_MARKS):
        return None
    if marks.isdisjoint(_SIGNATURES) or is_too_long(b"", query):
        return Claim("unknown", None)
    for name, _, value in _pairs(query):
        if name.lower() == b"x-amz-credential":
            match = _CLAIMED_ACCESS_KEY_ID.match(unescaped(value))
            return Claim("sigv4", match[1].decode("ascii") if match else None)
    return Claim("sigv4", None)


def _marks(query: bytes) -> frozenset[bytes]:
    """Return the parameter names in lower case; empty if a quick scan finds none of a signature."""
    marks = _scanned_marks(query)
    if not marks or is_too_long(b"", query):
        return marks
    return frozenset(name.lower() for name, _, _ in _pairs(query))


@lru_cache(maxsize=4)  # called several times per request; few entries, since a query can be hundreds of KiB
def _scanned_marks(query: bytes) -> frozenset[bytes]:
    """Return the signature's parameter names found by a quick scan, which also matches after an encoded `&`."""
    text = b"&" + roughly_unescaped(query).lower() + b"&"
    if b"&x-amz-" not in text and b"&" + _VERSION_2 not in text:
        return frozenset()
    return frozenset(mark for mark in _MARKS if b"&" + mark + b"=" in text or b"&" + mark + b"&" in text)


@lru_cache(maxsize=8)  # called several times per request
def _pairs(query: bytes) -> tuple[tuple[bytes, bytes, bytes], ...]:
    """Return (decoded name, name as sent, value as sent) of each parameter."""
    parts = [part.partition(b"=") for part in query.split(b"&")]
    return tuple([(unescaped(name.replace(b"+", b" ")), name, value) for name, _, value in parts])


def signed_query(request: HttpRequest) -> SigV4Credential:
    """Parse the signature in the query. Raises a `CredentialError` unless it is exactly one, well-formed."""
    parameters = _parameters(request.query_string)
    _check_complete(parameters)
    algorithm = parameters["X-Amz-Algorithm"]
    access_key_id, date, region, service = read_scope(parameters["X-Amz-Credential"], algorithm, _PLACE)
    if algorithm == ASYMMETRIC:
        region = read_region_set(parameters["X-Amz-Region-Set"], _PLACE)
    return SigV4Credential(
        access_key_id,
        date,
        region,
        service,
        read_signed_headers(parameters["X-Amz-SignedHeaders"], _PLACE),
        read_signature(parameters["X-Amz-Signature"], algorithm, _PLACE),
        iso_basic(parameters["X-Amz-Date"]),
        parameters.get("X-Amz-Security-Token"),
        algorithm,
        is_presigned=True,
        expires=_seconds(parameters.get("X-Amz-Expires")),
    )


def _parameters(query: bytes) -> Mapping[str, str]:
    """Return the signature's parameters. Raises `IncompleteSignature` for a repeated `X-Amz-` parameter."""
    parameters: dict[str, str] = {}
    seen: set[bytes] = set()
    for name, as_sent, value in _pairs(query):
        lower = name.lower()
        if lower == _VERSION_2:
            raise IncompleteSignature(NOT_SUPPORTED, place=_PLACE)
        if not lower.startswith(b"x-amz-"):
            continue
        if lower in seen:
            raise IncompleteSignature("expected each X-Amz- parameter once, got one twice", place=_PLACE)
        seen.add(lower)
        expected = _NAMES.get(lower.decode("latin-1"))
        if expected is not None:
            if as_sent != expected.encode("ascii"):
                raise IncompleteSignature(_MISSPELT.format(expected), place=_PLACE)
            parameters[expected] = printable(unescaped(value.replace(b"+", b" ")), _PLACE)
    return parameters


def _check_complete(parameters: Mapping[str, str]) -> None:
    """Raise `IncompleteSignature` for missing parameters, naming all of them as AWS does, or an unknown algorithm."""
    algorithm = parameters.get("X-Amz-Algorithm")
    required = (*_REQUIRED, "X-Amz-Region-Set") if algorithm == ASYMMETRIC else _REQUIRED
    missing = [f"AWS query-string parameters must include '{name}'." for name in required if not parameters.get(name)]
    if missing:
        raise IncompleteSignature(f"{' '.join(missing)} Re-examine the query-string parameters.", place=_PLACE)
    if algorithm not in (ALGORITHM, ASYMMETRIC):
        raise IncompleteSignature(f'X-Amz-Algorithm only supports "{ALGORITHM} and {ASYMMETRIC}"', place=_PLACE)


def _seconds(text: str | None) -> int | None:
    """Return the lifetime in seconds. Raises `SignatureDoesNotMatch` with S3's messages if out of range."""
    if text is None:
        return None
    if _SECONDS.fullmatch(text) is None:
        raise SignatureDoesNotMatch("X-Amz-Expires should be a number", place=_PLACE)
    seconds = int(text)
    if seconds < 1:
        message = "X-Amz-Expires must be non-negative" if seconds else "X-Amz-Expires must be at least 1 second"
        raise SignatureDoesNotMatch(message, place=_PLACE)
    if seconds > MAX_EXPIRES:
        message = (
            "X-Amz-Expires must be less than a week (in seconds); "
            f"that is, the given X-Amz-Expires must be less than {MAX_EXPIRES} seconds"
        )
        raise SignatureDoesNotMatch(message, place=_PLACE)
    return seconds
