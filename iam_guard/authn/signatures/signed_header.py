"""Parse the signature in the Authorization header: its parts, scope and time.

Anything but exactly one well-formed signature raises AWS's error message.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import ALGORITHM, ASYMMETRIC, SigV4Credential
from iam_guard.authn.signatures.signature_parts import (
    MAX_DATE_LENGTH,
    SCOPE,
    SIGNATURE,
    TIMESTAMP,
    TIMESTAMP_LENGTH,
    header_timestamp,
    iso_basic,
    malformed_date,
    read_region_set,
    read_scope,
    read_signature,
    read_signed_headers,
    single_value,
)
from iam_guard.errors import IncompleteSignature

_PLACE = "authorization"
_PARTS = ("Credential", "Signature", "SignedHeaders")
# The common form, parsed with one match (header names contain no space or comma); others are parsed part by part.
_COMMON_FORM = re.compile(
    rf"{ALGORITHM} Credential={SCOPE.pattern}, SignedHeaders=([!-+\--~]+), Signature=({SIGNATURE.pattern})", re.ASCII
)
MAX_SIGNATURE = 8 * 1024
"""Maximum bytes of an Authorization header with a signature."""
TOKEN_HEADER = b"x-amz-security-token"
REGION_SET_HEADER = b"x-amz-region-set"


def signed_header(request: HttpRequest, value: bytes) -> SigV4Credential | None:
    """Parse the common form of the header's value; None for any other, which `parse_signed_header` handles."""
    match = _COMMON_FORM.fullmatch(value.decode("latin-1")) if len(value) <= MAX_SIGNATURE else None
    dates = request.by_name.get(b"x-amz-date", ())
    if match is None or len(dates) != 1 or len(dates[0]) != TIMESTAMP_LENGTH:
        return None
    access_key_id, date, region, service, names, signature = match.groups()
    tokens = request.by_name.get(TOKEN_HEADER)
    return SigV4Credential(
        access_key_id,
        date,
        region,
        service,
        read_signed_headers(names, _PLACE),
        signature,
        header_timestamp(dates[0]),
        None if tokens is None else single_value(tokens, "x-amz-security-token"),
    )


def parse_signed_header(request: HttpRequest, text: str, algorithm: str = ALGORITHM) -> SigV4Credential:
    """Parse the header's value after the algorithm, in any order and spacing. Raises a `CredentialError`."""
    parts = _key_value_pairs(text)
    _check_complete(request, parts, algorithm)
    access_key_id, date, region, service = read_scope(parts["Credential"], algorithm, _PLACE)
    if algorithm == ASYMMETRIC:
        region_set = single_value(request.values(REGION_SET_HEADER), "x-amz-region-set")
        region = read_region_set(region_set, "x-amz-region-set")
    tokens = request.by_name.get(TOKEN_HEADER)
    return SigV4Credential(
        access_key_id,
        date,
        region,
        service,
        read_signed_headers(parts["SignedHeaders"], _PLACE),
        read_signature(parts["Signature"], algorithm, _PLACE),
        _timestamp(request),
        None if tokens is None else single_value(tokens, "x-amz-security-token"),
        algorithm,
    )


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
    """Raise `IncompleteSignature` for missing parts, naming all of them as AWS does."""
    missing = [f"Authorization header requires '{name}' parameter." for name in _PARTS if not parts.get(name)]
    if not request.values(b"x-amz-date") and not request.values(b"date"):
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if algorithm == ASYMMETRIC and not request.values(REGION_SET_HEADER):
        missing.append("Authorization header requires existence of a 'X-Amz-Region-Set' header.")
    if missing:
        raise IncompleteSignature(" ".join(missing), place=_PLACE)


def _timestamp(request: HttpRequest) -> str:
    """Return the time of signing in ISO 8601 basic format: `X-Amz-Date`, else `Date`."""
    values = request.by_name.get(b"x-amz-date")
    if values is not None:
        return iso_basic(single_value(values, "x-amz-date"))
    text = single_value(request.values(b"date"), "date")
    return iso_basic(text) if TIMESTAMP.fullmatch(text) else _http_date(text)


def _http_date(text: str) -> str:
    if len(text) > MAX_DATE_LENGTH:
        raise malformed_date(text)
    try:
        moment = parsedate_to_datetime(text)
        utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)  # "-0000" reads as naive
    except (ValueError, IndexError, OverflowError):
        raise malformed_date(text) from None
    return iso_basic(utc.strftime("%Y%m%dT%H%M%SZ"))
