"""A Signature Version 4 in the Authorization header, read: its parts, its scope, the time that it was made.

Whatever is not exactly one well-formed signature is refused with AWS's sentence. Must not live here: verifying it
(`sigv4`), choosing between kinds of credential (`credential`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from iam_guard.authn.http import HttpRequest
from iam_guard.authn.presented import ALGORITHM, TERMINATOR, SigV4Credential
from iam_guard.errors import CredentialError, IncompleteSignature, InvalidClientTokenId, SignatureDoesNotMatch

_PARTS = ("Credential", "Signature", "SignedHeaders")
_ACCESS_KEY_ID = re.compile(r"\w{3,128}", re.ASCII)
_WORD = r"([A-Za-z0-9._-]{1,64})"  # a region, a service
_SCOPE = re.compile(rf"(\w{{3,128}})/([0-9]{{8}})/{_WORD}/{_WORD}/{TERMINATOR}", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
# What signers usually write; a list of names has no space and no comma. Anything else is read part by part.
_USUAL = re.compile(
    rf"{ALGORITHM} Credential={_SCOPE.pattern}, SignedHeaders=([!-+\--~]+), Signature=({_SIGNATURE.pattern})", re.ASCII
)
_DATE_LENGTH = 64
TOKEN_HEADER = b"x-amz-security-token"


def signed_header(request: HttpRequest, value: bytes) -> SigV4Credential | None:
    """Read the usual form of the header's value at a glance; None for every other, which `signed_otherwise` reads."""
    usual = _USUAL.fullmatch(value.decode("latin-1"))
    if usual is None or b"x-amz-date" not in request.by_name:
        return None
    return _sigv4(request, *usual.groups())


def signed_otherwise(request: HttpRequest, text: str) -> SigV4Credential:
    """Read what is spaced or ordered otherwise (without the algorithm), and say what is wrong with the rest."""
    return _sigv4(request, *_parts(request, text))


def printable(value: bytes, place: str) -> str:
    """Give a header value as text, without what would do harm in a message or a log."""
    text = value.decode("latin-1").replace("\t", " ").strip(" ")
    if not (text.isascii() and text.isprintable()):
        raise IncompleteSignature("expected printable ASCII characters only", place=place)
    return text


def _sigv4(
    request: HttpRequest, access_key_id: str, date: str, region: str, service: str, names: str, signature: str
) -> SigV4Credential:
    return SigV4Credential(
        access_key_id,
        date,
        region,
        service,
        _signed_headers(names),
        signature,
        _timestamp(request),
        _session_token(request),
    )


def _session_token(request: HttpRequest) -> str | None:
    """Give the token of temporary credentials, which may be signed or sent beside the signature; only one may be."""
    tokens = request.by_name.get(TOKEN_HEADER)
    return None if tokens is None else _only(tokens, "x-amz-security-token")


def _parts(request: HttpRequest, text: str) -> tuple[str, ...]:
    """Read what is spaced or ordered otherwise than `_USUAL`, and say what is wrong with everything else."""
    parts = _key_value_pairs(text)
    _check_complete(request, parts)
    scope = _credential_scope(parts["Credential"])
    if _SIGNATURE.fullmatch(parts["Signature"]) is None:
        raise IncompleteSignature("expected a Signature of 64 hexadecimal digits", place="authorization")
    return (*scope, parts["SignedHeaders"], parts["Signature"])


def _key_value_pairs(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    if not text.strip(" "):
        return parts
    for part in text.split(","):
        name, equals, value = part.strip(" ").partition("=")
        if not equals:
            message = "not a valid key=value pair (missing equal-sign) in Authorization header"
            raise IncompleteSignature(message, place="authorization")
        if name not in _PARTS or name in parts:
            message = f"expected {', '.join(_PARTS)}, each once, got `{name[:32]}`"
            raise IncompleteSignature(message, place="authorization")
        parts[name] = value
    return parts


def _check_complete(request: HttpRequest, parts: dict[str, str]) -> None:
    """Refuse what is incomplete, naming everything that lacks at once, as AWS does."""
    lacking = [f"Authorization header requires '{name}' parameter." for name in _PARTS if not parts.get(name)]
    if not request.values(b"x-amz-date") and not request.values(b"date"):
        lacking.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if lacking:
        raise IncompleteSignature(" ".join(lacking), place="authorization")


def _credential_scope(text: str) -> tuple[str, str, str, str]:
    """Give access key id, date, region and service."""
    scope = _SCOPE.fullmatch(text)
    if scope is None:
        raise _malformed_scope(text)
    access_key_id, date, region, service = scope.groups()
    return access_key_id, date, region, service


def _malformed_scope(text: str) -> CredentialError:
    fields = text.split("/")
    if len(fields) != 5:
        message = (
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{text[:128]}'"
        )
        return IncompleteSignature(message, place="authorization")
    if fields[4] != TERMINATOR:
        message = f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{fields[4][:32]}'."
        return SignatureDoesNotMatch(message, place="authorization")
    if _ACCESS_KEY_ID.fullmatch(fields[0]) is None:
        return InvalidClientTokenId(place="authorization")
    message = "expected a Credential scoped to a date of 8 digits, a region and a service"
    return IncompleteSignature(message, place="authorization")


def _signed_headers(text: str) -> tuple[str, ...]:
    names = text.split(";")
    if text != text.lower() or "" in names or names != sorted(set(names)):
        message = "expected SignedHeaders in lower case, sorted, each once, separated by semicolons"
        raise IncompleteSignature(message, place="authorization")
    return tuple(names)


# --- when it was signed ------------------------------------------------------------------------------------------


def _timestamp(request: HttpRequest) -> str:
    """Give the time of signing in ISO 8601 basic form: of `X-Amz-Date`, and of `Date` only where that is absent."""
    stamps = request.by_name.get(b"x-amz-date")
    if stamps is not None:
        return _iso_basic(_only(stamps, "x-amz-date"))
    text = _only(request.values(b"date"), "date")
    return _iso_basic(text) if _TIMESTAMP.fullmatch(text) else _http_date(text)


def _only(values: Sequence[bytes], name: str) -> str:
    if len(values) != 1:
        raise IncompleteSignature(f"expected one header, got {len(values)}", place=name)
    return printable(values[0], name)


def _iso_basic(text: str) -> str:
    try:
        if _TIMESTAMP.fullmatch(text):
            datetime.fromisoformat(text)
            return text
    except ValueError:
        pass
    raise _malformed_date(text)


def _http_date(text: str) -> str:
    if len(text) > _DATE_LENGTH:
        raise _malformed_date(text)
    try:
        moment = parsedate_to_datetime(text)
        utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)  # "-0000" reads as naive
    except (ValueError, IndexError, OverflowError):
        raise _malformed_date(text) from None
    return _iso_basic(utc.strftime("%Y%m%dT%H%M%SZ"))


def _malformed_date(text: str) -> IncompleteSignature:
    message = f"Date must be in ISO-8601 'basic format'. Got '{text[:_DATE_LENGTH]}'. See http://en.wikipedia.org/wiki/ISO_8601"
    return IncompleteSignature(message)
