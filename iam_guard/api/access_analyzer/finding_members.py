"""The members of findings in the outputs, of both versions of the API (AA-3, AA-6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from iam_guard.api.call import Output, instant
from iam_guard.store.database.records import Row

POLICY_SOURCE: Final = ({"type": "POLICY"},)
"""The source of all access here: a resource's policy."""
_OF_PRINCIPALS: Final = ("externalAccessDetails", "internalAccessDetails")


def external_members(details: Mapping[str, Any]) -> Output:
    """Return the members about external access that findings of version 1 and access previews have."""
    return {
        "principal": details.get("principal"),
        "action": details.get("action"),
        "isPublic": details.get("isPublic"),
        "condition": details.get("condition", {}),
        "resourceControlPolicyRestriction": details.get("resourceControlPolicyRestriction"),
        "sources": POLICY_SOURCE,
    }


def external_details(row: Mapping[Any, Any]) -> Mapping[str, Any]:
    """Return the details of a finding of external access; an error has none."""
    unions = row["content"]["details"]
    details: Mapping[str, Any] = unions[0]["externalAccessDetails"] if unions else {}
    return details


def described_v1(row: Row) -> Output:
    """Describe a finding of external access in version 1."""
    return {**external_members(external_details(row)), **_common(row)}


def summary_v2(row: Row) -> Output:
    """Describe a finding of any type, without its details."""
    return {**_common(row), "findingType": row["type"]}


def details_v2(row: Row) -> list[Output]:
    """Return the details of a finding."""
    return [
        {union: _with_times({**details, "sources": POLICY_SOURCE} if union in _OF_PRINCIPALS else details)}
        for detail in row["content"]["details"]
        for union, details in detail.items()
    ]


def _common(row: Row) -> Output:
    return {
        "id": row["id"],
        "resource": row["resource"],
        "resourceType": row["resource_type"],
        "resourceOwnerAccount": row["owner"],
        "status": row["status"],
        "error": row["content"]["error"],
        "createdAt": instant(row["created"]),
        "analyzedAt": instant(row["analyzed"]),
        "updatedAt": instant(row["updated"]),
    }


def _with_times(value: Any) -> Any:
    """Return details with instants for the times in seconds that the store has."""
    if isinstance(value, Mapping):
        return {name: instant(inner) if name == "lastAccessed" else _with_times(inner) for name, inner in value.items()}
    return [_with_times(inner) for inner in value] if isinstance(value, list) else value
