"""What a request can carry to say who sent it: one form for each kind of credential, read and not yet verified.

Must not live here: reading (`credential`, `signed_header`, `signed_query`, `api_key`), verifying (`verify`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

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


@dataclass(frozen=True, slots=True)
class NoCredential:
    """The request carries none."""


AnyCredential: TypeAlias = SigV4Credential | ApiKeyCredential | NoCredential


class Claim(NamedTuple):
    """What a request claims to carry, for the audit trail and for caches; nothing of it is checked."""

    kind: str
    """`sigv4`, `api-key`, `unknown`, `none`."""
    id: str | None
    """The access key id or API key id."""


def claim_of(credential: AnyCredential) -> Claim:
    """Say what a credential that was read claims."""
    match credential:
        case SigV4Credential():
            return Claim("sigv4", credential.access_key_id)
        case ApiKeyCredential():
            return Claim("api-key", credential.id)
        case NoCredential():
            return Claim("none", None)
