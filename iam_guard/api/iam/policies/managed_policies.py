"""Managed policies: finding, creating, listing and deleting them (G-18, G-70, G-75, G-77, R-11).

AWS's policies are readable by every account, and not modifiable; those of another account are not found. Policy
versions are in `policy_versions`, attachments in `attachments`.
"""

from __future__ import annotations

from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.entities import load_policy, named_columns, require_quota
from iam_guard.api.iam.output_members import describe_policies, tag_list
from iam_guard.api.iam.tags import new_tags
from iam_guard.api.paging import page_of_table
from iam_guard.errors import DeleteConflict, EntityAlreadyExists, NoSuchEntity, UnmodifiableEntity
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Document
from iam_guard.policy.saving import validate_for_write
from iam_guard.store.database.records import PRESENT, Row
from iam_guard.store.identifiers import AWS_MANAGED, fold
from iam_guard.store.schema import attachments, identities, policies, policy_versions


def attachable_policy(call: ServiceCall, parameters: Input) -> Row:
    """Find the policy in `PolicyArn`. Raises `NoSuchEntity`, with the message of most operations."""
    try:
        return load_policy(call, parameters["PolicyArn"])
    except NoSuchEntity:
        raise NoSuchEntity(f"Policy {parameters['PolicyArn']} does not exist or is not attachable.") from None


def own_policy(call: ServiceCall, parameters: Input) -> Row:
    """Find the policy that a call changes. Raises `NoSuchEntity`, `UnmodifiableEntity` for an AWS managed policy."""
    row = attachable_policy(call, parameters)
    if row["account"] == AWS_MANAGED:
        raise UnmodifiableEntity("Cannot perform the operation on an AWS managed policy.")
    return row


def managed_document(call: ServiceCall, parameters: Input) -> Document:
    """Validate a managed policy's new document. Raises `PolicyError`, `LimitExceeded`."""
    return validate_for_write(parameters["PolicyDocument"], PolicyType.IDENTITY, managed=True, partition=call.partition)


def insert_version(call: ServiceCall, policy_id: str, number: int, document: Document) -> None:
    """Insert a version with its text as written."""
    call.records.insert(
        policy_versions,
        policy_id=policy_id,
        version=number,
        text=document.text,
        digest=document.digest,
        created=call.now,
    )


def create_policy(call: ServiceCall, parameters: Input) -> Output:
    """Create a policy with its first version."""
    name: str = parameters["PolicyName"]
    document = managed_document(call, parameters)
    if call.records.count(policies, account=call.account, folded=fold(name)):
        raise EntityAlreadyExists(f"A policy called {name} already exists. Duplicate names are not allowed.")
    current = call.records.count(policies, account=call.account)
    require_quota(call.records, "policies per account", "PoliciesPerAccount", current)
    id = call.new_id("policy", fold(name))
    call.records.insert(
        policies,
        id=id,
        path=parameters.get("Path", "/"),
        description=parameters.get("Description", ""),
        default_version=1,
        tags=new_tags(parameters),
        **named_columns(call, name),
    )
    insert_version(call, id, 1, document)
    [row] = call.records.all(policies, id=id)
    return {"Policy": {**describe_policies(call, [row])[0], "Tags": tag_list(row["tags"]) or None}}


def get_policy(call: ServiceCall, parameters: Input) -> Output:
    row = load_policy(call, parameters["PolicyArn"])
    full = {"Description": row["description"] or None, "Tags": tag_list(row["tags"])}
    return {"Policy": {**describe_policies(call, [row])[0], **full}}


def list_policies(call: ServiceCall, parameters: Input) -> Output:
    """List the policies of the account and of AWS, sorted by name, the account's own first."""
    page = page_of_table(call, parameters, policies, ("account", "folded"), **_listed(call, parameters))
    return {"Policies": describe_policies(call, page.rows), **page.members}


def _listed(call: ServiceCall, parameters: Input) -> dict[str, Any]:
    """Return the filter conditions of a list call.

    "Attached" means as a permissions policy, as in `AttachmentCount`, unless the call is about boundaries.
    """
    accounts = {"AWS": [AWS_MANAGED], "Local": [call.account]}
    where: dict[str, Any] = {"account": accounts.get(parameters.get("Scope", "All"), [AWS_MANAGED, call.account])}
    records, usage = call.records, parameters.get("PolicyUsageFilter")
    if usage == "PermissionsBoundary":
        where["id"] = records.values_of(identities, "boundary_id", account=call.account, boundary_id=PRESENT)
    elif usage == "PermissionsPolicy" or parameters.get("OnlyAttached"):
        identity_ids = records.values_of(identities, "id", account=call.account)
        where["id"] = records.values_of(attachments, "policy_id", identity_id=identity_ids)
    return where


def delete_policy(call: ServiceCall, parameters: Input) -> None:
    """Delete an unused policy that has only its default version."""
    row = own_policy(call, parameters)
    id = row["id"]
    if call.records.count(attachments, policy_id=id) or call.records.count(identities, boundary_id=id):
        raise DeleteConflict("Cannot delete a policy attached to entities.")
    if call.records.count(policy_versions, policy_id=id) > 1:
        raise DeleteConflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
            "The default version is deleted with the policy."
        )
    call.records.delete(policies, id=id)
