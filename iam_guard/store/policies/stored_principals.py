"""Loads all users, roles and root users of a store with everything that decisions about them need.

Analyses of all principals would otherwise query the database several times for each. Read in one transaction, so from
one epoch. A role is represented by a session with an impossible name, without session policies and tags.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.principal import Principal
from iam_guard.store.database.records import PRESENT, Records, Row, row_arn
from iam_guard.store.identifiers import iam_arn, root_arn, session_arn
from iam_guard.store.policies.decision_rows import inline_policy, managed_policy
from iam_guard.store.policies.principal_bindings import current_text
from iam_guard.store.protocol import PrincipalRecord, SourceStore, StoredPolicy
from iam_guard.store.schema import (
    accounts,
    attachments,
    identities,
    inline_policies,
    memberships,
    oidc_providers,
    policies,
    policy_versions,
    resources,
    saml_providers,
)

ANY_SESSION: Final = "(any session)"
"""The name of the session that represents all sessions of a role; not a valid session name."""


@dataclass(frozen=True, slots=True)
class StoredPrincipal:
    """One principal of the store. `arn` is the ARN of the user, role (not session) or root user.

    `through` has, for each identity-based policy, the groups that it is attached to; `""` for the principal itself.
    `trust` is a role's current trust policy.
    """

    kind: str
    arn: str
    account: str
    record: PrincipalRecord
    through: Mapping[PolicyRef, tuple[str, ...]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    trust: str | None = None


@dataclass(frozen=True, slots=True)
class StoredPrincipals:
    """The principals by ARN: root users, then users and roles by account, kind and name."""

    accounts: tuple[str, ...]
    principals_by_arn: Mapping[str, StoredPrincipal]
    resource_arns: Mapping[str, str]
    """The ARN of each resource with a stored policy -> its owner account."""
    identity_providers: tuple[str, ...] = ()
    """The ARNs of registered providers: SAML, and OIDC with an audience; without one, no token is accepted."""


def read_principals(store: SourceStore, epoch: int) -> StoredPrincipals:
    """Return all principals of the store. Call it inside of `at_once`; `epoch` is the epoch of that transaction."""
    partition = store.partition
    with store.read_transaction() as records:
        rows = sorted(records.all(identities), key=lambda row: (row["account"], row["kind"] != "user", row["name"]))
        by_id = {row["id"]: row for row in rows}
        own_policies, boundaries = _policies(records, partition, by_id)
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in records.all(memberships):
            groups[row["user_id"]].append(by_id[row["group_id"]])
        account_ids = tuple(row["id"] for row in records.all(accounts, order=("id",), columns=("id",)))
        owned = records.all(resources, order=("arn",), columns=("arn", "account"), digest=PRESENT)
        oidc = records.all(oidc_providers, order=("account", "url"), columns=("account", "url", "client_ids"))
        saml = records.all(saml_providers, order=("account", "name"), columns=("account", "name"))
    arns = {row["id"]: row_arn(partition, row) for row in rows}
    principals = [_root(partition, epoch, account) for account in account_ids]
    for row in rows:
        if row["kind"] == "group":
            continue
        through = dict.fromkeys(own_policies[row["id"]], ("",))
        for group in sorted(groups[row["id"]], key=lambda group: str(group["name"])):
            for policy in own_policies[group["id"]]:
                through[policy] = (*through.get(policy, ()), group["name"])
        arn, boundary = arns[row["id"]], boundaries.get(row["boundary_id"])
        caller = _caller(partition, row, arn, has_boundary=boundary is not None)
        identity = tuple(sorted(through, key=lambda policy: policy.ref.name))
        record = PrincipalRecord(epoch, True, caller, identity, boundary)
        refs = {policy.ref: names for policy, names in through.items()}
        trust = row["trust_text"] and current_text(row["trust_text"], row["trust_bindings"], arns.get)
        principals.append(StoredPrincipal(row["kind"], arn, row["account"], record, refs, caller.tags, trust))
    providers = [(row["account"], "oidc-provider", row["url"]) for row in oidc if row["client_ids"]]
    providers += [(row["account"], "saml-provider", row["name"]) for row in saml]
    return StoredPrincipals(
        account_ids,
        {principal.arn: principal for principal in principals},
        {row["arn"]: row["account"] for row in owned},
        tuple(iam_arn(partition, account, kind, "/", name) for account, kind, name in providers),
    )


def _root(partition: str, epoch: int, account: str) -> StoredPrincipal:
    arn = root_arn(partition, account)
    principal = Principal.from_arn(arn, userid=account)
    return StoredPrincipal("root", arn, account, PrincipalRecord(epoch, True, principal))


def _caller(partition: str, row: Row, arn: str, *, has_boundary: bool) -> Principal:
    """Return a user, or the session that represents a role."""
    tags = MappingProxyType(dict(row["tags"]))
    if row["kind"] == "user":
        return Principal.from_arn(arn, userid=row["id"], tags=tags, has_boundary=has_boundary)
    session = session_arn(partition, row["account"], row["name"], ANY_SESSION)
    userid = f"{row['id']}:{ANY_SESSION}"
    return Principal.from_arn(session, role_arn=arn, userid=userid, tags=tags, has_boundary=has_boundary)


def _policies(
    records: Records, partition: str, by_id: Mapping[str, Row]
) -> tuple[Mapping[str, list[StoredPolicy]], Mapping[str, StoredPolicy]]:
    """Return the inline and attached policies of each user, group and role, without inherited ones, and boundaries."""
    own_policies: dict[str, list[StoredPolicy]] = defaultdict(list)
    for row in records.all(inline_policies):
        own_policies[row["identity_id"]].append(inline_policy(by_id[row["identity_id"]], row))
    attached = records.all(attachments)
    used = {row["policy_id"] for row in attached} | {row["boundary_id"] for row in by_id.values()}
    found = {row["id"]: row for row in records.all(policies) if row["id"] in used}
    managed, boundaries = {}, {}
    for version in records.all(policy_versions):
        policy = found.get(version["policy_id"])
        if policy is not None and policy["default_version"] == version["version"]:
            managed[policy["id"]] = managed_policy(partition, policy, version, PolicyType.IDENTITY)
            boundaries[policy["id"]] = managed_policy(partition, policy, version, PolicyType.BOUNDARY)
    for row in attached:
        own_policies[row["identity_id"]].append(managed[row["policy_id"]])
    return own_policies, boundaries
