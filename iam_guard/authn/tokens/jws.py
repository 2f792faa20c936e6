"""Token signatures and the public keys that verify them (RFC 7515, 7517, 7518). The only module that uses joserfc.

A key is used only with the algorithms of its type and curve, so a public key is never used as an HMAC secret and a
token cannot choose how it is verified. Keys that are too short, too long, for another use, or not public are skipped.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from iam_guard.authn.tokens.oidc_token import ALGORITHMS, Token, decoded, read_members
from iam_guard.imports import requires_extra

with requires_extra("oidc", "an OIDC token"):
    from joserfc import jws
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, OKPKey, RSAKey

MAX_KEYS: Final = 100
RSA_BITS: Final = range(2048, 8192 + 1)

PublicKey: TypeAlias = RSAKey | ECKey | OKPKey


_REGISTRY: Final = jws.JWSRegistry(algorithms=[each.name for each in ALGORITHMS.values()])
_KINDS: Final[Mapping[str, type[PublicKey]]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_SECRET_MEMBERS: Final = frozenset({"d", "k", "p", "q", "dp", "dq", "qi", "oth"})


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A public key of an issuer. `algorithm` restricts the key to one algorithm; None means any of its type."""

    id: str | None
    kind: str
    curve: str | None
    algorithm: str | None
    key: PublicKey


@dataclass(frozen=True, slots=True)
class IssuerKeySet:
    keys: tuple[IssuerKey, ...]

    def candidates(self, token: Token) -> list[IssuerKey]:
        """Return the keys that may have signed a token: by key id or, without one, the only suitable key."""
        required = ALGORITHMS[token.algorithm]
        candidates = [
            key
            for key in self.keys
            if (key.kind, key.curve) == (required.kind, required.curve)
            and key.algorithm in (None, token.algorithm)
            and token.key_id in (None, key.id)
        ]
        return candidates if token.key_id is not None or len(candidates) == 1 else []


def is_signed(token: Token, keys: list[IssuerKey]) -> bool:
    return any(_is_signed_with(token, key) for key in keys)


def _is_signed_with(token: Token, key: IssuerKey) -> bool:
    algorithm = _REGISTRY.get_alg(ALGORITHMS[token.algorithm].name)
    signed, _, signature = token.text.rpartition(".")
    try:
        algorithm.check_key(key.key)
        return algorithm.verify(signed.encode("ascii"), decoded(signature), key.key)
    except (JoseError, ValueError):
        return False


def read_key_set(content: bytes) -> IssuerKeySet:
    """Parse a JWK set; unsupported keys are skipped. Raises `ValueError` if it is not a JWK set."""
    members = read_members(content).get("keys")
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise ValueError("expected a list of keys")
    if len(members) > MAX_KEYS:
        raise ValueError(f"expected at most {MAX_KEYS} keys")
    keys = [key for member in members if (key := _key(member)) is not None]
    return IssuerKeySet(tuple(keys))


def _key(members: Mapping[str, Any]) -> IssuerKey | None:
    kind, key_id, algorithm = members.get("kty"), members.get("kid"), members.get("alg")
    curve = members.get("crv") if kind != "RSA" else None
    optional = [value for value in (key_id, algorithm, curve) if value is not None]
    if not isinstance(kind, str) or kind not in _KINDS or not all(isinstance(value, str) for value in optional):
        return None
    if not _is_for_signatures(members):
        return None
    if not _SECRET_MEMBERS.isdisjoint(members):
        return None  # the private key was published, so the key proves nothing
    try:
        if kind == "RSA" and _bits(members["n"]) not in RSA_BITS:
            return None
        key = _KINDS[kind].import_key({name: value for name, value in members.items() if name != "key_ops"})
        _ = key.public_key  # a lazy property: reading it validates the key
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return IssuerKey(key_id, kind, curve, algorithm, key)


def _bits(modulus: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4))).bit_length()


def _is_for_signatures(members: Mapping[str, Any]) -> bool:
    operations = members.get("key_ops", ["verify"])
    return members.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
