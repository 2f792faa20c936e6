"""Parse the client certificate of a request, from the server's TLS connection or from a trusted proxy's header.

Nothing is verified here. `_FORMS` is the table of sources and their formats. A header that does not come from a trusted
proxy (`web/connection` decides) is refused, not ignored: it is an attack or a misconfigured proxy. Only the certificate
itself is used, not what the proxy states about its subject. Parsed certificates are cached by their text.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from cryptography.hazmat.primitives import hashes
from cryptography.x509 import Certificate, load_der_x509_certificate, load_pem_x509_certificates

from iam_guard.authn.constant_time import same
from iam_guard.authn.presented_credentials import CertificateCredential, ReceivedCertificate
from iam_guard.errors import IncompleteSignature
from iam_guard.model.certificates import UNREADABLE

TLS: Final = "tls"
ENVOY: Final = "x-forwarded-client-cert"
RFC_9440: Final = "client-cert"
CHAIN_HEADER: Final = b"client-cert-chain"
ROLE_HEADER: Final = b"x-iam-guard-role"
"""The ARN of the requested role, needed if the certificate's profiles allow several."""

MAX_CERTIFICATES: Final = 10
_CACHE_SIZE: Final = 1024
_ROLE = re.compile(r"arn:[!-~]{1,2043}")
_BYTE_SEQUENCE = re.compile(rb":([A-Za-z0-9+/]*={0,2}):")
_PAIR = re.compile(rb'\s*([A-Za-z]{1,16})=("(?:[^"\\]|\\.)*"|[^;,"]*)\s*([;,]|\Z)')

Chain: TypeAlias = tuple[Certificate, ...]


def read_client_certificate(carried: Sequence[ReceivedCertificate], roles: Sequence[bytes]) -> CertificateCredential:
    """Parse the certificate of a request; `roles` are the values of `ROLE_HEADER`. Raises `IncompleteSignature`."""
    if len(carried) != 1:
        raise IncompleteSignature("expected one client certificate, got several")
    source, values, chain, is_trusted = carried[0]
    if not is_trusted:
        raise IncompleteSignature("expected this header from a trusted proxy only", place=source)
    return replace(_parse(source, values, chain), role=_role(roles))


def _role(values: Sequence[bytes]) -> str | None:
    if not values:
        return None
    text = values[0].decode("latin-1").strip()
    if len(values) != 1 or _ROLE.fullmatch(text) is None:
        raise IncompleteSignature("expected the ARN of one role", place=ROLE_HEADER.decode())
    return text


@lru_cache(maxsize=_CACHE_SIZE)
def _parse(source: str, values: tuple[bytes, ...], chain: tuple[bytes, ...]) -> CertificateCredential:
    parse = _FORMS.get(source, _escaped)
    try:
        certificates = parse(values, chain)
        if not 1 <= len(certificates) <= MAX_CERTIFICATES:
            raise IncompleteSignature(f"expected 1 to {MAX_CERTIFICATES} certificates", place=source)
        for certificate in certificates:
            certificate.public_key()
        return CertificateCredential(certificates, certificates[0].fingerprint(hashes.SHA256()).hex())
    except UNREADABLE:
        raise IncompleteSignature("expected a valid client certificate", place=source) from None


def _from_tls(values: tuple[bytes, ...], chain: tuple[bytes, ...]) -> Chain:
    """Parse PEM, the client certificate first, as in ASGI's TLS extension."""
    return tuple(load_pem_x509_certificates(b"\n".join(values)))


def _escaped(values: tuple[bytes, ...], chain: tuple[bytes, ...]) -> Chain:
    """Parse percent-encoded PEM, as nginx (`$ssl_client_escaped_cert`) and AWS's load balancers send it."""
    return tuple(load_pem_x509_certificates(unquote_to_bytes(_only(values))))


def _rfc_9440(values: tuple[bytes, ...], chain: tuple[bytes, ...]) -> Chain:
    """Parse base64 DER between colons (RFC 9440); a second header has the rest of the chain."""
    rest = [item.strip() for value in chain for item in value.split(b",")]
    return tuple(load_der_x509_certificate(_bytes(item)) for item in (_only(values).strip(), *rest))


def _bytes(item: bytes) -> bytes:
    match = _BYTE_SEQUENCE.fullmatch(item)
    if match is None:
        raise ValueError
    return base64.b64decode(match[1], validate=True)


def _envoy(values: tuple[bytes, ...], chain: tuple[bytes, ...]) -> Chain:
    """Parse Envoy's header: one element with `Cert` or `Chain`; both, and `Hash`, must agree if present."""
    element = _element(_only(values))
    single, whole = element.get("cert"), element.get("chain")
    text = whole or single
    if not text:
        raise IncompleteSignature("expected the certificate itself, as `Cert` or `Chain`", place=ENVOY)
    certificates = tuple(load_pem_x509_certificates(unquote_to_bytes(text)))
    if single and load_pem_x509_certificates(unquote_to_bytes(single)) != list(certificates[:1]):
        raise IncompleteSignature("expected `Cert` to be the first of `Chain`", place=ENVOY)
    digest = element.get("hash")
    if digest is not None and not same(digest.lower(), certificates[0].fingerprint(hashes.SHA256()).hex().encode()):
        raise IncompleteSignature("expected `Hash` to be that of the certificate", place=ENVOY)
    return certificates


def _element(value: bytes) -> Mapping[str, bytes]:
    """Parse the pairs of the only element; with several it is unclear which one is the caller's."""
    pairs: dict[str, bytes] = {}
    position = 0
    while position < len(value):
        match = _PAIR.match(value, position)
        if match is None or match[3] == b",":
            message = "expected one element of pairs: configure the proxy to replace the header"
            raise IncompleteSignature(message, place=ENVOY)
        key, text = match[1].decode("ascii").lower(), match[2]
        if text.startswith(b'"'):
            text = re.sub(rb"\\(.)", rb"\1", text[1:-1])
        if key in pairs and key in ("hash", "cert", "chain"):
            raise IncompleteSignature("expected each of `Hash`, `Cert` and `Chain` once", place=ENVOY)
        pairs[key] = text
        position = match.end()
    return pairs


def _only(values: tuple[bytes, ...]) -> bytes:
    if len(values) != 1:
        raise IncompleteSignature("expected one header with the client certificate, got several")
    return values[0]


_FORMS: Mapping[str, Callable[[tuple[bytes, ...], tuple[bytes, ...]], Chain]] = {
    TLS: _from_tls,
    ENVOY: _envoy,
    RFC_9440: _rfc_9440,
}
