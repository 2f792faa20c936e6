"""Reading certificates and private keys in PEM: what is kept is made from what was understood, never the text given.

So nothing that stood beside a certificate is stored or shown, be it a private key in the same file. No error repeats
anything of a text, for people mistake a private key for its certificate. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import Certificate, InvalidVersion, load_pem_x509_certificates

from iam_guard.api.iam.iam_errors import KeyPairMismatch, MalformedCertificate

_NO_CERTIFICATE = "Unable to parse certificate. Please ensure the certificate is in PEM format."
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, InvalidVersion, InternalError)
"""What the library raises for texts that are almost right; damaged ones of each kind were tried by the ten thousand."""


def read_certificate(text: str) -> Certificate:
    """Read the one certificate of a text. Raises `MalformedCertificate`."""
    found = read_certificates(text)
    if len(found) != 1:
        raise MalformedCertificate("Unable to parse certificate. Please ensure that it is one certificate alone.")
    return found[0]


def read_certificates(text: str) -> list[Certificate]:
    """Read all certificates of a text, at least one. Raises `MalformedCertificate`."""
    try:
        found = load_pem_x509_certificates(text.encode())
        for each in found:
            each.public_key()
    except _UNREADABLE:
        raise MalformedCertificate(_NO_CERTIFICATE) from None
    return found


def read_private_key(text: str) -> PrivateKeyTypes:
    """Read a private key that no password protects. Raises `MalformedCertificate`.

    Whether an RSA key is well made is not looked into: it takes a third of a second for 4,096 bits, minutes for what
    the limit of its length allows, and nothing here computes with it.
    """
    if "ENCRYPTED" in text:
        raise MalformedCertificate("Unable to parse key; the body is encrypted.")
    try:
        return load_pem_private_key(text.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    except _UNREADABLE:
        raise MalformedCertificate("Unable to parse key. Please ensure the key is in PEM format.") from None


def require_pair(certificate: Certificate, key: PrivateKeyTypes) -> None:
    """Raise `KeyPairMismatch` unless the key is the certificate's."""
    if _public_form(certificate.public_key()) != _public_form(key.public_key()):
        raise KeyPairMismatch("Public key certificate and private key doesn't match.")


def require_chain(certificate: Certificate, chain: Sequence[Certificate]) -> None:
    """Raise `MalformedCertificate` unless each certificate is signed by the next, beginning with the first one."""
    signed = [certificate, *chain]
    for index, issuer in enumerate(chain):
        try:
            signed[index].verify_directly_issued_by(issuer)
        except (*_UNREADABLE, InvalidSignature):
            raise MalformedCertificate(
                "Unable to validate certificate chain. The certificate chain must start with the immediate signing "
                "certificate, followed by any intermediaries in order. The index within the chain of the invalid "
                f"certificate is: {index - 1}"
            ) from None


def holds(certificate: Certificate, now: int) -> bool:
    """Return whether a certificate is in its time."""
    return certificate.not_valid_before_utc.timestamp() <= now <= certificate.not_valid_after_utc.timestamp()


def in_pem(certificates: Sequence[Certificate]) -> str:
    """Write certificates, one below the other."""
    return "".join(certificate.public_bytes(Encoding.PEM).decode("ascii") for certificate in certificates)


def key_in_pem(key: PrivateKeyTypes) -> bytes:
    """Write a private key, unprotected: only for sealing."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _public_form(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
