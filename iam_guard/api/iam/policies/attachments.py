"""Attaching managed policies to users, groups and roles, and listing attachments (G-76, K-33).

Each operation exists for three kinds of entity, so its function takes the kind first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.entities import load_identity, load_modifiable, load_policy, policy_arn, require_quota
from iam_guard.api.iam.policies.managed_policies import attachable_policy
from iam_guard.api.paging import Columns, Key, fetch_from, page_of_rows, page_of_table
from iam_guard.errors import NoSuchEntity
from iam_guard.store.database.records import Row
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import attachments, identities, policies


def attach_policy(kind: Kind, call: ServiceCall, parameters: Input) -> None:
    """Attach a policy; attaching it twice is no error."""
    holder = load_modifiable(kind, call, parameters)
    link = {"identity_id": holder["id"], "policy_id": attachable_policy(call, parameters)["id"]}
    if call.records.count(attachments, **link):
        return
    current = call.records.count(attachments, identity_id=holder["id"])
    require_quota(
        call.records, f"policies attached to a {kind.value}", f"PoliciesPer{kind.value.capitalize()}", current
    )
    call.records.insert(attachments, **link)


def detach_policy(kind: Kind, call: ServiceCall, parameters: Input) -> None:
    holder = load_modifiable(kind, call, parameters)
    policy = load_policy(call, parameters["PolicyArn"])
    if not call.records.delete(attachments, identity_id=holder["id"], policy_id=policy["id"]):
        raise NoSuchEntity(f"Policy {parameters['PolicyArn']} was not found.")


def list_attached_policies(kind: Kind, call: ServiceCall, parameters: Input) -> Output:
    """List an entity's attached policies, sorted by name."""
    holder = load_identity(kind, call, parameters)
    order = ("folded", "account")  # AWS may have a policy with the same name
    policy_ids = call.records.values_of(attachments, "policy_id", identity_id=holder["id"])
    page = page_of_table(call, parameters, policies, order, id=policy_ids)
    return {"AttachedPolicies": [describe_attachment(call, row) for row in page.rows], **page.members}


def describe_attachment(call: ServiceCall, policy: Row) -> Output:
    return {"PolicyName": policy["name"], "PolicyArn": policy_arn(call, policy)}


def list_entities_for_policy(call: ServiceCall, parameters: Input) -> Output:
    """List the account's entities with a policy, as permissions policy or as boundary."""
    policy = attachable_policy(call, parameters)
    order, where = ("kind", "folded"), {"account": call.account, "kind": _KINDS[parameters.get("EntityFilter")]}
    usages = [
        fetch_from(call, parameters, identities, order, **where, **usage)
        for usage in _usages(call, policy, parameters.get("PolicyUsageFilter"))
    ]

    def fetch(after: Key | None, limit: int) -> Sequence[Columns]:
        found = {row["id"]: row for fetch_usage in usages for row in fetch_usage(after, limit)}
        return sorted(found.values(), key=lambda row: (row["kind"], row["folded"]))[:limit]

    page = page_of_rows(parameters, order, fetch)
    listed = {
        f"Policy{kind.value.capitalize()}s": [_holder(kind, row) for row in page.rows if row["kind"] == kind]
        for kind in Kind
    }
    return {**listed, **page.members}


_KINDS: dict[str | None, list[str]] = {
    None: [kind.value for kind in Kind],
    **{kind.value.capitalize(): [kind.value] for kind in Kind},
    "LocalManagedPolicy": [],  # in the model's enumeration; a policy is never attached to a policy
    "AWSManagedPolicy": [],
}


def _usages(call: ServiceCall, policy: Row, usage: str | None) -> list[dict[str, Any]]:
    """Return alternative conditions for the entities that use the policy."""
    usages = {
        "PermissionsPolicy": {"id": call.records.values_of(attachments, "identity_id", policy_id=policy["id"])},
        "PermissionsBoundary": {"boundary_id": policy["id"]},
    }
    return [usages[usage]] if usage else list(usages.values())


def _holder(kind: Kind, row: Row) -> Output:
    word = kind.value.capitalize()
    return {f"{word}Name": row["name"], f"{word}Id": row["id"]}
