"""The versions of a managed policy: up to five, of which the default version is effective (G-75).

Version numbers are never reused, not even after the newest version is deleted: `latest_version` stores the highest.
"""

from __future__ import annotations

import re

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.entities import require_row
from iam_guard.api.iam.output_members import describe_version
from iam_guard.api.iam.policies.managed_policies import attachable_policy, insert_version, managed_document, own_policy
from iam_guard.api.paging import page_of_list
from iam_guard.errors import DeleteConflict, LimitExceeded
from iam_guard.store.database.records import Row
from iam_guard.store.schema import policies, policy_versions

_VERSION_ID = re.compile(r"v([1-9][0-9]{0,8})", re.ASCII)
"""Version ids: a number that fits into the column."""


def create_policy_version(call: ServiceCall, parameters: Input) -> Output:
    """Add a version to a policy, optionally as its default version."""
    policy = own_policy(call, parameters)
    document = managed_document(call, parameters)
    numbers = [row["version"] for row in call.records.all(policy_versions, policy_id=policy["id"])]
    if len(numbers) >= (limit := call.records.quotas["managed policy versions"]):
        raise LimitExceeded(
            f"A managed policy can have up to {limit} versions. "
            "Before you create a new version, you must delete an existing version."
        )
    number = max(policy["latest_version"] or 0, *numbers) + 1
    insert_version(call, policy["id"], number, document)
    is_default = parameters.get("SetAsDefault", False)
    default = {"default_version": number} if is_default else {}
    call.records.update(policies, {"updated": call.now, **default}, id=policy["id"])
    return {
        "PolicyVersion": {"VersionId": f"v{number}", "IsDefaultVersion": is_default, "CreateDate": instant(call.now)}
    }


def get_policy_version(call: ServiceCall, parameters: Input) -> Output:
    """Return a version with its document."""
    policy = attachable_policy(call, parameters)
    version = _load_version(call, policy, parameters)
    return {"PolicyVersion": describe_version(policy, version, with_document=True)}


def list_policy_versions(call: ServiceCall, parameters: Input) -> Output:
    """List the versions of a policy without their documents, newest first."""
    policy = attachable_policy(call, parameters)
    versions = call.records.all(policy_versions, policy_id=policy["id"])
    page = page_of_list(parameters, versions, lambda row: (f"{10**9 - row['version']:010}",))  # newest first
    listed = [describe_version(policy, row, with_document=False) for row in page.rows]
    return {"Versions": listed, **page.members}


def set_default_policy_version(call: ServiceCall, parameters: Input) -> None:
    policy = own_policy(call, parameters)
    version = _load_version(call, policy, parameters)
    call.records.update(policies, {"default_version": version["version"]}, id=policy["id"])


def delete_policy_version(call: ServiceCall, parameters: Input) -> None:
    """Delete a version that is not the default one."""
    policy = own_policy(call, parameters)
    version = _load_version(call, policy, parameters)
    if version["version"] == policy["default_version"]:
        raise DeleteConflict("Cannot delete the default version of a policy.")
    latest = max(policy["latest_version"] or 0, version["version"])
    call.records.update(policies, {"latest_version": latest}, id=policy["id"])
    call.records.delete(policy_versions, policy_id=policy["id"], version=version["version"])


def _load_version(call: ServiceCall, policy: Row, parameters: Input) -> Row:
    match = _VERSION_ID.fullmatch(parameters["VersionId"])
    number = int(match[1]) if match else 0
    version = call.records.one(policy_versions, policy_id=policy["id"], version=number)
    return require_row(
        version,
        f"Policy {parameters['PolicyArn']} version {parameters['VersionId']} does not exist or is not attachable.",
    )
