"""Changes of a few policies: which documents are replaced, and what users, groups and roles would hold instead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from iam_guard.errors import InvalidInput
from iam_guard.model.arn import Arn, is_of_our_own
from iam_guard.model.decision import PolicyType
from iam_guard.store.identifiers import Kind

_CONTROL = {"/service_control_policy/": PolicyType.SCP, "/resource_control_policy/": PolicyType.RCP}


class Holding(NamedTuple):
    """A managed policy and a user, group or role, by their ARNs."""

    policy: str
    holder: str
    line: int


class InlinePolicy(NamedTuple):
    """An inline policy; without a text it is taken away."""

    name: str
    holder: str
    text: str | None
    line: int


@dataclass(slots=True)
class PolicyChanges:
    """What a change file says. `replaced` and `new` have texts by ARN; `lines` say where each ARN of them stands."""

    name: str
    replaced: dict[str, str] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)
    attached: list[Holding] = field(default_factory=list)
    detached: list[Holding] = field(default_factory=list)
    inline: list[InlinePolicy] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)

    @property
    def holders(self) -> dict[str, int]:
        """Return the users, groups and roles that are named, with a line for each."""
        managed = {each.holder: each.line for each in (*self.attached, *self.detached)}
        return managed | {each.holder: each.line for each in self.inline}


def type_of_policy(arn: str) -> PolicyType | None:
    """Return which type of policy an ARN names, a resource's own included; None for what has none to be replaced."""
    try:
        parsed = Arn.parse(arn)
    except InvalidInput:
        return None
    if parsed.service == "organizations":
        return next((type for part, type in _CONTROL.items() if part in parsed.resource), None)
    if is_of_our_own(arn):
        return PolicyType.IDENTITY if parsed.service == "iam" and parsed.resource.startswith("policy/") else None
    return PolicyType.RESOURCE


def holder_of(arn: str) -> tuple[str, Kind, str] | None:
    """Return account, kind and name of the user, group or role that an ARN names; None where it names none."""
    try:
        parsed = Arn.parse(arn)
    except InvalidInput:
        return None
    kind, _, name = parsed.resource.partition("/")
    if parsed.service != "iam" or kind not in {*Kind} or not name:
        return None
    return parsed.account, Kind(kind), name.rpartition("/")[2]
