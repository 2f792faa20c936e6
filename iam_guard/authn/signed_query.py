"""A signature in the query of a URL (a presigned request), read: its parts, its scope, its time and how long it lasts.

The parameters have the names that AWS's signers write, each once. A name that differs in case alone, or is written in
another encoding, is taken for the same parameter when they are counted, and is refused where it is read: what an
application or a proxy makes of the two is anybody's guess. `X-Amz-Expires` may be absent, as with AWS's own STS, for
some SDKs leave it out; such a signature lasts no longer than one in a header does.

Signature Version 2 is recognised, in order to be refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.percent_decoding import roughly_unescaped, unescaped
from iam_guard.authn.presented_credentials import ALGORITHM, ASYMMETRIC, Claim, SigV4Credential
from iam_guard.authn.signature_parts import (
    iso_basic,
    printable,
    read_region_set,
    read_scope,
    read_signature,
    read_signed_headers,
)
from iam_guard.errors import IncompleteSignature, SignatureDoesNotMatch

LONGEST: Final = 604_800
"""Seconds that a presigned request may last: seven days."""
NOT_SUPPORTED: Final = f"The authorization mechanism you have provided is not supported. Please use {ALGORITHM}."

MAX_TARGET: Final = 8 * 1024
"""Bytes of the path and the query of a signed request, as common servers have it for every request."""
MAX_PARAMETERS: Final = 250
"""Parameters of the query of a signed request."""

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
_MISSPELT = "expected the query parameter `{}`, each of its letters as here and not percent-encoded"
_CLAIMED_ACCESS_KEY_ID = re.compile(rb"(\w{3,128})/")


def has_signature(query: bytes) -> bool:
    """Return whether a query carries a signature, or a part of one."""
    return bool(query) and not _marks(query).isdisjoint(_MARKS)


def is_too_long(path: bytes, query: bytes) -> bool:
    """Return whether path and query are longer than a signature is checked for."""
    return len(path) + len(query) > MAX_TARGET or query.count(b"&") >= MAX_PARAMETERS


def claimed(query: bytes) -> Claim | None:
    """Return what a signature in the query claims, unchecked; None without one."""
    marks = _marks(query) if query else frozenset()
    if marks.isdisjoint(_MARKS):
        return None
    if marks.isdisjoint(_SIGNATURES) or is_too_long(b"", query):
        return Claim("unknown", None)
    for name, _, value in _pairs(query):
        if name.lower() == b"x-amz-credential":
            found = _CLAIMED_ACCESS_KEY_ID.match(unescaped(value))
            return Claim("sigv4", found[1].decode("ascii") if found else None)
    return Claim("sigv4", None)


def _marks(query: bytes) -> frozenset[bytes]:
    """Return the names of the parameters in lower case; none where, at a glance, none can matter."""
    marks = _marks_at_a_glance(query)
    if not marks or is_too_long(b"", query):
        return marks
    return frozenset(name.lower() for name, _, _ in _pairs(query))


@lru_cache(maxsize=4)  # as below, and no more than a few hundred KiB
def _marks_at_a_glance(query: bytes) -> frozenset[bytes]:
    """Return the marks that stand where a name may stand, and those after an encoded `&`, which is none."""
    text = b"&" + roughly_unescaped(query).lower() + b"&"
    if b"&x-amz-" not in text and b"&" + _VERSION_2 not in text:
        return frozenset()
    return frozenset(mark for mark in _MARKS if b"&" + mark + b"=" in text or b"&" + mark + b"&" in text)


@lru_cache(maxsize=8)  # of one request it is asked for several times
def _pairs(query: bytes) -> tuple[tuple[bytes, bytes, bytes], ...]:
    """Return each parameter: its name decoded, its name as sent, its value as sent."""
    parts = [part.partition(b"=") for part in query.split(b"&")]
    return tuple([(unescaped(name.replace(b"+", b" ")), name, value) for name, _, value in parts])


def signed_query(request: HttpRequest) -> SigV4Credential:
    """Read the signature in the query. Raises a `CredentialError` for what is not exactly one, well-formed."""
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
    """Return the parameters of the signature. Raises `IncompleteSignature` for any of AWS's names that stands twice."""
    found: dict[str, str] = {}
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
        known = _NAMES.get(lower.decode("latin-1"))
        if known is not None:
            if as_sent != known.encode("ascii"):
                raise IncompleteSignature(_MISSPELT.format(known), place=_PLACE)
            found[known] = printable(unescaped(value.replace(b"+", b" ")), _PLACE)
    return found


def _check_complete(parameters: Mapping[str, str]) -> None:
    """Refuse what is incomplete, naming everything that lacks at once, as AWS does, and algorithms that are none."""
    algorithm = parameters.get("X-Amz-Algorithm")
    required = (*_REQUIRED, "X-Amz-Region-Set") if algorithm == ASYMMETRIC else _REQUIRED
    lacking = [f"AWS query-string parameters must include '{name}'." for name in required if not parameters.get(name)]
    if lacking:
        raise IncompleteSignature(f"{' '.join(lacking)} Re-examine the query-string parameters.", place=_PLACE)
    if algorithm not in (ALGORITHM, ASYMMETRIC):
        raise IncompleteSignature(f'X-Amz-Algorithm only supports "{ALGORITHM} and {ASYMMETRIC}"', place=_PLACE)


def _seconds(text: str | None) -> int | None:
    """Return how long the request lasts. Raises `SignatureDoesNotMatch` in S3's words for what is out of bounds."""
    if text is None:
        return None
    if _SECONDS.fullmatch(text) is None:
        raise SignatureDoesNotMatch("X-Amz-Expires should be a number", place=_PLACE)
    seconds = int(text)
    if seconds < 1:
        message = "X-Amz-Expires must be non-negative" if seconds else "X-Amz-Expires must be at least 1 second"
        raise SignatureDoesNotMatch(message, place=_PLACE)
    if seconds > LONGEST:
        message = (
            "X-Amz-Expires must be less than a week (in seconds); "
            f"that is, the given X-Amz-Expires must be less than {LONGEST} seconds"
        )
        raise SignatureDoesNotMatch(message, place=_PLACE)
    return seconds
