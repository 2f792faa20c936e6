"""Signatures of tokens, and the public keys for them: the one file that knows joserfc (RFC 7517, 7518).

A key is good for the algorithms of its own kind and curve alone, so that a public key is never taken for the secret of
an HMAC, and a token cannot choose what its signature means. Keys that are too short to protect anything, too long to
compute with, meant for something else, or not public are left out.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from iam_guard.authn.oidc_token import Token, decoded, read_members

MAX_KEYS: Final = 100
RSA_BITS: Final = range(2048, 8192 + 1)

PublicKey: TypeAlias = RSAKey | ECKey | OKPKey


class Fitting(NamedTuple):
    """What a key for an algorithm must be; `name` is what joserfc calls the algorithm."""

    kind: str
    curve: str | None
    name: str


ALGORITHMS: Final[Mapping[str, Fitting]] = {
    **{
        f"{family}{bits}": Fitting("RSA", None, f"{family}{bits}")
        for family in ("RS", "PS")
        for bits in (256, 384, 512)
    },
    "ES256": Fitting("EC", "P-256", "ES256"),
    "ES384": Fitting("EC", "P-384", "ES384"),
    "ES512": Fitting("EC", "P-521", "ES512"),
    "EdDSA": Fitting("OKP", "Ed25519", "Ed25519"),  # RFC 9864 has given it another name
    "Ed25519": Fitting("OKP", "Ed25519", "Ed25519"),
}
"""The algorithms that there are. None of them is symmetric."""

_REGISTRY: Final = jws.JWSRegistry(algorithms=[each.name for each in ALGORITHMS.values()])
_KINDS: Final[Mapping[str, type[PublicKey]]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_SECRET_MEMBERS: Final = frozenset({"d", "k", "p", "q", "dp", "dq", "qi", "oth"})


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """One public key of an issuer. `algorithm` is the only one it is for, where it says so."""

    id: str | None
    kind: str
    curve: str | None
    algorithm: str | None
    key: PublicKey


@dataclass(frozen=True, slots=True)
class IssuerKeySet:
    """The keys of an issuer as of one moment."""

    keys: tuple[IssuerKey, ...]

    def fitting(self, token: Token) -> list[IssuerKey]:
        """Return the keys that may have signed a token: by key id or, without one, the only key of its kind."""
        wanted = ALGORITHMS[token.algorithm]
        found = [
            key
            for key in self.keys
            if (key.kind, key.curve) == (wanted.kind, wanted.curve)
            and key.algorithm in (None, token.algorithm)
            and token.key_id in (None, key.id)
        ]
        return found if token.key_id is not None or len(found) == 1 else []


def is_signed(token: Token, keys: list[IssuerKey]) -> bool:
    """Return whether one of the keys has signed the token."""
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
    """Read a JWK set; keys that are not for us are left out. Raises `ValueError` for what is no JWK set."""
    members = read_members(content).get("keys")
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise ValueError("expected a list of keys")
    if len(members) > MAX_KEYS:
        raise ValueError(f"expected at most {MAX_KEYS} keys")
    found = [key for member in members if (key := _key(member)) is not None]
    return IssuerKeySet(tuple(found))


def _key(members: Mapping[str, Any]) -> IssuerKey | None:
    kind, key_id, algorithm = members.get("kty"), members.get("kid"), members.get("alg")
    curve = members.get("crv") if kind != "RSA" else None
    texts = [each for each in (key_id, algorithm, curve) if each is not None]
    if not isinstance(kind, str) or kind not in _KINDS or not all(isinstance(text, str) for text in texts):
        return None
    if not _is_for_signatures(members):
        return None
    if not _SECRET_MEMBERS.isdisjoint(members):
        return None  # whose private key is public has none
    try:
        if kind == "RSA" and _bits(members["n"]) not in RSA_BITS:
            return None
        key = _KINDS[kind].import_key({name: value for name, value in members.items() if name != "key_ops"})
        _ = key.public_key  # made, and so checked, when it is first asked for
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return IssuerKey(key_id, kind, curve, algorithm, key)


def _bits(modulus: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4))).bit_length()


def _is_for_signatures(members: Mapping[str, Any]) -> bool:
    operations = members.get("key_ops", ["verify"])
    return members.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
