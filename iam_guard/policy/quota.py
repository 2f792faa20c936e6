"""Size quotas of policy documents (rules G-70 to G-74)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from iam_guard.errors import LimitExceeded
from iam_guard.model.decision import PolicyType

RAW_LIMIT = 131_072
"""The maximum length of a document in a request, white space included (rule G-74)."""

_WHITE_SPACE = str.maketrans("", "", " \t\n\r")  # G-70, G-71

EntityKind = Literal["user", "role", "group"]


@dataclass(frozen=True, slots=True)
class SizeQuota:
    """A maximum number of characters, with AWS's name for it; `counts_space` includes white space."""

    name: str
    characters: int
    counts_space: bool = False

    def size(self, text: str) -> int:
        """Return the size of a document as this quota counts it."""
        return len(text) if self.counts_space else len(text.translate(_WHITE_SPACE))

    def check(self, size: int) -> None:
        """Raise `LimitExceeded` with IAM's message if `size` is over the quota."""
        if size > self.characters:
            raise LimitExceeded(f"Cannot exceed quota for {self.name}: {self.characters}")


MANAGED = SizeQuota("PolicySize", 6144)  # G-70
INLINE: dict[EntityKind, SizeQuota] = {
    "user": SizeQuota("UserPolicySize", 2048),
    "role": SizeQuota("RolePolicySize", 10240),
    "group": SizeQuota("GroupPolicySize", 5120),
}  # G-70: all inline policies of one entity together
TRUST = SizeQuota("ACLSizePerRole", 2048)  # G-71
SCP = SizeQuota("ServiceControlPolicySize", 10240, counts_space=True)  # G-72
RCP = SizeQuota("ResourceControlPolicySize", 5120, counts_space=True)  # G-72
SESSION = SizeQuota("SessionPolicySize", 2048, counts_space=True)  # G-73: with the ARNs of passed managed policies
RESOURCE = SizeQuota("ResourcePolicySize", 20_480, counts_space=True)
"""In AWS each service sets its own; this is that of an S3 bucket policy. Checked on writes, not in seeds."""

_OF_TYPE = {
    PolicyType.BOUNDARY: MANAGED,  # G-38
    PolicyType.TRUST: TRUST,
    PolicyType.SCP: SCP,
    PolicyType.RCP: RCP,
    PolicyType.SESSION: SESSION,
}


def size_quota(type: PolicyType, *, managed: bool = False) -> SizeQuota | None:
    """Return the quota for one document; None if the quota is for several together, or set by the service."""
    return MANAGED if managed else _OF_TYPE.get(type)
