"""A token of an OIDC provider, read: a signed JWT in its three parts, strictly (RFC 7515, 7519, 8725; rule S-30).

Read does not mean good: the signature is `jws`'s. Whatever could mean two things is refused: a second spelling of
base64, a member that is there twice, text that is no Unicode, a number that is no number. So are all ways in which a
token could say how it wants to be verified: `none` and every algorithm that was not asked for, keys and addresses of
keys in the header, extensions, other tokens inside.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from iam_guard.errors import ExpiredIdentityToken, InvalidIdentityToken

LONGEST: Final = 20_000
LONGEST_SUBJECT: Final = 255
MAX_DEPTH: Final = 16
LATEST: Final = 253_402_300_799  # the end of the year 9999

_PART: Final = re.compile(r"[A-Za-z0-9_-]+")
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_NOT_IN_HEADER: Final = frozenset({"crit", "b64", "cty", "enc", "zip", "jku", "jwk", "x5u", "x5c"})
"""What would change how a token is verified, or bring a key along."""
_NO_JWT: Final = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it was sent. `text` is a credential and never shown."""

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


def read_token(text: str, *, algorithms: Collection[str]) -> Token:
    """Read a token. Raises `InvalidIdentityToken`; whether it is signed and of this time is not looked at."""
    parts = text.split(".") if 4 <= len(text) <= LONGEST else []
    if len(parts) != 3:
        raise InvalidIdentityToken(_NO_JWT)
    header, claims = _object(parts[0]), _object(parts[1])
    decoded(parts[2])
    return Token(
        text,
        _algorithm(header, algorithms),
        _optional_text(header, "kid"),
        claims,
        _text(claims, "iss"),
        _subject(claims),
        _audiences(claims),
        _optional_text(claims, "azp"),
        _instant(claims, "iat"),
        _instant(claims, "exp"),
    )


def check_times(token: Token, *, now: float, leeway: float) -> None:
    """Refuse a token that is not good yet or not any more. Raises `InvalidIdentityToken`, `ExpiredIdentityToken`."""
    if token.expires <= now - leeway:
        raise ExpiredIdentityToken(
            f"Token expired: current date/time {int(now)} must be before the expiration date/time {token.expires}"
        )
    begins = max(token.issued, _instant(token.claims, "nbf") if "nbf" in token.claims else 0)
    if begins > now + leeway:
        raise InvalidIdentityToken("Token is not valid yet")


# --- the header --------------------------------------------------------------------------------------------------


def _algorithm(header: Mapping[str, Any], algorithms: Collection[str]) -> str:
    named = sorted(_NOT_IN_HEADER & header.keys())
    if named:
        raise InvalidIdentityToken(f"the header of the token has `{named[0]}`, which is not accepted")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise InvalidIdentityToken("expected a token of the type JWT")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise InvalidIdentityToken(f"expected a token that is signed with one of {', '.join(sorted(algorithms))}")
    return algorithm


# --- the claims --------------------------------------------------------------------------------------------------


def _subject(claims: Mapping[str, Any]) -> str:
    subject = _text(claims, "sub")
    if len(subject) > LONGEST_SUBJECT:
        raise InvalidIdentityToken(f"expected a subject of at most {LONGEST_SUBJECT} characters")
    return subject


def _audiences(claims: Mapping[str, Any]) -> tuple[str, ...]:
    given = claims.get("aud")
    audiences = given if isinstance(given, list) else [given]
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
    if type(value) is not int or not 0 <= value <= LATEST:
        raise InvalidIdentityToken(f"expected seconds since 1970 as the claim `{name}`, a whole number")
    return value


# --- the form ----------------------------------------------------------------------------------------------------


def _object(part: str) -> dict[str, Any]:
    """Decode a part and read the JSON object in it."""
    try:
        return read_members(decoded(part))
    except ValueError:
        raise InvalidIdentityToken(_NO_JWT) from None


def decoded(part: str) -> bytes:
    """Decode base64 in its one spelling, for it leaves bits of the last character unread. Raises
    `InvalidIdentityToken`."""
    if _PART.fullmatch(part) is not None and len(part) % 4 != 1:
        content = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        if base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii") == part:
            return content
    raise InvalidIdentityToken(_NO_JWT)


def read_members(content: bytes) -> dict[str, Any]:
    """Read a JSON object in which no name is there twice. Raises `ValueError`."""
    try:
        found = json.loads(content.decode("utf-8"), object_pairs_hook=_members, parse_constant=_refuse)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode("utf-8")  # half a surrogate is no text
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("expected an object")
    _check_depth(found)
    return found


def _check_depth(found: object) -> None:
    level = [found]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise ValueError("nested too deeply")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is there twice")
    return members


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
