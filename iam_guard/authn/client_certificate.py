"""Reading the client certificate that a request came with: from the server's own TLS connection, or from a header that
a trusted proxy set. Form only, nothing is verified here.

Each source has its form, and there is one table of them. Whether a header may be believed was found out at the edge
(`web/connection`): one from anybody else than a trusted proxy is not skipped but refused, for it is either an attack or
a proxy that is not set up. Of a forwarded certificate the certificate alone counts: what a proxy says besides about its
subject is not read. What was read is remembered by its text, for a caller comes again.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes

from cryptography.hazmat.primitives import hashes
from cryptography.x509 import Certificate, load_der_x509_certificate, load_pem_x509_certificates

from iam_guard.authn.constant_time import same
from iam_guard.authn.presented_credentials import CarriedCertificate, CertificateCredential
from iam_guard.errors import IncompleteSignature
from iam_guard.model.certificates import UNREADABLE

TLS: Final = "tls"
ENVOY: Final = "x-forwarded-client-cert"
RFC_9440: Final = "client-cert"
CHAIN_HEADER: Final = b"client-cert-chain"
ROLE_HEADER: Final = b"x-iam-guard-role"
"""Names the role, by ARN, where the certificate's profiles leave a choice."""

MAX_CERTIFICATES: Final = 10
_REMEMBERED: Final = 1024
_ROLE = re.compile(r"arn:[!-~]{1,2043}")
_BYTE_SEQUENCE = re.compile(rb":([A-Za-z0-9+/]*={0,2}):")
_PAIR = re.compile(rb'\s*([A-Za-z]{1,16})=("(?:[^"\\]|\\.)*"|[^;,"]*)\s*([;,]|\Z)')

Chain: TypeAlias = tuple[Certificate, ...]


class _Read(NamedTuple):
    chain: Chain
    fingerprint: str


def read_client_certificate(carried: Sequence[CarriedCertificate], roles: Sequence[bytes]) -> CertificateCredential:
    """Read the one certificate of a request; `roles` are the values of `ROLE_HEADER`. Raises `IncompleteSignature`."""
    if len(carried) != 1:
        raise IncompleteSignature("expected one client certificate, got several")
    found = carried[0]
    if not found.is_trusted:
        raise IncompleteSignature("expected this header from a trusted proxy only", place=found.source)
    read = _read(found.source, found.values, found.chain)
    return CertificateCredential(read.chain, read.fingerprint, _role(roles))


def _role(values: Sequence[bytes]) -> str | None:
    if not values:
        return None
    text = values[0].decode("latin-1").strip()
    if len(values) != 1 or _ROLE.fullmatch(text) is None:
        raise IncompleteSignature("expected the ARN of one role", place=ROLE_HEADER.decode())
    return text


@lru_cache(maxsize=_REMEMBERED)
def _read(source: str, values: tuple[bytes, ...], chain: tuple[bytes, ...]) -> _Read:
    read = _FORMS.get(source, _escaped)
    try:
        found = read(values, chain)
        if not 1 <= len(found) <= MAX_CERTIFICATES:
            raise IncompleteSignature(f"expected 1 to {MAX_CERTIFICATES} certificates", place=source)
        for each in found:
            each.public_key()
        return _Read(found, found[0].fingerprint(hashes.SHA256()).hex())
    except UNREADABLE:
        raise IncompleteSignature("expected a client certificate that can be read", place=source) from None


# --- the forms -----------------------------------------------------------------------------------------------------


def _of_connection(values: tuple[bytes, ...], chain: tuple[bytes, ...]) -> Chain:
    """PEM, the client's own certificate first, as the TLS extension of ASGI has it."""
    return tuple(load_pem_x509_certificates(b"\n".join(values)))


def _escaped(values: tuple[bytes, ...], chain: tuple[bytes, ...]) -> Chain:
    """PEM with percent signs, as nginx (`$ssl_client_escaped_cert`) and AWS's load balancers write it."""
    return tuple(load_pem_x509_certificates(unquote_to_bytes(_only(values))))


def _rfc_9440(values: tuple[bytes, ...], chain: tuple[bytes, ...]) -> Chain:
    """DER in base64 between colons; a second header has the rest of the chain."""
    rest = [item.strip() for value in chain for item in value.split(b",")]
    return tuple(load_der_x509_certificate(_bytes(item)) for item in (_only(values).strip(), *rest))


def _bytes(item: bytes) -> bytes:
    found = _BYTE_SEQUENCE.fullmatch(item)
    if found is None:
        raise ValueError
    return base64.b64decode(found[1], validate=True)


def _envoy(values: tuple[bytes, ...], chain: tuple[bytes, ...]) -> Chain:
    """Envoy's: one element with `Cert` or `Chain`; with both, and with `Hash`, these must agree."""
    element = _element(_only(values))
    single, whole = element.get("cert"), element.get("chain")
    text = whole or single
    if not text:
        raise IncompleteSignature("expected the certificate itself, as `Cert` or `Chain`", place=ENVOY)
    found = tuple(load_pem_x509_certificates(unquote_to_bytes(text)))
    if single and load_pem_x509_certificates(unquote_to_bytes(single)) != list(found[:1]):
        raise IncompleteSignature("expected `Cert` to be the first of `Chain`", place=ENVOY)
    if "hash" in element and not same(element["hash"].lower(), found[0].fingerprint(hashes.SHA256()).hex().encode()):
        raise IncompleteSignature("expected `Hash` to be that of the certificate", place=ENVOY)
    return found


def _element(value: bytes) -> Mapping[str, bytes]:
    """Read the pairs of the one element; of several, nobody knows which is the caller's."""
    pairs: dict[str, bytes] = {}
    position = 0
    while position < len(value):
        found = _PAIR.match(value, position)
        if found is None or found[3] == b",":
            raise IncompleteSignature("expected one element of pairs, set the proxy to replace the header", place=ENVOY)
        key, text = found[1].decode("ascii").lower(), found[2]
        if text.startswith(b'"'):
            text = re.sub(rb"\\(.)", rb"\1", text[1:-1])
        if key in pairs and key in ("hash", "cert", "chain"):
            raise IncompleteSignature("expected each of `Hash`, `Cert` and `Chain` once", place=ENVOY)
        pairs[key] = text
        position = found.end()
    return pairs


def _only(values: tuple[bytes, ...]) -> bytes:
    if len(values) != 1:
        raise IncompleteSignature("expected one header with the client certificate, got several")
    return values[0]


_FORMS: Mapping[str, Callable[[tuple[bytes, ...], tuple[bytes, ...]], Chain]] = {
    TLS: _of_connection,
    ENVOY: _envoy,
    RFC_9440: _rfc_9440,
}
