"""Whom client certificates are trusted for: trust anchors with their revocation lists, and profiles (as IAM Roles
Anywhere has them).

Certificates and revocation lists are PEM text here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

ROLES_ANYWHERE = "rolesanywhere.amazonaws.com"
"""The service that a role's trust policy names when it trusts client certificates."""

SESSION_SECONDS = range(900, 43200 + 1)
"""How long a session of a profile may last."""

ALL_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"x509Subject": ("*",), "x509Issuer": ("*",), "x509SAN": ("DNS", "URI", "Name/*")}
)
"""Which attributes of a certificate become session tags where a profile does not say."""


@dataclass(frozen=True, slots=True)
class TrustAnchor:
    """Certificate authorities that an account trusts. `id` is a UUID, and so are those of profiles."""

    id: str
    account: str
    name: str
    certificates: str = field(repr=False)
    revocation_lists: tuple[str, ...] = field(default=(), repr=False)

    def arn(self, partition: str, region: str) -> str:
        """Write its ARN, which trust policies compare with `aws:SourceArn`."""
        return f"arn:{partition}:rolesanywhere:{region}:{self.account}:trust-anchor/{self.id}"


@dataclass(frozen=True, slots=True)
class CertificateProfile:
    """Which roles a certificate may ask for, by ARN, and on which terms.

    `session_policies` are documents, None where sessions are not limited; `is_whole` is False where one that the
    profile names is gone, and then there is no session at all. `mappings` says which attributes become session tags.
    """

    id: str
    account: str
    name: str
    roles: tuple[str, ...]
    seconds: int
    session_policies: tuple[str, ...] | None = None
    mappings: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: ALL_NAMES)
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class CertificateTrust:
    """Everything that is enabled, of all accounts, at one epoch."""

    epoch: int
    anchors: tuple[TrustAnchor, ...] = ()
    profiles: tuple[CertificateProfile, ...] = ()
