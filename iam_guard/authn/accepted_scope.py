"""Which credential scopes an application accepts in a signature: its regions and its services.

AWS's endpoints accept signatures for their own region and service only, so that a signing key that was derived for
another one, and may be held by somebody else, opens nothing here. SigV4A signs a set of regions, `*` standing for any
characters: one region of the application must be in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from iam_guard.authn.presented_credentials import ASYMMETRIC, SigV4Credential
from iam_guard.errors import SignatureDoesNotMatch


@dataclass(frozen=True, slots=True)
class AcceptedScope:
    """The regions, of which the first is where the application is, and the services; no services stand for any."""

    regions: tuple[str, ...]
    services: frozenset[str] = frozenset()

    def check(self, credential: SigV4Credential) -> None:
        """Raise `SignatureDoesNotMatch` for a signature that is for another region or service, in AWS's words."""
        if self.region_of(credential) is None:
            given, expected = credential.region[:128], " or ".join(f"'{region}'" for region in self.regions)
            if credential.algorithm == ASYMMETRIC:
                message = f"Credential should be scoped to a valid region set, expected one with {expected}."
                raise SignatureDoesNotMatch(message, place="x-amz-region-set")
            message = f"Credential should be scoped to a valid region, not '{given}'. Expected {expected}."
            raise SignatureDoesNotMatch(message, place="authorization")
        if self.services and credential.service not in self.services:
            raise wrong_service(self.services)

    def region_of(self, credential: SigV4Credential) -> str | None:
        """Return the region of the application that a signature is for; None where it is for another."""
        if credential.algorithm != ASYMMETRIC:
            return credential.region if credential.region in self.regions else None
        patterns = [pattern.strip(" ") for pattern in credential.region.split(",")]
        return next((name for name in self.regions if any(fnmatchcase(name, each) for each in patterns)), None)


def wrong_service(expected: frozenset[str]) -> SignatureDoesNotMatch:
    """Return the refusal of a signature that is scoped to another service than these."""
    names = " or ".join(f"'{name}'" for name in sorted(expected))
    return SignatureDoesNotMatch(f"Credential should be scoped to correct service: {names}. ", place="authorization")
