"""The versions of a managed policy: up to five texts, of which the default one decides (rule G-75).

A number never comes again, not even when the version with the highest one is deleted: `latest_version` remembers it.
"""

from __future__ import annotations

import re

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.managed_policies import attachable_policy, insert_version, managed_document, own_policy
from iam_guard.api.iam.output_members import described_version
from iam_guard.api.paging import page_of_list
from iam_guard.errors import DeleteConflict, LimitExceeded, NoSuchEntity
from iam_guard.store.quotas import QUOTAS
from iam_guard.store.records import Row
from iam_guard.store.schema import policies, policy_versions

_VERSION_ID = re.compile(r"v([1-9][0-9]{0,8})", re.ASCII)
"""The versions that there can be: a number that fits into the column."""


def create_policy_version(call: ServiceCall, given: Input) -> Output:
    """Add a version to a policy, as its default one if the call says so."""
    policy = own_policy(call, given)
    document = managed_document(call, given)
    numbers = [row["version"] for row in call.records.all(policy_versions, policy_id=policy["id"])]
    if len(numbers) >= QUOTAS["managed policy versions"]:
        raise LimitExceeded(
            f"A managed policy can have up to {QUOTAS['managed policy versions']} versions. "
            "Before you create a new version, you must delete an existing version."
        )
    number = max(policy["latest_version"] or 0, *numbers) + 1
    insert_version(call, policy["id"], number, document)
    is_default = given.get("SetAsDefault", False)
    default = {"default_version": number} if is_default else {}
    call.records.update(policies, {"updated": call.now, **default}, id=policy["id"])
    return {
        "PolicyVersion": {"VersionId": f"v{number}", "IsDefaultVersion": is_default, "CreateDate": instant(call.now)}
    }


def get_policy_version(call: ServiceCall, given: Input) -> Output:
    """Return a version with its text."""
    policy = attachable_policy(call, given)
    version = _the_version(call, policy, given)
    return {"PolicyVersion": described_version(policy, version, with_document=True)}


def list_policy_versions(call: ServiceCall, given: Input) -> Output:
    """List the versions of a policy without their texts, newest first."""
    policy = attachable_policy(call, given)
    versions = call.records.all(policy_versions, policy_id=policy["id"])
    page = page_of_list(given, versions, lambda row: (_newest_first(row["version"]),))
    listed = [described_version(policy, row, with_document=False) for row in page.rows]
    return {"Versions": listed, **page.members}


def set_default_policy_version(call: ServiceCall, given: Input) -> None:
    """Choose the version that decides from now on."""
    policy = own_policy(call, given)
    version = _the_version(call, policy, given)
    call.records.update(policies, {"default_version": version["version"]}, id=policy["id"])


def delete_policy_version(call: ServiceCall, given: Input) -> None:
    """Delete a version that is not the default one."""
    policy = own_policy(call, given)
    version = _the_version(call, policy, given)
    if version["version"] == policy["default_version"]:
        raise DeleteConflict("Cannot delete the default version of a policy.")
    latest = max(policy["latest_version"] or 0, version["version"])
    call.records.update(policies, {"latest_version": latest}, id=policy["id"])
    call.records.delete(policy_versions, policy_id=policy["id"], version=version["version"])


def _the_version(call: ServiceCall, policy: Row, given: Input) -> Row:
    match = _VERSION_ID.fullmatch(given["VersionId"])
    number = int(match[1]) if match else 0
    version = call.records.one(policy_versions, policy_id=policy["id"], version=number)
    if version is None:
        raise NoSuchEntity(
            f"Policy {given['PolicyArn']} version {given['VersionId']} does not exist or is not attachable."
        )
    return version


def _newest_first(number: int) -> str:
    """Return a text that is the less the higher the number is."""
    return f"{10**9 - number:010}"
