"""The credential scopes that an application accepts in a signature: its regions and services.

Like AWS's endpoints, an application accepts signatures for its own regions and services only, so that a signing key
derived for another one is useless here. SigV4A signs a set of regions, where `*` matches any characters: the set must
contain one region of the application.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from iam_guard.authn.presented_credentials import ASYMMETRIC, SigV4Credential
from iam_guard.errors import SignatureDoesNotMatch


@dataclass(frozen=True, slots=True)
class AcceptedScope:
    """The accepted regions, the application's own first, and services; no services means any."""

    regions: tuple[str, ...]
    services: frozenset[str] = frozenset()

    def check(self, credential: SigV4Credential) -> None:
        """Raise `SignatureDoesNotMatch` with AWS's message for another region or service."""
        if self.region_of(credential) is None:
            region, expected = credential.region[:128], " or ".join(f"'{name}'" for name in self.regions)
            if credential.algorithm == ASYMMETRIC:
                message = f"Credential should be scoped to a valid region set, expected one with {expected}."
                raise SignatureDoesNotMatch(message, place="x-amz-region-set")
            message = f"Credential should be scoped to a valid region, not '{region}'. Expected {expected}."
            raise SignatureDoesNotMatch(message, place="authorization")
        if self.services and credential.service not in self.services:
            raise wrong_service(self.services)

    def region_of(self, credential: SigV4Credential) -> str | None:
        """Return the application's region that a signature is for; None if for none of them."""
        if credential.algorithm != ASYMMETRIC:
            return credential.region if credential.region in self.regions else None
        patterns = [pattern.strip(" ") for pattern in credential.region.split(",")]
        return next((name for name in self.regions if any(fnmatchcase(name, pattern) for pattern in patterns)), None)


def wrong_service(expected: frozenset[str]) -> SignatureDoesNotMatch:
    """Return the error for a signature that is scoped to a service other than these."""
    names = " or ".join(f"'{name}'" for name in sorted(expected))
    return SignatureDoesNotMatch(f"Credential should be scoped to correct service: {names}. ", place="authorization")
