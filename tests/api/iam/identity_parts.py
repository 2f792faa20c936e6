"""Shared parts of the tests of identities and identity providers: trust policies, SAML metadata."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from tests.api.conftest import ACCOUNT, ADMIN_KEY, Client, Running

EC2 = {"Service": "ec2.amazonaws.com"}


def trusting(principal: Any, action: Any = "sts:AssumeRole", **more: Any) -> str:
    """Return a trust policy."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": action, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def user_arn(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:user/{name}"


def unvalidated(server: Running) -> Client:
    """A client without parameter validation."""
    config = Config(parameter_validation=False, retries={"max_attempts": 1, "mode": "standard"})
    return boto3.client(
        "iam",
        endpoint_url=server.url,
        aws_access_key_id=ADMIN_KEY[0],
        aws_secret_access_key=ADMIN_KEY[1],
        region_name="us-east-1",
        config=config,
    )


# --- SAML --------------------------------------------------------------------------------------------------------


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def pem(password: bytes | None = None) -> str:
    """Return a private key in PEM."""
    how: KeySerializationEncryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    return rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how).decode()


def ec_pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def certificate(name: str = "idp", bits: int = 2048) -> bytes:
    """Return an expired certificate in DER."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    small = rsa.RSAPublicNumbers(65537, 2 ** (bits - 1) + 1)  # small keys are no longer generated
    builder = x509.CertificateBuilder(
        issuer_name=subject,
        subject_name=subject,
        public_key=rsa_key().public_key() if bits == 2048 else small.public_key(),
        serial_number=7,
        not_valid_before=datetime(2020, 1, 1, tzinfo=UTC),
        not_valid_after=datetime(2021, 1, 1, tzinfo=UTC),
    )
    return builder.sign(rsa_key(), hashes.SHA256()).public_bytes(Encoding.DER)


def metadata(
    *,
    root: str = "EntityDescriptor",
    entity_id: str = "https://idp.example.com/saml",
    attributes: str = "",
    protocol: str = "urn:oasis:names:tc:SAML:2.0:protocol",
    use: str = 'use="signing"',
    key: str | None = None,
    inside: str = "",
    before: str = '<?xml version="1.0" encoding="UTF-8"?>',
) -> str:
    """Return a metadata document of at least 1,000 characters, AWS's minimum."""
    shown = base64.b64encode(certificate()).decode() if key is None else key
    document = f"""{before}
<md:{root} xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{entity_id}" {attributes}>
  <md:IDPSSODescriptor protocolSupportEnumeration="{protocol}">
    <md:KeyDescriptor {use}>
      <ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#">
        <ds:X509Data><ds:X509Certificate>{shown}</ds:X509Certificate></ds:X509Data>
      </ds:KeyInfo>
    </md:KeyDescriptor>
    {inside}
  </md:IDPSSODescriptor>
</md:{root}>"""
    return document.ljust(1000)
