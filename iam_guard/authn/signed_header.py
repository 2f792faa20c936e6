"""A signature in the Authorization header, read: its parts, its scope, the time that it was made.

Whatever is not exactly one well-formed signature is refused with AWS's sentence.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import ALGORITHM, ASYMMETRIC, SigV4Credential
from iam_guard.authn.signature_parts import (
    SCOPE,
    SIGNATURE,
    TEXT_LENGTH,
    TIMESTAMP,
    USUAL_LENGTH,
    iso_basic,
    malformed_date,
    only,
    read_region_set,
    read_scope,
    read_signature,
    read_signed_headers,
    stamp_of,
)
from iam_guard.errors import IncompleteSignature

_PLACE = "authorization"
_PARTS = ("Credential", "Signature", "SignedHeaders")
# What signers usually write; a list of names has no space and no comma. Anything else is read part by part.
_USUAL = re.compile(
    rf"{ALGORITHM} Credential={SCOPE.pattern}, SignedHeaders=([!-+\--~]+), Signature=({SIGNATURE.pattern})", re.ASCII
)
TOKEN_HEADER = b"x-amz-security-token"
REGION_SET_HEADER = b"x-amz-region-set"


def signed_header(request: HttpRequest, value: bytes) -> SigV4Credential | None:
    """Read the usual form of the header's value at a glance; None for every other, which `signed_otherwise` reads."""
    usual = _USUAL.fullmatch(value.decode("latin-1"))
    if usual is None or b"x-amz-date" not in request.by_name:
        return None
    access_key_id, date, region, service, names, signature = usual.groups()
    return SigV4Credential(
        access_key_id,
        date,
        region,
        service,
        read_signed_headers(names, _PLACE),
        signature,
        _timestamp(request),
        _session_token(request),
    )


def signed_otherwise(request: HttpRequest, text: str, algorithm: str = ALGORITHM) -> SigV4Credential:
    """Read what is spaced or ordered otherwise (without the algorithm), and say what is wrong with the rest."""
    parts = _key_value_pairs(text)
    _check_complete(request, parts, algorithm)
    access_key_id, date, region, service = read_scope(parts["Credential"], algorithm, _PLACE)
    if algorithm == ASYMMETRIC:
        region = read_region_set(only(request.values(REGION_SET_HEADER), "x-amz-region-set"), "x-amz-region-set")
    return SigV4Credential(
        access_key_id,
        date,
        region,
        service,
        read_signed_headers(parts["SignedHeaders"], _PLACE),
        read_signature(parts["Signature"], algorithm, _PLACE),
        _timestamp(request),
        _session_token(request),
        algorithm,
    )


def _session_token(request: HttpRequest) -> str | None:
    """Return the token of temporary credentials, which may be signed or sent beside the signature; only one may be."""
    tokens = request.by_name.get(TOKEN_HEADER)
    return None if tokens is None else only(tokens, "x-amz-security-token")


def _key_value_pairs(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    if not text.strip(" "):
        return parts
    for part in text.split(","):
        name, equals, value = part.strip(" ").partition("=")
        if not equals:
            message = "not a valid key=value pair (missing equal-sign) in Authorization header"
            raise IncompleteSignature(message, place=_PLACE)
        if name not in _PARTS or name in parts:
            message = f"expected {', '.join(_PARTS)}, each once, got `{name[:32]}`"
            raise IncompleteSignature(message, place=_PLACE)
        parts[name] = value
    return parts


def _check_complete(request: HttpRequest, parts: dict[str, str], algorithm: str) -> None:
    """Refuse what is incomplete, naming everything that lacks at once, as AWS does."""
    lacking = [f"Authorization header requires '{name}' parameter." for name in _PARTS if not parts.get(name)]
    if not request.values(b"x-amz-date") and not request.values(b"date"):
        lacking.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if algorithm == ASYMMETRIC and not request.values(REGION_SET_HEADER):
        lacking.append("Authorization header requires existence of a 'X-Amz-Region-Set' header.")
    if lacking:
        raise IncompleteSignature(" ".join(lacking), place=_PLACE)


# --- when it was signed ------------------------------------------------------------------------------------------


def _timestamp(request: HttpRequest) -> str:
    """Return the time of signing in ISO 8601 basic form: of `X-Amz-Date`, and of `Date` only where that is absent."""
    stamps = request.by_name.get(b"x-amz-date")
    if stamps is not None:
        is_usual = len(stamps) == 1 and len(stamps[0]) == USUAL_LENGTH
        return stamp_of(stamps[0]) if is_usual else iso_basic(only(stamps, "x-amz-date"))
    text = only(request.values(b"date"), "date")
    return iso_basic(text) if TIMESTAMP.fullmatch(text) else _http_date(text)


def _http_date(text: str) -> str:
    if len(text) > TEXT_LENGTH:
        raise malformed_date(text)
    try:
        moment = parsedate_to_datetime(text)
        utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)  # "-0000" reads as naive
    except (ValueError, IndexError, OverflowError):
        raise malformed_date(text) from None
    return iso_basic(utc.strftime("%Y%m%dT%H%M%SZ"))
