"""Attaching managed policies to users, groups and roles; who has what (rules G-76, K-33).

Each operation is there three times, so a function makes it for a kind of entity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.entities import NAME_MEMBER, policy_arn, require_room, the_identity, the_policy
from iam_guard.api.iam.managed_policies import attachable_policy
from iam_guard.api.iam.protected_entities import the_modifiable
from iam_guard.api.operation import Handler
from iam_guard.api.paging import Key, page_of_rows
from iam_guard.errors import NoSuchEntity
from iam_guard.store.identifiers import Kind
from iam_guard.store.records import Row
from iam_guard.store.schema import attachments, identities, policies


def attach_handler(kind: Kind) -> Handler:
    """Make the operation that attaches a policy; to attach it twice is no error."""

    def attach(call: ServiceCall, given: Input) -> None:
        holder = the_modifiable(call, kind, given)
        link = {"identity_id": holder["id"], "policy_id": attachable_policy(call, given)["id"]}
        if call.records.count(attachments, **link):
            return
        held = call.records.count(attachments, identity_id=holder["id"])
        require_room(f"policies attached to a {kind.value}", f"PoliciesPer{kind.value.capitalize()}", held)
        call.records.insert(attachments, **link)

    return attach


def detach_handler(kind: Kind) -> Handler:
    """Make the operation that detaches a policy."""

    def detach(call: ServiceCall, given: Input) -> None:
        holder = the_modifiable(call, kind, given)
        policy = the_policy(call, given["PolicyArn"])
        if not call.records.delete(attachments, identity_id=holder["id"], policy_id=policy["id"]):
            raise NoSuchEntity(f"Policy {given['PolicyArn']} was not found.")

    return detach


def list_attached_handler(kind: Kind) -> Handler:
    """Make the operation that lists the policies attached to an entity, by name."""

    def list_attached(call: ServiceCall, given: Input) -> Output:
        holder = the_identity(call, kind, given[NAME_MEMBER[kind]])
        order = ("folded", "account")  # AWS may have a policy of the same name
        held = call.records.values_of(attachments, "policy_id", identity_id=holder["id"])
        page = page_of_rows(
            given,
            order,
            lambda after, limit: call.records.page(
                policies, order=order, after=after, limit=limit, path_prefix=given.get("PathPrefix"), id=held
            ),
        )
        return {"AttachedPolicies": [attached_policy(call, row) for row in page.rows], **page.members}

    return list_attached


def attached_policy(call: ServiceCall, policy: Row) -> Output:
    """Describe a policy as what somebody has."""
    return {"PolicyName": policy["name"], "PolicyArn": policy_arn(call, policy)}


def list_entities_for_policy(call: ServiceCall, given: Input) -> Output:
    """List the account's groups, roles and users that have a policy, as permissions policy or as boundary."""
    policy = attachable_policy(call, given)
    order = ("kind", "folded")

    def fetch(after: Key | None, limit: int) -> Sequence[Row]:
        found = {
            row["id"]: row
            for use in _uses(call, policy, given.get("PolicyUsageFilter"))
            for row in call.records.page(
                identities,
                order=order,
                after=after,
                limit=limit,
                path_prefix=given.get("PathPrefix"),
                account=call.account,
                kind=_KINDS[given.get("EntityFilter")],
                **use,
            )
        }
        return sorted(found.values(), key=lambda row: (row["kind"], row["folded"]))[:limit]

    page = page_of_rows(given, order, fetch)
    listed = {
        f"Policy{kind.value.capitalize()}s": [_holder(kind, row) for row in page.rows if row["kind"] == kind]
        for kind in Kind
    }
    return {**listed, **page.members}


_KINDS: dict[str | None, list[str]] = {
    None: [kind.value for kind in Kind],
    **{kind.value.capitalize(): [kind.value] for kind in Kind},
    "LocalManagedPolicy": [],  # the model's enumeration has them; a policy is never attached to a policy
    "AWSManagedPolicy": [],
}


def _uses(call: ServiceCall, policy: Row, usage: str | None) -> list[dict[str, Any]]:
    """Return the conditions of which one holds for whoever has the policy."""
    ways = {
        "PermissionsPolicy": {"id": call.records.values_of(attachments, "identity_id", policy_id=policy["id"])},
        "PermissionsBoundary": {"boundary_id": policy["id"]},
    }
    return [ways[usage]] if usage else list(ways.values())


def _holder(kind: Kind, row: Row) -> Output:
    word = kind.value.capitalize()
    return {f"{word}Name": row["name"], f"{word}Id": row["id"]}
