"""Parsing of certificates and private keys in PEM. Stored text is serialized from the parsed objects, never the input.

So no other content of the input is stored or returned, such as a private key in the same file. No error quotes the
input, since users may paste a private key instead of its certificate. Pure.
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

from iam_guard.api.service_errors import KeyPairMismatch, MalformedCertificate

_NO_CERTIFICATE = "Unable to parse certificate. Please ensure the certificate is in PEM format."
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, InvalidVersion, InternalError)
"""Exceptions of the library for malformed input, found by fuzzing each kind ten thousand times."""


def read_certificate(text: str) -> Certificate:
    """Parse a text with exactly one certificate. Raises `MalformedCertificate`."""
    certificates = read_certificates(text)
    if len(certificates) != 1:
        raise MalformedCertificate("Unable to parse certificate. Please ensure that it is a single certificate.")
    return certificates[0]


def read_certificates(text: str) -> list[Certificate]:
    """Parse a text with at least one certificate. Raises `MalformedCertificate`."""
    try:
        certificates = load_pem_x509_certificates(text.encode())
        for certificate in certificates:
            certificate.public_key()
    except _UNREADABLE:
        raise MalformedCertificate(_NO_CERTIFICATE) from None
    return certificates


def read_private_key(text: str) -> PrivateKeyTypes:
    """Parse a private key without a password. Raises `MalformedCertificate`.

    RSA keys are not checked for validity: that takes a third of a second for 4,096 bits, minutes for the longest
    possible key, and the key is never used here.
    """
    if "ENCRYPTED" in text:
        raise MalformedCertificate("Unable to parse key; the body is encrypted.")
    try:
        return load_pem_private_key(text.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    except _UNREADABLE:
        raise MalformedCertificate("Unable to parse key. Please ensure the key is in PEM format.") from None


def require_pair(certificate: Certificate, key: PrivateKeyTypes) -> None:
    """Raise `KeyPairMismatch` unless the key belongs to the certificate."""
    if _public_form(certificate.public_key()) != _public_form(key.public_key()):
        raise KeyPairMismatch("Public key certificate and private key doesn't match.")


def require_chain(certificate: Certificate, chain: Sequence[Certificate]) -> None:
    """Raise `MalformedCertificate` unless each certificate is issued by the next one."""
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


def is_valid_at(certificate: Certificate, now: int) -> bool:
    """Return whether a certificate's validity period includes a time."""
    return certificate.not_valid_before_utc.timestamp() <= now <= certificate.not_valid_after_utc.timestamp()


def in_pem(certificates: Sequence[Certificate]) -> str:
    """Serialize certificates, one after the other."""
    return "".join(certificate.public_bytes(Encoding.PEM).decode("ascii") for certificate in certificates)


def key_in_pem(key: PrivateKeyTypes) -> bytes:
    """Serialize a private key without encryption, for sealing only."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _public_form(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
