"""JSON Web Tokens that we sign, and the keys for it: the one file that speaks JOSE for the issuer (RFC 7515 to 7519).

Imported when a key is made or a token signed, for the library is an extra.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

_RSA_BITS: Final = 2048


class KeyPair(NamedTuple):
    """A key as JSON Web Keys: whole, and the half that everybody may know. `id` is its thumbprint (RFC 7638)."""

    id: str
    private: Mapping[str, Any]
    public: Mapping[str, Any]


def new_key_pair(algorithm: str) -> KeyPair:
    """Make a key for `RS256` or `ES384`."""
    key = RSAKey.generate_key(_RSA_BITS) if algorithm == "RS256" else ECKey.generate_key("P-384")
    id = key.thumbprint()
    also = {"kid": id, "alg": algorithm, "use": "sig"}
    return KeyPair(id, key.as_dict(private=True), {**key.as_dict(private=False), **also})


def sign(claims: Mapping[str, Any], private: Mapping[str, Any], *, algorithm: str, key_id: str) -> str:
    """Sign claims with the private half of a key."""
    key = RSAKey.import_key(dict(private)) if algorithm == "RS256" else ECKey.import_key(dict(private))
    header = {"typ": "JWT", "alg": algorithm, "kid": key_id}
    return jwt.encode(header, dict(claims), key, algorithms=[algorithm])
