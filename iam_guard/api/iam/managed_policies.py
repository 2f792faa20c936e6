"""Managed policies: finding them for an operation, making, listing, deleting them (rules G-18, G-70, G-75, G-77, R-11).

Those of AWS can be read by every account and changed by none; those of another account are not found. Must not live
here: the versions of a policy (`policy_versions`), whom it is attached to (`attachments`).
"""

from __future__ import annotations

from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.entities import require_room, the_policy
from iam_guard.api.iam.output_members import described_policies
from iam_guard.api.iam.protected_entities import require_customer_managed
from iam_guard.api.iam.tags import given_tags
from iam_guard.api.paging import page_of_rows
from iam_guard.errors import DeleteConflict, EntityAlreadyExists, NoSuchEntity
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Document
from iam_guard.policy.saving import validate_for_write
from iam_guard.store.identifiers import AWS_MANAGED, fold
from iam_guard.store.records import PRESENT, Row
from iam_guard.store.schema import attachments, identities, policies, policy_versions


def attachable_policy(call: ServiceCall, given: Input) -> Row:
    """Find the policy that a call names in `PolicyArn`, in the words of most operations. Raises `NoSuchEntity`."""
    try:
        return the_policy(call, given["PolicyArn"])
    except NoSuchEntity:
        raise NoSuchEntity(f"Policy {given['PolicyArn']} does not exist or is not attachable.") from None


def own_policy(call: ServiceCall, given: Input) -> Row:
    """Find the policy that a call changes. Raises `NoSuchEntity`, `UnmodifiableEntity` for one of AWS."""
    row = attachable_policy(call, given)
    require_customer_managed(row)
    return row


def managed_document(call: ServiceCall, given: Input) -> Document:
    """Read the document of a managed policy that is to be stored. Raises `PolicyError`, `LimitExceeded`."""
    return validate_for_write(given["PolicyDocument"], PolicyType.IDENTITY, managed=True, partition=call.partition)


def insert_version(call: ServiceCall, policy_id: str, number: int, document: Document) -> None:
    """Put in a version with its text as it was written."""
    call.records.insert(
        policy_versions,
        policy_id=policy_id,
        version=number,
        text=document.text,
        digest=document.digest,
        created=call.now,
    )


def create_policy(call: ServiceCall, given: Input) -> Output:
    """Make a policy with its first version."""
    name: str = given["PolicyName"]
    document = managed_document(call, given)
    if call.records.count(policies, account=call.account, folded=fold(name)):
        raise EntityAlreadyExists(f"A policy called {name} already exists. Duplicate names are not allowed.")
    held = call.records.count(policies, account=call.account)
    require_room("policies per account", "PoliciesPerAccount", held)
    id = call.new_id("policy", fold(name))
    call.records.insert(
        policies,
        id=id,
        account=call.account,
        path=given.get("Path", "/"),
        name=name,
        folded=fold(name),
        description=given.get("Description", ""),
        default_version=1,
        tags=given_tags(given),
        created=call.now,
    )
    insert_version(call, id, 1, document)
    return {"Policy": described_policies(call, call.records.all(policies, id=id), whole=True)[0]}


def get_policy(call: ServiceCall, given: Input) -> Output:
    """Describe a policy."""
    row = the_policy(call, given["PolicyArn"])
    return {"Policy": described_policies(call, [row], whole=True)[0]}


def list_policies(call: ServiceCall, given: Input) -> Output:
    """List the policies of the account and of AWS, by name, the account's own first."""
    order = ("account", "folded")
    where = _listed(call, given)
    page = page_of_rows(
        given,
        order,
        lambda after, limit: call.records.page(
            policies, order=order, after=after, limit=limit, path_prefix=given.get("PathPrefix"), **where
        ),
    )
    return {"Policies": described_policies(call, page.rows), **page.members}


def _listed(call: ServiceCall, given: Input) -> dict[str, Any]:
    """Return the conditions that a listed policy meets.

    "Attached" means as a permissions policy, as in `AttachmentCount`, unless the call asks for boundaries.
    """
    accounts = {"AWS": [AWS_MANAGED], "Local": [call.account]}
    where: dict[str, Any] = {"account": accounts.get(given.get("Scope", "All"), [AWS_MANAGED, call.account])}
    records, usage = call.records, given.get("PolicyUsageFilter")
    if usage == "PermissionsBoundary":
        where["id"] = records.values_of(identities, "boundary_id", account=call.account, boundary_id=PRESENT)
    elif usage == "PermissionsPolicy" or given.get("OnlyAttached"):
        ours = records.values_of(identities, "id", account=call.account)
        where["id"] = records.values_of(attachments, "policy_id", identity_id=ours)
    return where


def delete_policy(call: ServiceCall, given: Input) -> None:
    """Delete a policy that nobody has and that has its default version only."""
    row = own_policy(call, given)
    id = row["id"]
    if call.records.count(attachments, policy_id=id) or call.records.count(identities, boundary_id=id):
        raise DeleteConflict("Cannot delete a policy attached to entities.")
    if call.records.count(policy_versions, policy_id=id) > 1:
        raise DeleteConflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
            "The default version is deleted with the policy."
        )
    call.records.delete(policies, id=id)
