"""Verify Signature Version 4, and SigV4A with the keys of `sigv4a`.

Form, time and coverage are checked before the key is looked up, so that refusals are cheap. Then each canonical request
that the received request allows (`canonical`) is signed with the caller's secret and compared in constant time. The
signing key depends on secret and scope only, so it is cached (`caller_cache`).
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeAlias

from iam_guard.authn.constant_time import same
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import ASYMMETRIC, TERMINATOR, SigV4Credential
from iam_guard.authn.signatures import sigv4a
from iam_guard.authn.signatures.canonical import canonical_requests, named_headers
from iam_guard.authn.signatures.signature_parts import parse_timestamp
from iam_guard.errors import IncompleteSignature, SignatureDoesNotMatch

_OPTIONALLY_SIGNED = frozenset({b"x-amz-security-token", b"x-amz-cf-id"})  # CloudFront adds the second


def check_time(credential: SigV4Credential, *, now: datetime, skew: float) -> None:
    """Refuse a signature whose scope and timestamp have different days, or that is over `skew` seconds from `now`.

    A presigned request with `X-Amz-Expires` is valid for that many seconds after its timestamp.

    Raises `SignatureDoesNotMatch` with AWS's messages, which clients parse to correct their clocks.
    """
    day = credential.timestamp[:8]
    if credential.date != day:
        raise SignatureDoesNotMatch(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{credential.date}' != '{day}', from '{credential.timestamp}'."
        )
    signed = parse_timestamp(credential.timestamp)
    if credential.expires is None and abs((now - signed).total_seconds()) < skew - 1:
        return  # within the window, also after rounding to seconds
    now, tolerance = now.replace(microsecond=0), timedelta(seconds=skew)
    lifetime = tolerance if credential.expires is None else timedelta(seconds=credential.expires)
    if signed < now - lifetime:
        limit, relation, sign, span = now - lifetime, "Signature expired: {} is now earlier than", "-", lifetime
    elif signed > now + tolerance:
        limit, relation, sign, span = (
            now + tolerance,
            "Signature not yet current: {} is still later than",
            "+",
            tolerance,
        )
    else:
        return
    minutes = span.total_seconds() / 60
    raise SignatureDoesNotMatch(
        f"{relation.format(credential.timestamp)} {_basic(limit)} ({_basic(now)} {sign} {minutes:g} min.)"
    )


def _basic(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%SZ")


def check_coverage(request: HttpRequest, credential: SigV4Credential) -> None:
    """Refuse a signature that omits a header it must cover, or covers one that is absent."""
    _check_names(credential.signed_headers, tuple(request.by_name))
    if len(request.by_name[b"host"]) > 1:
        raise IncompleteSignature("expected one header, got several", place="host")


@lru_cache(maxsize=128)  # a client sends the same headers with most of its requests
def _check_names(signed_headers: tuple[str, ...], in_request: tuple[bytes, ...]) -> None:
    names, covered, _ = named_headers(signed_headers)
    sent = frozenset(in_request)
    unsigned = [name for name in sent - covered if name == b"host" or name[:6] == b"x-amz-"]
    if unsigned and (required := set(unsigned) - _OPTIONALLY_SIGNED):
        message = f"'{_title(min(required))}' must be a 'SignedHeader' in the AWS Authorization."
        raise SignatureDoesNotMatch(message, place="authorization")
    if not covered <= sent:
        missing = next(name for name in names if name not in sent)
        message = f"the signed header `{missing[:64].decode('ascii')}` is not in the request"
        raise SignatureDoesNotMatch(message, place="authorization")
    if b"host" not in covered:
        raise SignatureDoesNotMatch("'Host' must be a 'SignedHeader' in the AWS Authorization.", place="authorization")


def _title(name: bytes) -> str:
    return name[:64].decode("ascii", "replace").title()


def is_signed_with(key: Key, request: HttpRequest, credential: SigV4Credential, *, payload_hash: str) -> bool:
    """Return whether the request was signed with the key; `check_coverage` must have passed."""
    for canonical in canonical_requests(request, credential, payload_hash=payload_hash):
        if is_signature(key, credential.signature, string_to_sign(credential, canonical)):
            return True
    return False


def string_to_sign(credential: SigV4Credential, canonical_request: bytes) -> bytes:
    """Make what the signature is computed over; a SigV4A key is for all regions, so its scope has none."""
    _, date, region, service, _, _, timestamp, _, algorithm, _, _ = credential
    scope = f"{date}/{service}" if algorithm == ASYMMETRIC else f"{date}/{region}/{service}"
    digest = hashlib.sha256(canonical_request).hexdigest()
    return f"{algorithm}\n{timestamp}\n{scope}/{TERMINATOR}\n{digest}".encode("ascii")


def is_signature(key: Key, signature: str, text: bytes) -> bool:
    """Return whether a signature of a text was made with the key."""
    if isinstance(key, SigningKey):
        return same(signature, key.signature(text))
    return sigv4a.is_asymmetric_signature(key, signature, text)


class SigningKey:
    """A derived key, ready to sign: HMAC-SHA256 of which both hashes have taken in their half of the key (RFC 2104).

    Copying them takes half the time of beginning anew with each signature.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(padded.translate(_INNER))
        self._outer = hashlib.sha256(padded.translate(_OUTER))

    def signature(self, text: bytes) -> str:
        """Return the signature of a text in lower-case hexadecimal, as in the header."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text)
        outer.update(inner.digest())
        return outer.hexdigest()


Key: TypeAlias = SigningKey | sigv4a.PublicKey
"""What verifies signatures of one algorithm."""

_BLOCK = 64
_INNER, _OUTER = (bytes([byte ^ pad for byte in range(256)]) for pad in (0x36, 0x5C))


def signing_key(secret: str, date: str, region: str, service: str) -> SigningKey:
    return SigningKey(derived_key(secret, date, region, service))


def derived_key(secret: str, date: str, region: str, service: str) -> bytes:
    """Derive the bytes of a signing key from the secret."""
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode("ascii"), "sha256")
    return key
