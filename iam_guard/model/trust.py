"""The trust in client certificates, as in IAM Roles Anywhere: trust anchors with revocation lists, and profiles.

Certificates and revocation lists are PEM text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

ROLES_ANYWHERE = "rolesanywhere.amazonaws.com"
"""The service principal of client certificates in a role's trust policy."""

SESSION_SECONDS = range(900, 43200 + 1)
"""Allowed session durations of a profile."""

ALL_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"x509Subject": ("*",), "x509Issuer": ("*",), "x509SAN": ("DNS", "URI", "Name/*")}
)
"""The default mapping of certificate attributes to session tags."""


@dataclass(frozen=True, slots=True)
class TrustAnchor:
    """Certificate authorities that an account trusts. `id` is a UUID, as for profiles."""

    id: str
    account: str
    name: str
    certificates: str = field(repr=False)
    revocation_lists: tuple[str, ...] = field(default=(), repr=False)

    def arn(self, partition: str, region: str) -> str:
        """Return the ARN of the anchor, `aws:SourceArn` in trust policies."""
        return f"arn:{partition}:rolesanywhere:{region}:{self.account}:trust-anchor/{self.id}"


@dataclass(frozen=True, slots=True)
class CertificateProfile:
    """The roles (ARNs) that a certificate can get, and the terms of the sessions.

    `session_policies` are documents, None without any; `is_whole` is False if one of them no longer exists, and then
    the profile has no sessions. `mappings` are the certificate attributes that become session tags.
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
    """All enabled anchors and profiles of all accounts, at one epoch."""

    epoch: int
    anchors: tuple[TrustAnchor, ...] = ()
    profiles: tuple[CertificateProfile, ...] = ()
