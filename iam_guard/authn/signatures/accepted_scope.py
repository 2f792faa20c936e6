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
        if credential.algorithm == ASYMMETRIC:
            if self.region_in(credential.region) is None:
                message = f"Credential should be scoped to a valid region set, expected one with {self._expected()}."
                raise SignatureDoesNotMatch(message, place="x-amz-region-set")
        elif credential.region not in self.regions:
            region = credential.region[:128]
            message = f"Credential should be scoped to a valid region, not '{region}'. Expected {self._expected()}."
            raise SignatureDoesNotMatch(message, place="authorization")
        if self.services and credential.service not in self.services:
            raise wrong_service(self.services)

    def region_in(self, region_set: str) -> str | None:
        """Return the first region of the application that is in the region set of a SigV4A signature."""
        patterns = [pattern.strip(" ") for pattern in region_set.split(",")]
        return next((name for name in self.regions if any(fnmatchcase(name, pattern) for pattern in patterns)), None)

    def _expected(self) -> str:
        return " or ".join(f"'{name}'" for name in self.regions)


def wrong_service(expected: frozenset[str]) -> SignatureDoesNotMatch:
    """Return the error for a signature that is scoped to a service other than these."""
    names = " or ".join(f"'{name}'" for name in sorted(expected))
    return SignatureDoesNotMatch(f"Credential should be scoped to correct service: {names}. ", place="authorization")
