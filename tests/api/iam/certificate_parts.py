"""Keys and certificates for tests: cached, with small curves, so that they are fast."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

TODAY = datetime(2026, 11, 24, 12, tzinfo=UTC)
"""The day from which certificates count: one that begins is good on every later date."""
DAY = timedelta(days=1)
FOREVER = 36_500


@cache
def key_of(name: str) -> ec.EllipticCurvePrivateKey:
    """Return an owner's key; the same name has the same key."""
    return ec.generate_private_key(ec.SECP256R1())


@cache
def rsa_key(name: str, bits: int) -> rsa.RSAPrivateKey:
    """Return an RSA key; the same name has the same key."""
    return rsa.generate_private_key(65537, bits)


def private_pem(name: str, password: bytes | None = None) -> str:
    """Return an owner's private key in PEM."""
    how = NoEncryption() if password is None else BestAvailableEncryption(password)
    return key_of(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how).decode()


def certificate_pem(
    name: str, issuer: str | None = None, *, begins: int = -1, ends: int = FOREVER, key: str | None = None
) -> str:
    """Return a certificate for an owner, self-signed or by an issuer; it is valid between days relative to `TODAY`.

    `key` names another owner whose key is certified.
    """
    issuer = issuer or name
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key_of(key or name).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(TODAY + begins * DAY)
        .not_valid_after(TODAY + ends * DAY)
    )
    return builder.sign(key_of(key or issuer), SHA256()).public_bytes(Encoding.PEM).decode()


def ssh_text(name: str, bits: int = 2048) -> str:
    """Return a public RSA key in OpenSSH format."""
    return rsa_key(name, bits).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def public_pem(name: str) -> str:
    """Return the same public RSA key in PEM."""
    return rsa_key(name, 2048).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def error_of(call: Callable[..., Any], **parameters: Any) -> tuple[str, int, str]:
    """Call a function that must fail, and return code, message and status."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Message"]


def quotes(sentence: str, text: str) -> bool:
    """Return whether a message contains a line of a text."""
    return any(line in sentence for line in text.splitlines() if len(line) > 8)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
