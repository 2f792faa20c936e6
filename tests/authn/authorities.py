"""Test certificate authorities made with `cryptography`, with valid and invalid certificates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
"""The time of guards with a test clock; certificates are valid today as well."""
DAY = timedelta(days=1)
FOREVER = NOW + 36_500 * DAY
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
_OIDS = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME}


def name(text: str) -> x509.Name:
    """Parse `CN=x/O=y`; empty text is an empty name."""
    parts = [part.partition("=") for part in text.split("/") if part]
    return x509.Name([x509.NameAttribute(_OIDS[key], value) for key, _, value in parts])


@dataclass(frozen=True)
class Party:
    """A certificate with its private key, and the certificates between it and its root."""

    certificate: x509.Certificate
    key: Any
    between: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        return (self.certificate, *self.between)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return str(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "ascii")

    @property
    def escaped(self) -> str:
        return quote(self.pem, safe="")

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()


def make(
    subject: str,
    issuer: Party | None = None,
    *,
    is_authority: bool = False,
    names: Sequence[x509.GeneralName] = (),
    usages: Sequence[x509.ObjectIdentifier] | None = (CLIENT,),
    signs: bool | None = True,
    path_length: int | None = None,
    begins: datetime = NOW - DAY,
    ends: datetime = FOREVER,
    key: Any = None,
    constraints: x509.NameConstraints | None = None,
    serial: int | None = None,
    basic: bool = True,
) -> Party:
    """Sign a certificate, by an issuer or by itself. `signs` is None for no key usage extension."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    signing = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(issuer.certificate.subject if issuer else name(subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number() if serial is None else serial)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    if basic:
        limits = x509.BasicConstraints(is_authority, path_length if is_authority else None)
        builder = builder.add_extension(limits, critical=True)
    if signs is not None:
        sign_others = is_authority
        usage = x509.KeyUsage(signs, False, False, False, False, sign_others, sign_others, False, False)
        builder = builder.add_extension(usage, critical=True)
    if is_authority:
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    elif usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not subject)
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    signed = builder.sign(signing, hashes.SHA256())
    inner = issuer is not None and issuer.certificate.issuer != issuer.certificate.subject
    between = (issuer.certificate, *issuer.between) if issuer is not None and inner else ()
    return Party(signed, key, between)


def authority(subject: str = "CN=Root", issuer: Party | None = None, **more: Any) -> Party:
    return make(subject, issuer, is_authority=True, **more)


def revocation_list(
    issuer: Party,
    *revoked: Party | int,
    issued: datetime = NOW - DAY,
    ends: datetime | None = NOW + 7 * DAY,
    key: Any = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> str:
    """Return a signed revocation list in PEM."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject).last_update(issued)
    if ends is not None:
        builder = builder.next_update(ends)
    aki = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    builder = builder.add_extension(aki, critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    for party in revoked:
        serial = party if isinstance(party, int) else party.certificate.serial_number
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(issued).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key or issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
