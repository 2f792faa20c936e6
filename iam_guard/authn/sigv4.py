"""Signature Version 4, verified: may this signature be looked at, and was it made with this secret?

The strategy: every demand on form, time and coverage is checked before a key is looked up, so that refusing costs
little. Then each canonical request that the wire text allows (`canonical`) is signed with the caller's secret, and the
result compared in constant time. The signing key depends on the secret and the scope only, so it is cached
(`caller_cache`).
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from functools import lru_cache

from iam_guard.authn.canonical import canonical_requests, named_headers
from iam_guard.authn.constant_time import same
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import ALGORITHM, TERMINATOR, SigV4Credential
from iam_guard.authn.signature_parts import moment_of
from iam_guard.errors import IncompleteSignature, SignatureDoesNotMatch

_NEED_NOT_BE_SIGNED = frozenset({b"x-amz-security-token", b"x-amz-cf-id"})  # the second is added by CloudFront


def check_time(credential: SigV4Credential, *, now: datetime, skew: float) -> None:
    """Refuse a signature whose scope has another day than its time, or that is over `skew` seconds from `now`.

    One in the query is good for the seconds that it says, counted from its time, and for `skew` where it says none.

    The sentences are AWS's; clients parse them to correct their clocks.
    """
    day = credential.timestamp[:8]
    if credential.date != day:
        raise SignatureDoesNotMatch(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{credential.date}' != '{day}', from '{credential.timestamp}'."
        )
    signed = moment_of(credential.timestamp)
    if credential.expires is None and abs((now - signed).total_seconds()) < skew - 1:
        return  # within the window, whatever becomes of the fractions
    now, ahead = now.replace(microsecond=0), timedelta(seconds=skew)
    lasting = ahead if credential.expires is None else timedelta(seconds=credential.expires)
    if signed < now - lasting:
        limit, relation, sign, span = now - lasting, "Signature expired: {} is now earlier than", "-", lasting
    elif signed > now + ahead:
        limit, relation, sign, span = now + ahead, "Signature not yet current: {} is still later than", "+", ahead
    else:
        return
    minutes = span.total_seconds() / 60
    raise SignatureDoesNotMatch(
        f"{relation.format(credential.timestamp)} {_basic(limit)} ({_basic(now)} {sign} {minutes:g} min.)"
    )


def _basic(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%SZ")


def check_coverage(request: HttpRequest, credential: SigV4Credential) -> None:
    """Refuse a signature that leaves out what it must cover, or covers what is not there."""
    _check_names(credential.signed_headers, tuple(request.by_name))
    if len(request.by_name[b"host"]) > 1:
        raise IncompleteSignature("expected one header, got several", place="host")


@lru_cache(maxsize=128)  # a client sends the same headers with most of its requests
def _check_names(signed_headers: tuple[str, ...], in_request: tuple[bytes, ...]) -> None:
    names, covered, _ = named_headers(signed_headers)
    sent = frozenset(in_request)
    left_out = [name for name in sent - covered if name == b"host" or name[:6] == b"x-amz-"]
    if left_out and (must := set(left_out) - _NEED_NOT_BE_SIGNED):
        message = f"'{_title(min(must))}' must be a 'SignedHeader' in the AWS Authorization."
        raise SignatureDoesNotMatch(message, place="authorization")
    if not covered <= sent:
        lacking = next(name for name in names if name not in sent)
        message = f"the signed header `{lacking[:64].decode('ascii')}` is not in the request"
        raise SignatureDoesNotMatch(message, place="authorization")
    if b"host" not in covered:
        raise SignatureDoesNotMatch("'Host' must be a 'SignedHeader' in the AWS Authorization.", place="authorization")


def _title(name: bytes) -> str:
    return name[:64].decode("ascii", "replace").title()


def is_signed_with(
    key: SigningKey,
    request: HttpRequest,
    credential: SigV4Credential,
    *,
    payload_hash: str,
) -> bool:
    """Return whether the signing key made this signature; `check_coverage` must have passed."""
    for canonical in canonical_requests(request, credential, payload_hash=payload_hash):
        if same(credential.signature, key.signature(string_to_sign(credential, canonical))):
            return True
    return False


def string_to_sign(credential: SigV4Credential, canonical_request: bytes) -> bytes:
    """Make what the signature is computed over."""
    _, date, region, service, _, _, timestamp, _, _, _, _ = credential
    digest = hashlib.sha256(canonical_request).hexdigest()
    return f"{ALGORITHM}\n{timestamp}\n{date}/{region}/{service}/{TERMINATOR}\n{digest}".encode("ascii")


class SigningKey:
    """A derived key, ready to sign: HMAC-SHA256 of which both hashes have taken in their half of the key (RFC 2104).

    Copying them takes half the time of beginning anew with each signature.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        filled = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(filled.translate(_INNER))
        self._outer = hashlib.sha256(filled.translate(_OUTER))

    def signature(self, text: bytes) -> str:
        """Sign; in lower-case hexadecimal, as it stands in the header."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text)
        outer.update(inner.digest())
        return outer.hexdigest()


_BLOCK = 64
_INNER, _OUTER = (bytes([byte ^ pad for byte in range(256)]) for pad in (0x36, 0x5C))


def signing_key(secret: str, date: str, region: str, service: str) -> SigningKey:
    """Make the key that signs for one day, region and service."""
    return SigningKey(derived_key(secret, date, region, service))


def derived_key(secret: str, date: str, region: str, service: str) -> bytes:
    """Derive the bytes of that key from the secret."""
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode("ascii"), "sha256")
    return key
