"""Digests of the policy document that a call changes, before and after the change.

Used for audit records only, within the transaction of the call, with as few queries as possible. A missing document has
no digest.
"""

from __future__ import annotations

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.entities import find_policy, load_identity, load_role
from iam_guard.store.database.records import Row
from iam_guard.store.identifiers import Kind, fold
from iam_guard.store.schema import attachments, inline_policies, policies, policy_versions


def inline_digest(kind: Kind, call: ServiceCall, parameters: Input) -> str | None:
    holder = load_identity(kind, call, parameters)
    row = call.records.one(inline_policies, identity_id=holder["id"], folded=fold(parameters["PolicyName"]))
    return None if row is None else str(row["digest"])


def attached_digest(kind: Kind, call: ServiceCall, parameters: Input) -> str | None:
    """Return the digest of the call's managed policy if it is attached."""
    holder = load_identity(kind, call, parameters)
    policy = find_policy(call, parameters["PolicyArn"])
    if policy is None or not call.records.count(attachments, identity_id=holder["id"], policy_id=policy["id"]):
        return None
    return _default(call, policy)


def boundary_digest(kind: Kind, call: ServiceCall, parameters: Input) -> str | None:
    """Return the digest of a user's or role's permissions boundary."""
    holder = load_identity(kind, call, parameters)
    policy = call.records.one(policies, id=holder["boundary_id"]) if holder["boundary_id"] else None
    return _default(call, policy)


def role_trust_digest(call: ServiceCall, parameters: Input) -> str | None:
    digest: str | None = load_role(call, parameters)["trust_digest"]
    return digest


def default_digest(call: ServiceCall, parameters: Input) -> str | None:
    """Return the digest of a managed policy's default version."""
    return _default(call, find_policy(call, parameters["PolicyArn"]))


def newest_digest(call: ServiceCall, parameters: Input) -> str | None:
    """Return the digest of a managed policy's newest version."""
    policy = find_policy(call, parameters["PolicyArn"])
    versions = [] if policy is None else call.records.all(policy_versions, policy_id=policy["id"])
    return str(max(versions, key=lambda row: int(row["version"]))["digest"]) if versions else None


def named_digest(call: ServiceCall, parameters: Input) -> str | None:
    """Return the digest of the version that a call names."""
    policy = find_policy(call, parameters["PolicyArn"])
    number = parameters["VersionId"].removeprefix("v")
    return None if policy is None or not number.isdecimal() else _version(call, policy, int(number))


def created_digest(call: ServiceCall, parameters: Input) -> str | None:
    """Return the digest of the policy that a call creates."""
    policy = call.records.one(policies, account=call.account, folded=fold(parameters["PolicyName"]))
    return _default(call, policy)


def _default(call: ServiceCall, policy: Row | None) -> str | None:
    return None if policy is None else _version(call, policy, policy["default_version"])


def _version(call: ServiceCall, policy: Row, number: int) -> str | None:
    row = call.records.one(policy_versions, policy_id=policy["id"], version=number)
    return None if row is None else str(row["digest"])
