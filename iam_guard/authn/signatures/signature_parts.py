"""Parse the parts of a signature: scope, signed headers, timestamp and hexadecimal signature.

Malformed parts raise AWS's error messages; `place` is where the text was found. `signed_header` and `signed_query` find
the parts in the header and in the query.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from iam_guard.authn.presented_credentials import ALGORITHM, ASYMMETRIC, TERMINATOR
from iam_guard.errors import CredentialError, IncompleteSignature, InvalidClientTokenId, SignatureDoesNotMatch

WORD = r"([A-Za-z0-9._-]{1,64})"  # a region or a service
SCOPE = re.compile(rf"(\w{{3,128}})/([0-9]{{8}})/{WORD}/{WORD}/{TERMINATOR}", re.ASCII)
SIGNATURE = re.compile(r"[0-9a-f]{64}")
TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
TIMESTAMP_LENGTH = 16
MAX_DATE_LENGTH = 64

_ASYMMETRIC_SCOPE = re.compile(rf"(\w{{3,128}})/([0-9]{{8}})()/{WORD}/{TERMINATOR}", re.ASCII)  # without a region
_ASYMMETRIC_SIGNATURE = re.compile(r"(?:[0-9a-f]{2}){8,72}")  # DER of two numbers of 256 bits
_SCOPES = {ALGORITHM: SCOPE, ASYMMETRIC: _ASYMMETRIC_SCOPE}
_SIGNATURES = {ALGORITHM: (SIGNATURE, "64"), ASYMMETRIC: (_ASYMMETRIC_SIGNATURE, "16 to 144")}
_ACCESS_KEY_ID = re.compile(r"\w{3,128}", re.ASCII)
_REGIONS = re.compile(r"[A-Za-z0-9*-]{1,64}(?: ?, ?[A-Za-z0-9*-]{1,64}){0,31}")
_ELEMENTS = {ALGORITHM: "keyid/date/region/service/term", ASYMMETRIC: "keyid/date/service/term"}


def printable(value: bytes, place: str) -> str:
    """Return a value as text. Raises `IncompleteSignature` for characters that are not printable ASCII."""
    text = value.decode("latin-1").replace("\t", " ").strip(" ")
    if not (text.isascii() and text.isprintable()):
        raise IncompleteSignature("expected printable ASCII characters only", place=place)
    return text


def single_value(values: Sequence[bytes], name: str) -> str:
    """Return the value of a header that must occur once."""
    if len(values) != 1:
        raise IncompleteSignature(f"expected one header, got {len(values)}", place=name)
    return printable(values[0], name)


def read_scope(text: str, algorithm: str, place: str) -> tuple[str, str, str, str]:
    """Return access key id, date, region and service. For SigV4A the region is empty: it is not part of the scope."""
    match = _SCOPES[algorithm].fullmatch(text)
    if match is None:
        raise _malformed_scope(text, algorithm, place)
    return match[1], match[2], match[3], match[4]


def _malformed_scope(text: str, algorithm: str, place: str) -> CredentialError:
    fields, form = text.split("/"), _ELEMENTS[algorithm]
    count = form.count("/") + 1
    if len(fields) != count:
        message = f"Credential must have exactly {count} slash-delimited elements, e.g. {form}, got '{text[:128]}'"
        return IncompleteSignature(message, place=place)
    if fields[-1] != TERMINATOR:
        message = f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{fields[-1][:32]}'."
        return SignatureDoesNotMatch(message, place=place)
    if _ACCESS_KEY_ID.fullmatch(fields[0]) is None:
        return InvalidClientTokenId(place=place)
    message = "expected a Credential scoped to a date of 8 digits, a region and a service"
    return IncompleteSignature(message, place=place)


@lru_cache(maxsize=128)  # clients send the same few lists
def read_signed_headers(text: str, place: str) -> tuple[str, ...]:
    """Return the names of the signed headers in order."""
    names = text.split(";")
    if text != text.lower() or "" in names or names != sorted(set(names)):
        message = "expected SignedHeaders in lower case, sorted, each once, separated by semicolons"
        raise IncompleteSignature(message, place=place)
    return tuple(names)


def read_signature(text: str, algorithm: str, place: str) -> str:
    """Return a hexadecimal signature of the algorithm's length. Raises `IncompleteSignature`."""
    pattern, digits = _SIGNATURES[algorithm]
    if pattern.fullmatch(text) is None:
        raise IncompleteSignature(f"expected a Signature of {digits} hexadecimal digits", place=place)
    return text


def read_region_set(text: str, place: str) -> str:
    """Return the region set of a SigV4A signature as sent: comma-separated names, with `*` as wildcard."""
    if _REGIONS.fullmatch(text) is None:
        raise IncompleteSignature("expected a comma-separated set of regions", place=place)
    return text


def iso_basic(text: str) -> str:
    """Return a valid timestamp in ISO 8601 basic format. Raises `IncompleteSignature`."""
    try:
        if TIMESTAMP.fullmatch(text):
            parse_timestamp(text)
            return text
    except ValueError:
        pass
    raise malformed_date(text)


@lru_cache(maxsize=1024)  # all requests of one second share an entry
def parse_timestamp(timestamp: str) -> datetime:
    """Parse a timestamp in ISO 8601 basic format. Raises `ValueError`."""
    return datetime.fromisoformat(timestamp)


@lru_cache(maxsize=1024)
def header_timestamp(value: bytes) -> str:
    """Return the timestamp of an `X-Amz-Date` header of `TIMESTAMP_LENGTH`, in ISO 8601 basic format."""
    return iso_basic(printable(value, "x-amz-date"))


def malformed_date(text: str) -> IncompleteSignature:
    """Return the error for a malformed date; long text is truncated."""
    message = f"Date must be in ISO-8601 'basic format'. Got '{text[:MAX_DATE_LENGTH]}'. See http://en.wikipedia.org/wiki/ISO_8601"
    return IncompleteSignature(message)
