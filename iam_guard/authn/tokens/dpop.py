"""Proofs of possession of a key (DPoP, RFC 9449): the header that a tool sends when it gets or renews credentials.

A proof is a JWT of the type `dpop+jwt`, signed with ES256 by the key in its own header, for one method and address. It
is accepted within five minutes of its time, and once: `use_proof` in the transaction that acts on it. Strict, as
`oidc_token`: canonical base64, no repeated members, no key but a public one on P-256, no way to choose how it is
verified. Errors name what was expected, never what was sent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.tokens.oidc_token import base64url, decoded, read_members
from iam_guard.errors import InvalidIdentityToken, InvalidInput
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from iam_guard.store.credentials.used_tokens import use_token
from iam_guard.store.database.records import Records

HEADER: Final = b"dpop"
MAX_LENGTH: Final = 4096
MAX_ID: Final = 256
MAX_DIFFERENCE: Final = 300
"""Seconds between the time of a proof and that of the server."""
_COORDINATE: Final = 32
_KEY_MEMBERS: Final = frozenset({"kty", "crv", "x", "y"})
_DESCRIBING_MEMBERS: Final = frozenset({"kid", "alg", "use"})
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class Possession:
    """The proofs that a request has, and what a valid one is for: its method, and each address that clients may use."""

    proofs: tuple[bytes, ...] = field(repr=False)
    method: str
    addresses: frozenset[str]


@dataclass(frozen=True, slots=True)
class VerifiedProof:
    """A proof whose signature, time, method and address are good. `thumbprint` is that of its key (RFC 7638)."""

    thumbprint: str
    id: str = field(repr=False)
    expires: int


def possession_of(request: HttpRequest, call: Call, settings: Settings) -> Possession:
    """Return the proofs of a request.

    Its address is the received one, behind a trusted proxy with the scheme that this forwards, one at a host of
    `public_hosts`, or one below `site_url`.
    """
    path = request.raw_path.decode("latin-1")
    scheme = "https" if call.secure else "http"
    sites = [f"{scheme}://{call.host or ''}", *(f"https://{host}" for host in settings.public_hosts)]
    sites += [settings.site_url.rstrip("/")] if settings.site_url else []
    addresses = frozenset(found for site in sites if (found := _normal(site + path)) is not None)
    return Possession(tuple(request.values(HEADER)), request.method, addresses)


def verify_proof(possession: Possession, now: int) -> VerifiedProof:
    """Return the one proof of a request. Raises `InvalidInput` for a missing, repeated or invalid one."""
    if len(possession.proofs) != 1 or not 0 < len(possession.proofs[0]) <= MAX_LENGTH:
        raise InvalidInput(f"expected one DPoP header of at most {MAX_LENGTH} characters")
    try:
        parts = possession.proofs[0].decode("ascii").split(".")
        header, claims, signature = (decoded(part) for part in parts)
        key = _public_key(read_members(header))
        claimed = read_members(claims)
    except (ValueError, InvalidIdentityToken):
        raise InvalidInput("expected a DPoP proof: a signed JWT of three parts") from None
    if not _is_signed(".".join(parts[:2]).encode("ascii"), signature, key):
        raise InvalidInput("expected a DPoP proof that is signed with the key in its header")
    id, issued = _claims(claimed, possession.method, possession.addresses, now)
    return VerifiedProof(_thumbprint(key), id, issued + MAX_DIFFERENCE + 1)


def use_proof(records: Records, proof: VerifiedProof, now: int) -> None:
    """Record the use of a proof. Raises `InvalidInput` if it was used before. Safe only in a write transaction."""
    if not use_token(records, "dpop", proof.thumbprint, proof.id, expires=proof.expires, now=now):
        raise InvalidInput("expected a DPoP proof that was not used before")


def _public_key(header: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the key in a proof's header, a JWK. Raises `InvalidInput`."""
    if header.keys() != {"typ", "alg", "jwk"} or header["typ"] != "dpop+jwt" or header["alg"] != "ES256":
        raise InvalidInput("expected a DPoP proof with the header `typ` dpop+jwt, `alg` ES256 and `jwk`, and no other")
    key = header["jwk"]
    if not isinstance(key, dict) or not all(isinstance(value, str) for value in key.values()):
        raise InvalidInput("expected a public key as the `jwk` of the DPoP proof")
    is_plain = _KEY_MEMBERS <= key.keys() <= _KEY_MEMBERS | _DESCRIBING_MEMBERS
    if not is_plain or key["kty"] != "EC" or key["crv"] != "P-256":
        raise InvalidInput("expected the public key of a DPoP proof, without a private part, on the curve P-256")
    if key.get("alg", "ES256") != "ES256" or key.get("use", "sig") != "sig":
        raise InvalidInput("expected a key for signatures with ES256 in the DPoP proof")
    return key


def _is_signed(signed: bytes, signature: bytes, key: Mapping[str, str]) -> bool:
    try:
        x, y = decoded(key["x"]), decoded(key["y"])
        if not len(x) == len(y) == _COORDINATE or len(signature) != 2 * _COORDINATE:
            return False
        numbers = EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), SECP256R1())
        r, s = int.from_bytes(signature[:_COORDINATE]), int.from_bytes(signature[_COORDINATE:])
        numbers.public_key().verify(encode_dss_signature(r, s), signed, ECDSA(SHA256()))
    except (InvalidSignature, InvalidIdentityToken, ValueError):  # also for a point that is not on the curve
        return False
    return True


def _claims(claims: Mapping[str, Any], method: str, addresses: Collection[str], now: int) -> tuple[str, int]:
    """Return the id and the time of a proof for this request. Raises `InvalidInput`."""
    issued, id = claims.get("iat"), claims.get("jti")
    if claims.get("htm") != method:
        raise InvalidInput(f"expected a DPoP proof whose `htm` is {method}")
    address = claims.get("htu")
    if not isinstance(address, str) or _normal(address) not in addresses:
        raise InvalidInput("expected a DPoP proof whose `htu` is the address of this request")
    if type(issued) is not int or abs(issued - now) > MAX_DIFFERENCE:
        raise InvalidInput(f"expected a DPoP proof whose `iat` differs by at most {MAX_DIFFERENCE} seconds from now")
    if not isinstance(id, str) or not 0 < len(id) <= MAX_ID:
        raise InvalidInput(f"expected a DPoP proof whose `jti` has 1 to {MAX_ID} characters")
    return id, issued


def _thumbprint(key: Mapping[str, str]) -> str:
    """Return the thumbprint of a public key (RFC 7638)."""
    text = json.dumps({name: key[name] for name in sorted(_KEY_MEMBERS)}, separators=(",", ":"))
    return base64url(hashlib.sha256(text.encode("ascii")).digest())


def _normal(url: str) -> str | None:
    """Return a URL with scheme and host in lower case, without a default port; None for one with further parts."""
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme.lower(), parts.netloc.lower()
    except ValueError:
        return None
    if scheme not in _DEFAULT_PORTS or not host or "@" in host or "?" in url or "#" in url:
        return None
    return f"{scheme}://{host.removesuffix(_DEFAULT_PORTS[scheme])}{parts.path}"
