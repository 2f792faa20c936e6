"""Which credential a request carries, read from its headers and query: form only, nothing is verified here.

Absent is not invalid: a request without any credential gives `NoCredential`. Everything else that is not exactly one
well-formed credential of a kind we speak is refused, never skipped and never taken for anonymous. A further kind (a
presigned query, an OIDC token) is a further reader here, a further value in `AnyCredential`, and a
branch in `verify`.

Must not live here: signatures, clocks, keys (`sigv4`, `api_key`, `verify`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes

from iam_guard.authn import api_key
from iam_guard.authn.http import HttpRequest
from iam_guard.errors import (
    CredentialError,
    IncompleteSignature,
    InvalidClientTokenId,
    MissingAuthenticationToken,
    RequestTooLarge,
    SignatureDoesNotMatch,
)

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"

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
_CLAIM_LENGTH = 64 * 1024
_CLAIMED_ACCESS_KEY_ID = re.compile(rb"Credential=(\w{3,128})/")
_CLAIMED_API_KEY_ID = re.compile(rb"^igk_([A-Za-z0-9]{4,32})_")
_TOKEN_HEADER = b"x-amz-security-token"
_QUERY_SIGNATURE = (b"x-amz-algorithm", b"x-amz-credential", b"x-amz-signature", b"awsaccesskeyid")


class SigV4Credential(NamedTuple):
    """A Signature Version 4. `timestamp` is when it was made, as `YYYYMMDDTHHMMSSZ`; `date` is the scope's.

    `session_token` is what temporary credentials send along; like a signature, it is never shown.

    A tuple, since one is made for every request and a frozen dataclass of as many fields costs three times as much.
    """

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"SigV4Credential({self.access_key_id!r}, {self.scope!r}, {self.timestamp!r})"  # no secrets (design 5)

    @property
    def scope(self) -> str:
        """The credential scope, without the access key id."""
        return f"{self.date}/{self.region}/{self.service}/{TERMINATOR}"


@dataclass(frozen=True, slots=True)
class ApiKeyCredential:
    """A bearer API key. `digest` is the SHA-256 of its secret."""

    id: str
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NoCredential:
    """The request carries none."""


AnyCredential: TypeAlias = SigV4Credential | ApiKeyCredential | NoCredential


class Claim(NamedTuple):
    """What a request claims to carry, for the audit trail and for caches; nothing of it is checked."""

    kind: str
    """`sigv4`, `api-key`, `unknown`, `none`."""
    id: str | None
    """The access key id or API key id."""

    @property
    def needs_body(self) -> bool:
        """Whether `authenticate` will ask for the hash of the body."""
        return self.kind == "sigv4"


def claim_of(credential: AnyCredential) -> Claim:
    """Say what a credential that was read claims."""
    match credential:
        case SigV4Credential():
            return Claim("sigv4", credential.access_key_id)
        case ApiKeyCredential():
            return Claim("api-key", credential.id)
        case NoCredential():
            return Claim("none", None)


def extract(request: HttpRequest, *, max_header: int) -> AnyCredential:
    """Read the one credential of a request.

    Raises `RequestTooLarge` when all headers together are over `max_header` bytes, and a `CredentialError` for two
    credentials at once, for an unknown kind, and for a malformed one.
    """
    if _size_of(request) > max_header:
        raise RequestTooLarge(f"expected at most {max_header} bytes of headers")
    authorizations, api_keys = request.values(b"authorization"), request.values(b"x-api-key")
    in_query = _has_query_signature(request.query_string)
    if len(authorizations) + len(api_keys) + in_query > 1:
        raise IncompleteSignature("expected one credential, got several: only one header or query may carry one")
    if in_query:
        message = "presigned requests are not accepted: expected the signature in the Authorization header"
        raise IncompleteSignature(message, place="query")
    if api_keys:
        return _api_key(_ascii(api_keys[0], "x-api-key"))
    if authorizations:
        return _authorization(request, authorizations[0])
    if request.values(_TOKEN_HEADER):
        raise IncompleteSignature("a session token came without a signature", place="x-amz-security-token")
    return NoCredential()


def _size_of(request: HttpRequest) -> int:
    size = 0
    for name, value in request.headers:
        size += len(name) + len(value)
    return size


def credential_of(request: HttpRequest) -> Claim:
    """Say what kind of credential a request claims to carry, and the id it claims, for a record of its refusal.

    Nothing is checked and nothing raised. Whatever `extract` takes for a signature has the kind `sigv4` here too.
    """
    for value in request.values(b"authorization"):
        claim = value.lstrip()[:_CLAIM_LENGTH].replace(b"\t", b" ")
        if claim.startswith(ALGORITHM.encode("ascii")):
            return Claim("sigv4", _claimed_id(_CLAIMED_ACCESS_KEY_ID, claim))
        if claim[:7].lower() == b"bearer ":
            return Claim("api-key", _claimed_id(_CLAIMED_API_KEY_ID, claim[7:].lstrip()))
        return Claim("unknown", None)
    for value in request.values(b"x-api-key"):
        return Claim("api-key", _claimed_id(_CLAIMED_API_KEY_ID, value.lstrip()[:_CLAIM_LENGTH]))
    return Claim("unknown" if _has_query_signature(request.query_string) else "none", None)


def _claimed_id(pattern: re.Pattern[bytes], claim: bytes) -> str | None:
    found = pattern.search(claim)
    return found[1].decode("ascii") if found else None


def _has_query_signature(query: bytes) -> bool:
    if not query:
        return False
    decoded = unquote_to_bytes(query).lower()
    if b"x-amz-" not in decoded and b"awsaccesskeyid" not in decoded:  # at a glance: none of them
        return False
    names = {unquote_to_bytes(part.partition(b"=")[0]).lower() for part in query.split(b"&")}
    return not names.isdisjoint(_QUERY_SIGNATURE)


def _ascii(value: bytes, place: str) -> str:
    """Give a header value as text, without what would do harm in a message or a log."""
    text = value.decode("latin-1").replace("\t", " ").strip(" ")
    if not (text.isascii() and text.isprintable()):
        raise IncompleteSignature("expected printable ASCII characters only", place=place)
    return text


def _authorization(request: HttpRequest, value: bytes) -> AnyCredential:
    usual = _USUAL.fullmatch(value.decode("latin-1"))
    if usual is not None and b"x-amz-date" in request.by_name:
        return _sigv4(request, *usual.groups())
    text = _ascii(value, "authorization")
    scheme, _, rest = text.partition(" ")
    if scheme == ALGORITHM:
        return _sigv4(request, *_parts(request, rest))
    if scheme.lower() == "bearer":
        return _api_key(rest.strip(" "))
    if scheme == "AWS" or scheme.startswith("AWS4-"):
        message = f"The authorization mechanism you have provided is not supported. Please use {ALGORITHM}."
        raise IncompleteSignature(message, place="authorization")
    message = f"expected an Authorization header of the scheme {ALGORITHM} or Bearer"
    raise MissingAuthenticationToken(message, place="authorization")


def _api_key(text: str) -> ApiKeyCredential:
    parsed = api_key.parse(text)
    return ApiKeyCredential(parsed.id, parsed.digest)


# --- Signature Version 4 in the Authorization header -------------------------------------------------------------


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
    tokens = request.by_name.get(_TOKEN_HEADER)
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
    return _ascii(values[0], name)


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
