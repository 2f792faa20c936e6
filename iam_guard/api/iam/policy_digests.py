"""The policy document that a call changes, by its digest: as it was before, and as it is afterwards.

For the audit record alone. Asked within the transaction of the call, before and after, with as few questions as that
takes; what is not there has no digest.
"""

from __future__ import annotations

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.entities import NAME_MEMBER, find_policy, the_identity
from iam_guard.api.operation import DigestOf
from iam_guard.store.identifiers import Kind, fold
from iam_guard.store.records import Row
from iam_guard.store.schema import attachments, inline_policies, policies, policy_versions


def no_document(call: ServiceCall, given: Input) -> None:
    """Say that there is none: before what makes one, and after what removes it."""


def inline_document(kind: Kind) -> DigestOf:
    """Find the inline policy that a call names."""

    def find(call: ServiceCall, given: Input) -> str | None:
        holder = the_identity(call, kind, given[NAME_MEMBER[kind]])
        row = call.records.one(inline_policies, identity_id=holder["id"], folded=fold(given["PolicyName"]))
        return None if row is None else str(row["digest"])

    return find


def attached_document(kind: Kind) -> DigestOf:
    """Find what the policy of a call says, as far as it is attached."""

    def find(call: ServiceCall, given: Input) -> str | None:
        holder, policy = the_identity(call, kind, given[NAME_MEMBER[kind]]), find_policy(call, given["PolicyArn"])
        if policy is None or not call.records.count(attachments, identity_id=holder["id"], policy_id=policy["id"]):
            return None
        return _version(call, policy, policy["default_version"])

    return find


def boundary_document(kind: Kind) -> DigestOf:
    """Find what the boundary of a user or role says."""

    def find(call: ServiceCall, given: Input) -> str | None:
        holder = the_identity(call, kind, given[NAME_MEMBER[kind]])
        policy = call.records.one(policies, id=holder["boundary_id"]) if holder["boundary_id"] else None
        return None if policy is None else _version(call, policy, policy["default_version"])

    return find


def role_trust_document(call: ServiceCall, given: Input) -> str | None:
    """Find whom the role of a call trusts."""
    digest: str | None = the_identity(call, Kind.ROLE, given["RoleName"])["trust_digest"]
    return digest


def default_document(call: ServiceCall, given: Input) -> str | None:
    """Find the version of a policy that decides."""
    policy = find_policy(call, given["PolicyArn"])
    return None if policy is None else _version(call, policy, policy["default_version"])


def newest_document(call: ServiceCall, given: Input) -> str | None:
    """Find the version of a policy that was added last."""
    policy = find_policy(call, given["PolicyArn"])
    versions = [] if policy is None else call.records.all(policy_versions, policy_id=policy["id"])
    return str(max(versions, key=lambda row: int(row["version"]))["digest"]) if versions else None


def named_document(call: ServiceCall, given: Input) -> str | None:
    """Find the version that a call names."""
    policy = find_policy(call, given["PolicyArn"])
    number = given["VersionId"].removeprefix("v")
    return None if policy is None or not number.isdecimal() else _version(call, policy, int(number))


def created_document(call: ServiceCall, given: Input) -> str | None:
    """Find the policy of the name that a call makes."""
    policy = call.records.one(policies, account=call.account, folded=fold(given["PolicyName"]))
    return None if policy is None else _version(call, policy, policy["default_version"])


def _version(call: ServiceCall, policy: Row, number: int) -> str | None:
    row = call.records.one(policy_versions, policy_id=policy["id"], version=number)
    return None if row is None else str(row["digest"])
