"""Amazon Resource Names: six fields, split at the first five colons (rules G-63, P-1).

A request's ARN is always literal (rule M-21).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from iam_guard.errors import InvalidInput
from iam_guard.model.own_services import PREFIXES, SERVED

PARTITION: Final = "{partition}"
REGION: Final = "{region}"


@dataclass(frozen=True, slots=True)
class Location:
    """The partition and the region of a guard's resources.

    The ARN of a declared resource has `{partition}` and `{region}` as whole fields until a guard completes it, so that
    guards of several regions can share a declaration. Without values, a location completes nothing.
    """

    partition: str = PARTITION
    region: str = REGION

    def complete(self, arn: str) -> str:
        """Return an ARN with this partition and region if these fields are left to the guard."""
        if is_complete(arn):
            return arn
        prefix, partition, service, region, rest = arn.split(":", 4)
        partition = self.partition if partition == PARTITION else partition
        return f"{prefix}:{partition}:{service}:{self.region if region == REGION else region}:{rest}"


UNLOCATED: Final = Location()
"""Completes nothing."""
DEFAULT_LOCATION: Final = Location("aws", "us-east-1")
"""That of guards without settings, and of questions without a guard."""


def is_complete(arn: str) -> bool:
    """Return whether an ARN leaves neither its partition nor its region to a guard."""
    if "{" not in arn:
        return True
    fields = arn.split(":", 4)
    return len(fields) < 5 or (fields[1] != PARTITION and fields[3] != REGION)


@dataclass(frozen=True, slots=True)
class Arn:
    """The fields of an ARN. `resource` may contain colons and slashes."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    @classmethod
    def parse(cls, text: str) -> Arn:
        """Parse an ARN. Raises `InvalidInput`."""
        fields = text.split(":", 5)
        if len(fields) != 6 or fields[0] != "arn":
            raise InvalidInput(f"expected an ARN of six colon-separated fields, got `{text[:200]}`")
        return cls(*fields[1:])

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def is_account_id(text: str) -> bool:
    """Return whether `text` is a 12-digit account id."""
    return len(text) == 12 and text.isascii() and text.isdigit()


@lru_cache(maxsize=4096)  # called several times per request
def account_of(arn: str) -> str | None:
    """Return the account field of an ARN; None if it is not an account id or `arn` is not an ARN."""
    fields = arn.split(":", 5)
    return fields[4] if len(fields) == 6 and is_account_id(fields[4]) else None


@lru_cache(maxsize=4096)
def is_iam_or_sts(arn: str) -> bool:
    """Return whether an ARN belongs to IAM or STS: identities, sessions, policies, providers.

    Their only resource-based policies are roles' trust policies, which are loaded with the role.
    """
    fields = arn.split(":", 3)
    return len(fields) > 2 and fields[2] in SERVED and fields[2] in PREFIXES  # AuthZEN's endpoint has policies


def is_service_linked_role(arn: str) -> bool:
    """Return whether an ARN is that of a service-linked role, by the start of its path (rule P-14).

    A substring search would be wrong: any role's path may contain `:role/aws-service-role/`.
    """
    fields = arn.split(":", 5)
    return len(fields) == 6 and fields[2] == "iam" and fields[5].startswith("role/aws-service-role/")
