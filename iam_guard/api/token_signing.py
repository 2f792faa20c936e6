"""Signing of JSON Web Tokens, and the keys for it (RFC 7515 to 7519).

Imported only when a key is created or a token is signed, since the library is an extra.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from iam_guard.imports import requires_extra

with requires_extra("oidc", "an issuer of tokens"):
    from joserfc import jwt
    from joserfc.jwk import ECKey, RSAKey


_RSA_BITS: Final = 2048


class KeyPair(NamedTuple):
    """A key pair as JSON Web Keys. `id` is its thumbprint (RFC 7638)."""

    id: str
    private: Mapping[str, Any]
    public: Mapping[str, Any]


def new_key_pair(algorithm: str) -> KeyPair:
    """Generate a key pair for `RS256` or `ES384`."""
    key = RSAKey.generate_key(_RSA_BITS) if algorithm == "RS256" else ECKey.generate_key("P-384")
    id = key.thumbprint()
    also = {"kid": id, "alg": algorithm, "use": "sig"}
    return KeyPair(id, key.as_dict(private=True), {**key.as_dict(private=False), **also})


def sign(claims: Mapping[str, Any], private: Mapping[str, Any], *, algorithm: str, key_id: str) -> str:
    """Return a signed token with these claims."""
    key = RSAKey.import_key(dict(private)) if algorithm == "RS256" else ECKey.import_key(dict(private))
    header = {"typ": "JWT", "alg": algorithm, "kid": key_id}
    return jwt.encode(header, dict(claims), key, algorithms=[algorithm])
