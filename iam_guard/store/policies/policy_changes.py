"""The content of a change file: replaced policy documents, and changed policies of users, groups and roles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from iam_guard.errors import InvalidInput
from iam_guard.model.arn import Arn, is_iam_or_sts
from iam_guard.model.decision import PolicyType
from iam_guard.store.identifiers import CONTROL_POLICY_FOLDERS


class PolicyAttachment(NamedTuple):
    """A managed policy that is attached to or detached from a user, group or role, by their ARNs."""

    policy: str
    identity: str
    line: int


class InlinePolicy(NamedTuple):
    """An inline policy that is put, or deleted if `text` is None."""

    name: str
    identity: str
    text: str | None
    line: int


@dataclass(slots=True)
class PolicyChanges:
    """The content of a change file. `replaced` and `new` are texts by ARN; `lines` are line numbers by these ARNs."""

    name: str
    replaced: dict[str, str] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)
    attached: list[PolicyAttachment] = field(default_factory=list)
    detached: list[PolicyAttachment] = field(default_factory=list)
    inline: list[InlinePolicy] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)

    @property
    def identities(self) -> dict[str, int]:
        """Return the ARNs of the changed users, groups and roles, with a line number for each."""
        managed = {change.identity: change.line for change in (*self.attached, *self.detached)}
        return managed | {change.identity: change.line for change in self.inline}


def type_of_policy(arn: str) -> PolicyType | None:
    """Return the policy type that an ARN names (of a resource: its policy); None for anything else."""
    try:
        parsed = Arn.parse(arn)
    except InvalidInput:
        return None
    if parsed.service == "organizations":
        types = (type for type, folder in CONTROL_POLICY_FOLDERS.items() if f"/{folder}/" in parsed.resource)
        return next((PolicyType[type] for type in types), None)
    if is_iam_or_sts(arn):
        return PolicyType.IDENTITY if parsed.service == "iam" and parsed.resource.startswith("policy/") else None
    return PolicyType.RESOURCE
