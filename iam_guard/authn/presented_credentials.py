"""The kinds of credentials that a request can carry: parsed, not yet verified."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from cryptography.x509 import Certificate

from iam_guard.model.principal import CredentialKind

ALGORITHM = "AWS4-HMAC-SHA256"
ASYMMETRIC = "AWS4-ECDSA-P256-SHA256"
"""The algorithm of SigV4A, which signs for a set of regions."""
TERMINATOR = "aws4_request"


class SigV4Credential(NamedTuple):
    """A Signature Version 4. `timestamp` is the time of signing, as `YYYYMMDDTHHMMSSZ`; `date` is that of the scope.

    `session_token` belongs to temporary credentials; like the signature, it is never shown. For SigV4A `region` is the
    set of regions as sent. `is_presigned` marks a signature in the query, valid for `expires` seconds.

    A tuple, since it is created for every request: a frozen dataclass of this size costs three times as much.
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
        return f"SigV4Credential({self.access_key_id!r}, {self.scope!r}, {self.timestamp!r})"  # no secrets, for logs

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
    """A bearer token of three parts, such as an OIDC token; as secret as a password.

    A tuple for the same reason as `SigV4Credential`.
    """

    text: str

    def __repr__(self) -> str:
        return "TokenCredential()"


class ReceivedCertificate(NamedTuple):
    """A client certificate as received, not yet parsed: `source` is `tls` or the header's name.

    `is_trusted` is whether our own server or a trusted proxy did the TLS handshake.
    """

    source: str
    values: tuple[bytes, ...]
    chain: tuple[bytes, ...] = ()
    is_trusted: bool = False


@dataclass(frozen=True, slots=True)
class CertificateCredential:
    """A client certificate and its intermediates, itself first. `role` is the ARN of the requested role."""

    chain: tuple[Certificate, ...] = field(repr=False)
    fingerprint: str
    """SHA-256 of the certificate in hexadecimal."""
    role: str | None = None


@dataclass(frozen=True, slots=True)
class NoCredential:
    """The request carries no credential."""


AnyCredential: TypeAlias = SigV4Credential | ApiKeyCredential | TokenCredential | CertificateCredential | NoCredential


class Claim(NamedTuple):
    """The unverified kind and id of a request's credential, for the audit trail and for caches."""

    kind: CredentialKind
    id: str | None
    """The access key id, API key id or certificate fingerprint."""


def claim_of(credential: AnyCredential) -> Claim:
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
