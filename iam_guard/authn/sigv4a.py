"""SigV4A: signatures by ECDSA on P-256, with a key pair that follows from the secret, for a set of regions.

The client's private key is derived from its secret and access key id (a KDF in counter mode, NIST SP 800-108, with
HMAC-SHA256), so the verifier derives it too and keeps the public half. It depends on neither day, region nor service.
ECDSA signs the same thing otherwise each time, so there are many good signatures of one request.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from iam_guard.authn.canonical import canonical_requests
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import ASYMMETRIC, SigV4Credential
from iam_guard.errors import SignatureDoesNotMatch

PublicKey = ec.EllipticCurvePublicKey

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_BITS: Final = (256).to_bytes(4, "big")
_FIRST_BLOCK: Final = (1).to_bytes(4, "big")
_CURVE: Final = ec.SECP256R1()
_ECDSA: Final = ec.ECDSA(SHA256())


def public_key(secret: str, access_key_id: str) -> PublicKey:
    """Derive the key that checks the signatures of an access key."""
    key = b"AWS4A" + secret.encode()
    for counter in range(1, 255):
        context = access_key_id.encode("ascii") + bytes([counter])
        block = hmac.digest(key, _FIRST_BLOCK + ASYMMETRIC.encode("ascii") + b"\0" + context + _BITS, "sha256")
        candidate = int.from_bytes(block, "big")
        if candidate <= _ORDER - 2:
            return ec.derive_private_key(candidate + 1, _CURVE).public_key()
    raise SignatureDoesNotMatch()  # after 254 blocks above the order of the curve, 1 in 2^8128


def is_signed_by(
    key: PublicKey,
    request: HttpRequest,
    credential: SigV4Credential,
    *,
    payload_hash: str,
) -> bool:
    """Return whether the signature was made with the private half over this request."""
    for canonical in canonical_requests(request, credential, payload_hash=payload_hash):
        if is_signature(key, credential.signature, _text(credential, canonical)):
            return True
    return False


def _text(credential: SigV4Credential, canonical_request: bytes) -> bytes:
    """Make what the signature is computed over."""
    digest = hashlib.sha256(canonical_request).hexdigest()
    return f"{ASYMMETRIC}\n{credential.timestamp}\n{credential.scope}\n{digest}".encode("ascii")


def is_signature(key: PublicKey, signature: str, text: bytes) -> bool:
    """Return whether a signature in hexadecimal, a DER of two numbers, is one of `text`."""
    try:
        key.verify(bytes.fromhex(signature), text, _ECDSA)
    except (InvalidSignature, ValueError):
        return False
    return True


def first_number(signature: str) -> str:
    """Return the first number of a signature that verified; the other can be negated, and the signature stays good."""
    return f"{decode_dss_signature(bytes.fromhex(signature))[0]:064x}"
