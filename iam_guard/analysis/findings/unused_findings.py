"""Find roles, access keys, passwords and permissions that were not used for some time (rule AA-10)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from iam_guard.audit.record.record import event_time

UnusedKind: TypeAlias = Literal["UnusedIAMRole", "UnusedIAMUserAccessKey", "UnusedIAMUserPassword", "UnusedPermission"]


@dataclass(frozen=True, slots=True)
class UnusedFinding:
    """A role, key, password or permission that was not used (rule AA-10). Times are in seconds since 1970.

    `resource` is the ARN of the role or user. An unused permission has a `service` (the prefix of its actions) that was
    never used at all in the window if it has no `actions`; else these, with the time of their last use before it.
    """

    kind: UnusedKind
    resource: str
    resource_type: str
    owner: str
    last_used: int | None = None
    access_key_id: str | None = None
    service: str | None = None
    actions: tuple[tuple[str, int | None], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values; members that the kind does not have are left out."""
        members: dict[str, Any] = {
            "findingType": self.kind,
            "resource": self.resource,
            "resourceType": self.resource_type,
            "resourceOwnerAccount": self.owner,
            "lastAccessed": _time(self.last_used),
        }
        if self.access_key_id is not None:
            members["accessKeyId"] = self.access_key_id
        if self.service is not None:
            members["serviceNamespace"] = self.service
            members["actions"] = [{"action": name, "lastAccessed": _time(used)} for name, used in self.actions]
        return members


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else event_time(datetime.fromtimestamp(seconds, UTC))
