"""Parse OIDC tokens strictly: signed JWTs of three parts (RFC 7515, 7519, 8725; rule S-30).

The signature is verified by `jws`. Ambiguous input is refused: non-canonical base64, duplicate members, invalid
Unicode, NaN and Infinity. So is every way in which a token could choose how it is verified: `none` and algorithms that
are not enabled, keys and key URLs in the header, extensions, nested tokens.

A token identifies its subject, or is about an event of it, such as a logout: never both (RFC 8417, 8725 3.11).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from iam_guard.errors import ExpiredIdentityToken, InvalidIdentityToken

MAX_LENGTH: Final = 20_000
MAX_SUBJECT_LENGTH: Final = 255
MAX_DEPTH: Final = 16
MAX_INSTANT: Final = 253_402_300_799  # the end of the year 9999

_PART: Final = re.compile(r"[A-Za-z0-9_-]+")
ID_TOKEN_TYPES: Final = frozenset({"jwt", "application/jwt"})
TOKEN_TYPES: Final = ID_TOKEN_TYPES | {"at+jwt", "application/at+jwt"}
LOGOUT_TOKEN_TYPES: Final = ID_TOKEN_TYPES | {"logout+jwt", "application/logout+jwt"}
"""The types that a token's header may name, in lower case: none is like `JWT`."""
_NOT_IN_HEADER: Final = frozenset({"crit", "b64", "cty", "enc", "zip", "jku", "jwk", "x5u", "x5c"})
"""Header parameters that change how a token is verified, or contain a key."""
_NO_JWT: Final = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"


class KeyRequirements(NamedTuple):
    """The key type and curve that an algorithm requires; `name` is joserfc's name of the algorithm."""

    kind: str
    curve: str | None
    name: str


ALGORITHMS: Final[Mapping[str, KeyRequirements]] = {
    **{
        f"{family}{bits}": KeyRequirements("RSA", None, f"{family}{bits}")
        for family in ("RS", "PS")
        for bits in (256, 384, 512)
    },
    "ES256": KeyRequirements("EC", "P-256", "ES256"),
    "ES384": KeyRequirements("EC", "P-384", "ES384"),
    "ES512": KeyRequirements("EC", "P-521", "ES512"),
    "EdDSA": KeyRequirements("OKP", "Ed25519", "Ed25519"),  # RFC 9864 renames it to Ed25519
    "Ed25519": KeyRequirements("OKP", "Ed25519", "Ed25519"),
}
"""The supported algorithms. None is symmetric."""


@dataclass(frozen=True, slots=True)
class Token:
    """A parsed token. `text` is secret and must not be shown."""

    text: str = field(repr=False)
    algorithm: str
    key_id: str | None
    claims: Mapping[str, Any] = field(repr=False)
    issuer: str
    subject: str
    audiences: tuple[str, ...]
    authorized_party: str | None
    issued: int
    expires: int


def read_token(
    text: str,
    *,
    algorithms: Collection[str],
    types: Collection[str] = TOKEN_TYPES,
    is_event: bool = False,
) -> Token:
    """Parse a token; signature and times are not checked. One of an event may have no subject, which is empty then.

    Raises `InvalidIdentityToken`, also for a token with `events` unless one of an event is expected.
    """
    parts = text.split(".") if 4 <= len(text) <= MAX_LENGTH else []
    if len(parts) != 3:
        raise InvalidIdentityToken(_NO_JWT)
    header, claims = _object(parts[0]), _object(parts[1])
    decoded(parts[2])
    if "events" in claims and not is_event:
        raise InvalidIdentityToken("expected a token that identifies its subject, got one of an event")
    return Token(
        text,
        _algorithm(header, algorithms, types),
        _optional_text(header, "kid"),
        claims,
        _text(claims, "iss"),
        _subject(claims) if not is_event or "sub" in claims else "",
        _audiences(claims),
        _optional_text(claims, "azp"),
        _instant(claims, "iat"),
        _instant(claims, "exp"),
    )


def check_times(token: Token, *, now: float, leeway: float) -> None:
    """Raise `ExpiredIdentityToken` for an expired token, `InvalidIdentityToken` for one that is not valid yet."""
    if token.expires <= now - leeway:
        raise ExpiredIdentityToken(
            f"Token expired: current date/time {int(now)} must be before the expiration date/time {token.expires}"
        )
    valid_from = max(token.issued, _instant(token.claims, "nbf") if "nbf" in token.claims else 0)
    if valid_from > now + leeway:
        raise InvalidIdentityToken("Token is not valid yet")


# --- the header --------------------------------------------------------------------------------------------------


def _algorithm(header: Mapping[str, Any], algorithms: Collection[str], types: Collection[str]) -> str:
    refused = sorted(_NOT_IN_HEADER & header.keys())
    if refused:
        raise InvalidIdentityToken(f"expected a token header without `{refused[0]}`")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in types:
        raise InvalidIdentityToken("expected a token of the type JWT")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise InvalidIdentityToken(f"expected a token signed with one of {', '.join(sorted(algorithms))}")
    return algorithm


# --- the claims --------------------------------------------------------------------------------------------------


def _subject(claims: Mapping[str, Any]) -> str:
    subject = _text(claims, "sub")
    if len(subject) > MAX_SUBJECT_LENGTH:
        raise InvalidIdentityToken(f"expected a subject of at most {MAX_SUBJECT_LENGTH} characters")
    return subject


def _audiences(claims: Mapping[str, Any]) -> tuple[str, ...]:
    value = claims.get("aud")
    audiences = value if isinstance(value, list) else [value]
    if not audiences or not all(isinstance(audience, str) and audience for audience in audiences):
        raise InvalidIdentityToken("Missing a required claim: aud")
    return tuple(audiences)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidIdentityToken(f"Missing a required claim: {name}")
    return value


def _optional_text(members: Mapping[str, Any], name: str) -> str | None:
    return _text(members, name) if name in members else None


def _instant(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int or not 0 <= value <= MAX_INSTANT:
        raise InvalidIdentityToken(f"expected the claim `{name}` in whole seconds since 1970")
    return value


# --- the form ----------------------------------------------------------------------------------------------------


def _object(part: str) -> dict[str, Any]:
    try:
        return read_members(decoded(part))
    except ValueError:
        raise InvalidIdentityToken(_NO_JWT) from None


def decoded(part: str) -> bytes:
    """Decode canonical base64url only, since decoders ignore bits of the last character.

    Raises `InvalidIdentityToken`.
    """
    if _PART.fullmatch(part) is not None and len(part) % 4 != 1:
        content = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        if base64url(content) == part:
            return content
    raise InvalidIdentityToken(_NO_JWT)


def base64url(content: bytes) -> str:
    """Return the canonical base64url of some bytes, which `decoded` reads."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def read_members(content: bytes) -> dict[str, Any]:
    """Parse a JSON object without duplicate names. Raises `ValueError`."""
    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=_members, parse_constant=_refuse)
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8")  # fails for a lone surrogate
    except RecursionError:
        raise ValueError(f"expected at most {MAX_DEPTH} levels") from None
    if not isinstance(document, dict):
        raise ValueError("expected an object")
    _check_depth(document)
    return document


def _check_depth(value: object, levels: int = MAX_DEPTH) -> None:
    if not levels:
        raise ValueError(f"expected at most {MAX_DEPTH} levels")
    if isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_depth(inner, levels - 1)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("expected each name once")
    return members


def _refuse(constant: str) -> None:
    raise ValueError(f"expected JSON, got {constant}")
