"""Certificates of authorities and revocation lists, read from PEM and checked to be fit for their place.

Asked when a trust anchor is declared, and again when it is used. No message repeats anything of a text, for people
mistake a private key for its certificate.
"""

from __future__ import annotations

import re

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from iam_guard.errors import InvalidInput

UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, InternalError)
"""What the library raises for texts that are almost right."""
MAX_AUTHORITIES = 20
LIST_CHARACTERS = 4 * 1024 * 1024
SMALLEST_RSA_BITS = 2048
CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

_LIST = re.compile(r"-----BEGIN X509 CRL-----[\sA-Za-z0-9+/=]+-----END X509 CRL-----")


def read_authorities(text: str) -> list[x509.Certificate]:
    """Read the certificates of authorities. Raises `InvalidInput` for none, and for one that may not sign others."""
    try:
        found = x509.load_pem_x509_certificates(text.encode())
        for each in found:
            _check_authority(each)
    except UNREADABLE:
        raise InvalidInput("expected certificates in PEM") from None
    if len(found) > MAX_AUTHORITIES:
        raise InvalidInput(f"expected at most {MAX_AUTHORITIES} certificates of authorities, got {len(found)}")
    return found


def read_revocation_list(text: str) -> x509.CertificateRevocationList:
    """Read one revocation list. Raises `InvalidInput` for one that does not tell everything that it must.

    That is a list of changes only, one of other authorities' certificates or of some reasons only, one that says not
    until when it holds, and one with a critical extension that nobody here knows.
    """
    if len(text) > LIST_CHARACTERS or len(_LIST.findall(text)) != 1:
        raise InvalidInput("expected one revocation list in PEM")
    try:
        found = x509.load_pem_x509_crl(text.encode())
        _check_list(found)
    except UNREADABLE:
        raise InvalidInput("expected one revocation list in PEM") from None
    return found


def is_strong(certificate: x509.Certificate) -> bool:
    """Return whether a certificate's own key is of a kind and size that is still good."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= SMALLEST_RSA_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, CURVES)


def _check_authority(certificate: x509.Certificate) -> None:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        raise InvalidInput("expected certificates of authorities, with basic constraints and key usage") from None
    if not constraints.ca or not usage.key_cert_sign:
        raise InvalidInput("expected certificates of authorities, which may sign certificates")
    if not is_strong(certificate):
        raise InvalidInput("expected keys of RSA with 2048 bits or more, or of P-256, P-384 or P-521")


def _check_list(found: x509.CertificateRevocationList) -> None:
    if found.next_update_utc is None:
        raise InvalidInput("expected a revocation list that says when the next one comes")
    for extension in found.extensions:
        value = extension.value
        if isinstance(value, x509.DeltaCRLIndicator):
            raise InvalidInput("expected a whole revocation list, got one of changes only")
        if isinstance(value, x509.IssuingDistributionPoint):
            if value.indirect_crl or value.only_some_reasons or value.only_contains_attribute_certs:
                raise InvalidInput("expected a revocation list of the authority's own certificates, for all reasons")
        elif extension.critical:
            raise InvalidInput("expected a revocation list without critical extensions that are unknown here")
