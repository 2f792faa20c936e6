"""How long a policy document may be (rules G-70 to G-74)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from iam_guard.errors import LimitExceeded
from iam_guard.model.decision import PolicyType

RAW_LIMIT = 131_072
"""Characters of a document that somebody sends, white space included (rule G-74)."""

EntityKind = Literal["user", "role", "group"]


@dataclass(frozen=True, slots=True)
class SizeQuota:
    """A number of characters, by AWS's name for it; white space counts or does not."""

    name: str
    characters: int
    counts_space: bool = False

    def size(self, text: str) -> int:
        """Count the characters of a document as this quota does."""
        return len(text) if self.counts_space else policy_size(text)

    def check(self, size: int) -> None:
        """Raise `LimitExceeded`, in the words of IAM, when `size` is over the quota."""
        if size > self.characters:
            raise LimitExceeded(f"Cannot exceed quota for {self.name}: {self.characters}")


MANAGED = SizeQuota("PolicySize", 6144)  # G-70
INLINE: dict[EntityKind, SizeQuota] = {
    "user": SizeQuota("UserPolicySize", 2048),
    "role": SizeQuota("RolePolicySize", 10240),
    "group": SizeQuota("GroupPolicySize", 5120),
}  # G-70: all inline policies of one entity together
TRUST = SizeQuota("ACLSizePerRole", 2048)  # G-71
TRUST_RAISED = SizeQuota("ACLSizePerRole", 8192)  # G-71
SCP = SizeQuota("ServiceControlPolicySize", 10240, counts_space=True)  # G-72
RCP = SizeQuota("ResourceControlPolicySize", 5120, counts_space=True)  # G-72
SESSION = SizeQuota("SessionPolicySize", 2048, counts_space=True)  # G-73: with the ARNs of passed managed policies
RESOURCE = SizeQuota("ResourcePolicySize", 20_480, counts_space=True)
"""Services decide for themselves; ours is that of an S3 bucket policy. Asked where one is put, not in seeds."""

_OF_TYPE = {
    PolicyType.BOUNDARY: MANAGED,  # G-38
    PolicyType.TRUST: TRUST,
    PolicyType.SCP: SCP,
    PolicyType.RCP: RCP,
    PolicyType.SESSION: SESSION,
}


def size_quota(type: PolicyType, *, managed: bool = False) -> SizeQuota | None:
    """Return the quota for one document; None where only the sum of several has one, or the service decides."""
    return MANAGED if managed else _OF_TYPE.get(type)


_WHITE_SPACE = str.maketrans("", "", " \t\n\r")


def policy_size(text: str) -> int:
    """Count the characters of a document without white space (rules G-70, G-71)."""
    return len(text.translate(_WHITE_SPACE))
