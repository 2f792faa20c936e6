"""The keys and signatures of SigV4A: ECDSA on P-256, for a set of regions. `sigv4` verifies the request.

The private key is derived from the secret and the access key id (NIST SP 800-108, counter mode with HMAC-SHA256), so
the verifier derives it too and keeps the public half. It does not depend on day, region or service. ECDSA is
randomized: one request has many valid signatures.
"""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from iam_guard.authn.presented_credentials import ASYMMETRIC
from iam_guard.errors import SignatureDoesNotMatch

PublicKey = ec.EllipticCurvePublicKey

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_BITS: Final = (256).to_bytes(4, "big")
_FIRST_BLOCK: Final = (1).to_bytes(4, "big")
_CURVE: Final = ec.SECP256R1()
_ECDSA: Final = ec.ECDSA(SHA256())


def public_key(secret: str, access_key_id: str) -> PublicKey:
    """Derive the public key that verifies the signatures of an access key."""
    key = b"AWS4A" + secret.encode()
    for counter in range(1, 255):
        context = access_key_id.encode("ascii") + bytes([counter])
        block = hmac.digest(key, _FIRST_BLOCK + ASYMMETRIC.encode("ascii") + b"\0" + context + _BITS, "sha256")
        candidate = int.from_bytes(block, "big")
        if candidate <= _ORDER - 2:
            return ec.derive_private_key(candidate + 1, _CURVE).public_key()
    raise SignatureDoesNotMatch()  # after 254 blocks above the order of the curve, 1 in 2^8128


def is_asymmetric_signature(key: PublicKey, signature: str, text: bytes) -> bool:
    """Return whether a signature (hexadecimal DER of two numbers) is valid for `text`."""
    try:
        key.verify(bytes.fromhex(signature), text, _ECDSA)
    except (InvalidSignature, ValueError):
        return False
    return True


def first_number(signature: str) -> str:
    """Return the first number of a verified signature; negating the second gives another valid signature."""
    return f"{decode_dss_signature(bytes.fromhex(signature))[0]:064x}"
