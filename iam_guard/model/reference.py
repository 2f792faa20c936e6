"""A service authorization reference: the actions, resource types and condition keys of one service.

Applications' declarations (`catalogue`), AWS's published references, and our own IAM and STS all have this form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias, get_args

KeyType: TypeAlias = Literal["ARN", "Binary", "Bool", "Date", "IPAddress", "Numeric", "String"]
KEY_TYPES: tuple[KeyType, ...] = get_args(KeyType)


class AccessLevel(StrEnum):
    """AWS's access levels of actions."""

    LIST = "List"
    READ = "Read"
    WRITE = "Write"
    PERMISSIONS_MANAGEMENT = "Permissions management"
    TAGGING = "Tagging"


@dataclass(frozen=True, slots=True)
class ConditionKey:
    """A condition key of a service, or a family such as `aws:RequestTag/${TagKey}`. `type` is None if undeclared."""

    name: str
    type: KeyType | None = None
    multivalued: bool = False
    description: str = ""

    @property
    def type_name(self) -> str:
        """The type as AWS writes it: `ArrayOfString` for a multivalued key."""
        return "" if self.type is None else f"ArrayOf{self.type}" if self.multivalued else self.type


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A resource type. An ARN format has parameters: `arn:${Partition}:docs:${Region}:${Account}:doc/${DocId}`."""

    name: str
    arn_formats: tuple[str, ...]
    condition_keys: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class ActionTarget:
    """A resource type of an action, and the condition keys that the action supplies for it."""

    name: str
    required: bool = False
    condition_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ActionEntry:
    """An action. Without resource types its only resource is `*`.

    `open_resources` and `open_keys` mean that code computes them per request, so the lists may be incomplete.
    """

    name: str
    description: str = ""
    level: AccessLevel | None = None
    resources: tuple[ActionTarget, ...] = ()
    condition_keys: tuple[str, ...] = ()
    dependent_actions: tuple[str, ...] = ()
    open_resources: bool = False
    open_keys: bool = False


@dataclass(frozen=True, slots=True)
class ServiceReference:
    """The reference of a service, each list sorted by name. `name` is the prefix of its actions."""

    name: str
    actions: tuple[ActionEntry, ...] = ()
    resource_types: tuple[ResourceType, ...] = ()
    condition_keys: tuple[ConditionKey, ...] = ()
    title: str = ""

    def keys_of(self, action: ActionEntry) -> frozenset[str]:
        """Return the condition keys that an action supplies: its own and those of its resource types."""
        keys = {*action.condition_keys}
        for target in action.resources:
            keys.update(target.condition_keys)
        type_names = {target.name for target in action.resources}
        for resource_type in self.resource_types:
            if resource_type.name in type_names:
                keys.update(resource_type.condition_keys)
        return frozenset(keys)


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+")
_VERBS = {
    AccessLevel.LIST: "List",
    AccessLevel.READ: "Check Count Describe Download Export Find Get Head Lookup Preview Query Read Scan Search Select "
    "Show Simulate Test Validate Verify View",
    AccessLevel.TAGGING: "Tag Untag",
    AccessLevel.PERMISSIONS_MANAGEMENT: "Grant Revoke Share Unshare",
}
_LEVELS = {verb: level for level, verbs in _VERBS.items() for verb in verbs.split()}
_PERMISSION_NOUNS = frozenset({"Acl", "Permission", "Permissions", "Policies", "Policy"})


def level_of(name: str) -> AccessLevel:
    """Return the access level that an action's name implies; Write by default."""
    words = _WORD.findall(name) or [name]
    verb = words[1] if words[0] == "Batch" and len(words) > 1 else words[0]
    if verb in _LEVELS:
        return _LEVELS[verb]
    return AccessLevel.PERMISSIONS_MANAGEMENT if _PERMISSION_NOUNS.intersection(words[1:]) else AccessLevel.WRITE
