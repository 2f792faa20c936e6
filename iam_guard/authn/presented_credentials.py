"""What a request can carry to say who sent it: one form for each kind of credential, read and not yet verified."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from cryptography.x509 import Certificate

ALGORITHM = "AWS4-HMAC-SHA256"
ASYMMETRIC = "AWS4-ECDSA-P256-SHA256"
"""The algorithm of SigV4A, whose signatures are for a set of regions."""
TERMINATOR = "aws4_request"


class SigV4Credential(NamedTuple):
    """A Signature Version 4. `timestamp` is when it was made, as `YYYYMMDDTHHMMSSZ`; `date` is the scope's.

    `session_token` is what temporary credentials send along; like a signature, it is never shown. `region` of SigV4A is
    its set of regions, as sent. `is_presigned` tells a signature in the query, good for `expires` seconds.

    A tuple, since one is made for every request and a frozen dataclass of as many fields costs three times as much.
    """

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    session_token: str | None = None
    algorithm: str = ALGORITHM
    is_presigned: bool = False
    expires: int | None = None

    def __repr__(self) -> str:
        return f"SigV4Credential({self.access_key_id!r}, {self.scope!r}, {self.timestamp!r})"  # no secrets (design 5)

    @property
    def scope(self) -> str:
        """The credential scope, without the access key id."""
        if self.algorithm == ASYMMETRIC:
            return f"{self.date}/{self.service}/{TERMINATOR}"
        return f"{self.date}/{self.region}/{self.service}/{TERMINATOR}"


@dataclass(frozen=True, slots=True)
class ApiKeyCredential:
    """A bearer API key. `digest` is the SHA-256 of its secret."""

    id: str
    digest: bytes = field(repr=False)


class TokenCredential(NamedTuple):
    """A bearer token of three parts, as those of OIDC providers are; it is as secret as a password.

    A tuple for the same reason as a signature.
    """

    text: str

    def __repr__(self) -> str:
        return "TokenCredential()"


class CarriedCertificate(NamedTuple):
    """A client certificate as it came, not yet read: `source` is `tls` or the header's name.

    `is_trusted` says whether it was our own server or a trusted proxy that saw the key used.
    """

    source: str
    values: tuple[bytes, ...]
    chain: tuple[bytes, ...] = ()
    is_trusted: bool = False


@dataclass(frozen=True, slots=True)
class CertificateCredential:
    """A client certificate with what it brought, itself first. `role` is the ARN of the role that is asked for."""

    chain: tuple[Certificate, ...] = field(repr=False)
    fingerprint: str
    """Its SHA-256 in hexadecimal."""
    role: str | None = None


@dataclass(frozen=True, slots=True)
class NoCredential:
    """The request carries none."""


AnyCredential: TypeAlias = SigV4Credential | ApiKeyCredential | TokenCredential | CertificateCredential | NoCredential


class Claim(NamedTuple):
    """What a request claims to carry, for the audit trail and for caches; nothing of it is checked."""

    kind: str
    """`sigv4`, `api-key`, `oidc`, `x509`, `unknown`, `none`."""
    id: str | None
    """The access key id, API key id or fingerprint of the certificate."""


def claim_of(credential: AnyCredential) -> Claim:
    """Return what a credential that was read claims."""
    match credential:
        case SigV4Credential():
            return Claim("sigv4", credential.access_key_id)
        case ApiKeyCredential():
            return Claim("api-key", credential.id)
        case TokenCredential():
            return Claim("oidc", None)
        case CertificateCredential():
            return Claim("x509", credential.fingerprint)
        case NoCredential():
            return Claim("none", None)
