"""A service authorization reference: the actions, resource types and condition keys of one service, as values.

What an application declares becomes one (`catalogue`); what AWS publishes is read into the same form, and so are IAM
and STS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias, get_args

KeyType: TypeAlias = Literal["ARN", "Binary", "Bool", "Date", "IPAddress", "Numeric", "String"]
KEY_TYPES: tuple[KeyType, ...] = get_args(KeyType)


class AccessLevel(StrEnum):
    """What an action lets its caller do, in AWS's words."""

    LIST = "List"
    READ = "Read"
    WRITE = "Write"
    PERMISSIONS_MANAGEMENT = "Permissions management"
    TAGGING = "Tagging"


@dataclass(frozen=True, slots=True)
class ConditionKey:
    """One condition key of a service; `aws:RequestTag/${TagKey}` and the like are families.

    `type` is None where nobody said.
    """

    name: str
    type: KeyType | None = None
    multivalued: bool = False
    description: str = ""

    @property
    def type_name(self) -> str:
        """The type as AWS writes it: `ArrayOfString` for a key of several values."""
        return "" if self.type is None else f"ArrayOf{self.type}" if self.multivalued else self.type


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One kind of resource. An ARN format has parameters: `arn:${Partition}:docs:${Region}:${Account}:doc/${DocId}`."""

    name: str
    arn_formats: tuple[str, ...]
    condition_keys: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class ActionTarget:
    """A resource type that an action takes, and the condition keys that it supplies about one."""

    name: str
    required: bool = False
    condition_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ActionEntry:
    """One action. Without a resource type it takes `*` alone.

    `open_resources` and `open_keys` say that code finds them for each request, so that there may be more than these.
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
    """All of one service, each list in the order of its names. `name` is the prefix of its actions."""

    name: str
    actions: tuple[ActionEntry, ...] = ()
    resource_types: tuple[ResourceType, ...] = ()
    condition_keys: tuple[ConditionKey, ...] = ()
    title: str = ""

    def keys_of(self, action: ActionEntry) -> frozenset[str]:
        """Return the condition keys that an action supplies, its own and those of the resource types that it takes."""
        named = {resource.name for resource in action.resources}
        return frozenset(
            {
                *action.condition_keys,
                *(key for resource in action.resources for key in resource.condition_keys),
                *(
                    key
                    for resource_type in self.resource_types
                    if resource_type.name in named
                    for key in resource_type.condition_keys
                ),
            }
        )


# --- what a name says ----------------------------------------------------------------------------------------------

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+")
_LISTING = frozenset({"List"})
_READING = frozenset(
    {"Check", "Count", "Describe", "Download", "Export", "Find", "Get", "Head", "Lookup", "Preview", "Query", "Read"}
    | {"Scan", "Search", "Select", "Show", "Simulate", "Test", "Validate", "Verify", "View"}
)
_TAGGING = frozenset({"Tag", "Untag"})
_GRANTING = frozenset({"Grant", "Revoke", "Share", "Unshare"})
_ABOUT_PERMISSIONS = frozenset({"Acl", "Permission", "Permissions", "Policies", "Policy"})


def level_of(name: str) -> AccessLevel:
    """Tell the access level that the name of an action says; one that says nothing changes something."""
    words = _WORD.findall(name) or [name]
    verb = words[1] if words[0] == "Batch" and len(words) > 1 else words[0]
    if verb in _LISTING:
        return AccessLevel.LIST
    if verb in _READING:
        return AccessLevel.READ
    if verb in _TAGGING:
        return AccessLevel.TAGGING
    if verb in _GRANTING or _ABOUT_PERMISSIONS.intersection(words[1:]):
        return AccessLevel.PERMISSIONS_MANAGEMENT
    return AccessLevel.WRITE
