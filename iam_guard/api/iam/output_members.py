"""Conversion of the store's rows to output members of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from iam_guard.api.call import Output, ServiceCall, instant
from iam_guard.api.iam.entities import identity_arn, policy_arn
from iam_guard.store.database.records import Row
from iam_guard.store.policies.principal_bindings import current_text, with_roots
from iam_guard.store.quotas import MAX_SESSION_DURATION
from iam_guard.store.schema import attachments, identities, login_profiles, policies, service_uses


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags in AWS's list form, sorted by key."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def describe_identity(call: ServiceCall, row: Row) -> Output:
    """Describe what users, groups and roles have in common."""
    word = row["kind"].capitalize()
    return {
        "Path": row["path"],
        f"{word}Name": row["name"],
        f"{word}Id": row["id"],
        "Arn": identity_arn(call, row),
        "CreateDate": instant(row["created"]),
    }


def describe_groups(call: ServiceCall, rows: Sequence[Row]) -> list[Output]:
    return [describe_identity(call, row) for row in rows]


def describe_users(call: ServiceCall, rows: Sequence[Row]) -> list[Output]:
    """Describe users as lists do: without tags and boundary."""
    profiles = call.records.all(login_profiles, owner=[row["id"] for row in rows])
    used = {profile["owner"]: profile["used"] for profile in profiles}
    return [{**describe_identity(call, row), "PasswordLastUsed": instant(used.get(row["id"]))} for row in rows]


def describe_full_user(call: ServiceCall, row: Row) -> Output:
    return {**describe_users(call, [row])[0], **tags_and_boundary(call, row)}


def describe_brief_roles(call: ServiceCall, rows: Sequence[Row]) -> list[Output]:
    """Describe roles as CreateRole and instance profiles do: names and trust policy."""
    trusts = trust_documents(call, rows)
    return [{**describe_identity(call, row), "AssumeRolePolicyDocument": trusts[row["id"]]} for row in rows]


def describe_roles(call: ServiceCall, rows: Sequence[Row]) -> list[Output]:
    """Describe roles as lists do: without tags, boundary and last use."""
    return [
        {
            **brief,
            "Description": row["description"] or None,
            "MaxSessionDuration": row["max_session_duration"] or MAX_SESSION_DURATION[0],
            "MaxSigninSessionDuration": row["max_signin_session_duration"],
        }
        for row, brief in zip(rows, describe_brief_roles(call, rows), strict=True)
    ]


def describe_full_role(call: ServiceCall, row: Row) -> Output:
    last_use = last_uses(call, [row]).get(row["id"], {})
    return {**describe_roles(call, [row])[0], **tags_and_boundary(call, row), "RoleLastUsed": last_use}


def trust_documents(call: ServiceCall, rows: Sequence[Row]) -> dict[str, str | None]:
    """Return the current trust policies of several roles, by role id; their principals are loaded all at once.

    Deleted principals are shown by their unique ids (P-6), accounts by their roots.
    """
    bound = {id for row in rows for id in row["trust_bindings"].values()}
    found = call.records.all(identities, id=bound) if bound else []
    arn_of = with_roots({record["id"]: identity_arn(call, record) for record in found}, call.partition)
    return {
        row["id"]: row["trust_text"] and current_text(row["trust_text"], row["trust_bindings"], arn_of) for row in rows
    }


def last_uses(call: ServiceCall, rows: Sequence[Row]) -> dict[str, Output]:
    """Return time and region of the last use of roles' sessions, by role id; unused roles are left out (R-33)."""
    uses = call.records.all(service_uses, identity_id=[row["id"] for row in rows], order=("at",))
    return {use["identity_id"]: {"LastUsedDate": instant(use["at"]), "Region": use["region"]} for use in uses}


def tags_and_boundary(call: ServiceCall, row: Row) -> Output:
    """Return the members that only full descriptions of users and roles have."""
    return {
        "Tags": tag_list(row["tags"]) or None,
        "PermissionsBoundary": attached_boundaries(call, [row]).get(row["id"]),
    }


def attached_boundaries(call: ServiceCall, rows: Sequence[Row]) -> dict[str, Output]:
    """Describe the permissions boundaries of several users and roles, by id; those without one are left out."""
    boundary_ids = {row["boundary_id"] for row in rows} - {None}
    bounding = call.records.all(policies, id=boundary_ids) if boundary_ids else []
    arns = {policy["id"]: policy_arn(call, policy) for policy in bounding}
    return {
        row["id"]: {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arns[row["boundary_id"]]}
        for row in rows
        if row["boundary_id"] in arns
    }


def describe_policies(call: ServiceCall, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Describe managed policies as lists do: without tags and description."""
    ids = [row["id"] for row in rows]
    attached = _attachment_counts(call, rows)
    bounding = call.records.counts(identities, "boundary_id", boundary_id=ids, account=call.account)
    return [
        {
            "PolicyName": row["name"],
            "PolicyId": row["id"],
            "Arn": policy_arn(call, row),
            "Path": row["path"],
            "DefaultVersionId": f"v{row['default_version']}",
            "AttachmentCount": attached.get(row["id"], 0),
            "PermissionsBoundaryUsageCount": bounding.get(row["id"], 0),
            "IsAttachable": True,
            "CreateDate": instant(row["created"]),
            "UpdateDate": instant(row["updated"] or row["created"]),
        }
        for row in rows
    ]


def _attachment_counts(call: ServiceCall, rows: Sequence[Row]) -> dict[str, int]:
    """Count the account's attachments by policy. AWS's policies are attached in other accounts too.

    Each of the two conditions can use one index of the table; both at once would be looked up pair by pair.
    """
    if all(row["account"] == call.account for row in rows):
        return call.records.counts(attachments, "policy_id", policy_id=[row["id"] for row in rows])
    identity_ids = call.records.values_of(identities, "id", account=call.account)
    return call.records.counts(attachments, "policy_id", identity_id=identity_ids)


def describe_version(policy: Row, version: Row, *, with_document: bool) -> Output:
    """Describe a version of a managed policy; lists leave out the document."""
    return {
        "Document": version["text"] if with_document else None,
        "VersionId": f"v{version['version']}",
        "IsDefaultVersion": version["version"] == policy["default_version"],
        "CreateDate": instant(version["created"]),
    }
