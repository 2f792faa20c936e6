"""Parse and validate certificates of authorities and revocation lists in PEM.

Used when a trust anchor is declared, and again when it is used. Error messages never quote the text, since people
paste private keys by mistake.
"""

from __future__ import annotations

import re
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from iam_guard.errors import InvalidInput

UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, InternalError)
"""The exceptions of `cryptography` for invalid input."""
MAX_AUTHORITIES = 20
MAX_LIST_LENGTH = 4 * 1024 * 1024
MIN_RSA_BITS = 2048
CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

E = TypeVar("E", bound=x509.ExtensionType)

_LIST = re.compile(r"-----BEGIN X509 CRL-----[\sA-Za-z0-9+/=]+-----END X509 CRL-----")


def read_authorities(text: str) -> list[x509.Certificate]:
    """Parse certificates of authorities. Raises `InvalidInput` for none, and for one that may not sign certificates."""
    try:
        certificates = x509.load_pem_x509_certificates(text.encode())
        for certificate in certificates:
            _check_authority(certificate)
    except UNREADABLE:
        raise InvalidInput("expected certificates in PEM") from None
    if len(certificates) > MAX_AUTHORITIES:
        raise InvalidInput(f"expected at most {MAX_AUTHORITIES} certificates of authorities, got {len(certificates)}")
    return certificates


def read_revocation_list(text: str) -> x509.CertificateRevocationList:
    """Parse a revocation list. Raises `InvalidInput` for an incomplete list.

    Incomplete are delta lists, lists of other authorities' certificates or of some reasons only, lists without a next
    update, and lists with an unknown critical extension.
    """
    if len(text) > MAX_LIST_LENGTH or len(_LIST.findall(text)) != 1:
        raise InvalidInput("expected one revocation list in PEM")
    try:
        revocations = x509.load_pem_x509_crl(text.encode())
        _check_list(revocations)
    except UNREADABLE:
        raise InvalidInput("expected one revocation list in PEM") from None
    return revocations


def extension_of(holder: x509.Certificate | x509.CertificateRevocationList, kind: type[E]) -> E | None:
    """Return the value of an extension of this kind; None without one."""
    try:
        return holder.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def is_strong(certificate: x509.Certificate) -> bool:
    """Return whether a certificate's key has a secure type and size."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= MIN_RSA_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, CURVES)


def _check_authority(certificate: x509.Certificate) -> None:
    constraints, usage = extension_of(certificate, x509.BasicConstraints), extension_of(certificate, x509.KeyUsage)
    if constraints is None or usage is None:
        raise InvalidInput("expected certificates of authorities, with basic constraints and key usage")
    if not constraints.ca or not usage.key_cert_sign:
        raise InvalidInput("expected certificates of authorities, which may sign certificates")
    if not is_strong(certificate):
        raise InvalidInput("expected keys of RSA with 2048 bits or more, or of P-256, P-384 or P-521")


def _check_list(revocations: x509.CertificateRevocationList) -> None:
    if revocations.next_update_utc is None:
        raise InvalidInput("expected a revocation list with a next update")
    for extension in revocations.extensions:
        value = extension.value
        if isinstance(value, x509.DeltaCRLIndicator):
            raise InvalidInput("expected a complete revocation list, got a delta")
        if isinstance(value, x509.IssuingDistributionPoint):
            if value.indirect_crl or value.only_some_reasons or value.only_contains_attribute_certs:
                raise InvalidInput("expected a revocation list of the authority's own certificates, for all reasons")
        elif extension.critical:
            raise InvalidInput("expected a revocation list without unknown critical extensions")
