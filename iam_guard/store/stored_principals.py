"""Loads all users, roles and root users of a store with everything that decisions about them need.

Analyses of all principals would otherwise query the database several times for each. Read in one transaction, so from
one epoch. A role is represented by a session with an impossible name, without session policies and tags.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.principal import Principal
from iam_guard.store.decision_rows import inline_policy, managed_policy
from iam_guard.store.identifiers import iam_arn, root_arn, session_arn
from iam_guard.store.principal_bindings import current_text
from iam_guard.store.protocol import PrincipalRecord, SourceStore, StoredPolicy
from iam_guard.store.records import Records, Row, row_arn
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
    oidc_providers: tuple[str, ...] = ()
    """The ARNs of registered OIDC providers with an audience; without one, no token is accepted."""


def read_principals(store: SourceStore, epoch: int) -> StoredPrincipals:
    """Return all principals of the store. Call it inside of `at_once`; `epoch` is the epoch of that transaction."""
    reader = _Reader(store.partition, epoch)
    with store.read_transaction() as records:
        return reader.read(records)


class _Reader:
    def __init__(self, partition: str, epoch: int) -> None:
        self.partition = partition
        self.epoch = epoch

    def read(self, records: Records) -> StoredPrincipals:
        rows = records.all(identities, order=("account", "kind", "name"))
        by_id = {row["id"]: row for row in rows}
        own_policies, boundaries = self._own_policies(records, by_id), self._boundaries(records, rows)
        groups: dict[str, list[str]] = {}
        for row in records.all(memberships):
            groups.setdefault(row["user_id"], []).append(row["group_id"])
        arns = {id: row_arn(self.partition, row) for id, row in by_id.items()}
        principals: dict[str, StoredPrincipal] = {}
        account_ids = tuple(row["id"] for row in records.all(accounts, order=("id",), columns=("id",)))
        for account in account_ids:
            root = self._root(account)
            principals[root.arn] = root
        for row in sorted(rows, key=lambda row: (row["account"], row["kind"] != "user", row["name"])):
            if row["kind"] == "group":
                continue
            through = self._through(row, groups.get(row["id"], ()), own_policies, by_id)
            boundary = boundaries.get(row["boundary_id"] or "")
            trust = row["trust_text"] and current_text(row["trust_text"], row["trust_bindings"], arns.get)
            principals[arns[row["id"]]] = self._principal(row, arns[row["id"]], through, boundary, trust)
        providers = tuple(self._oidc_providers(records))
        return StoredPrincipals(account_ids, principals, dict(_resources(records)), providers)

    def _root(self, account: str) -> StoredPrincipal:
        arn = root_arn(self.partition, account)
        principal = Principal.from_arn(arn, userid=account)
        return StoredPrincipal("root", arn, account, PrincipalRecord(self.epoch, True, principal))

    def _principal(
        self,
        row: Row,
        arn: str,
        through: Mapping[StoredPolicy, tuple[str, ...]],
        boundary: StoredPolicy | None,
        trust: str | None,
    ) -> StoredPrincipal:
        tags = MappingProxyType(dict(row["tags"]))
        is_bounded = boundary is not None
        if row["kind"] == "user":
            principal = Principal.from_arn(arn, userid=row["id"], tags=tags, has_boundary=is_bounded)
        else:
            session = session_arn(self.partition, row["account"], row["name"], ANY_SESSION)
            userid = f"{row['id']}:{ANY_SESSION}"
            principal = Principal.from_arn(session, role_arn=arn, userid=userid, tags=tags, has_boundary=is_bounded)
        identity = tuple(sorted(through, key=lambda policy: policy.ref.name))
        record = PrincipalRecord(self.epoch, True, principal, identity, boundary)
        through_refs = {policy.ref: groups for policy, groups in through.items()}
        return StoredPrincipal(row["kind"], arn, row["account"], record, through_refs, tags, trust)

    def _oidc_providers(self, records: Records) -> Iterator[str]:
        for row in records.all(oidc_providers, order=("account", "url"), columns=("account", "url", "client_ids")):
            if row["client_ids"]:
                yield iam_arn(self.partition, row["account"], "oidc-provider", "/", row["url"])

    # --- policies ------------------------------------------------------------------------------------------------

    def _own_policies(self, records: Records, by_id: Mapping[str, Row]) -> dict[str, list[StoredPolicy]]:
        """Return the inline and attached policies of each identity, groups included, without inherited ones."""
        own_policies: dict[str, list[StoredPolicy]] = {}
        for row in records.all(inline_policies):
            own_policies.setdefault(row["identity_id"], []).append(inline_policy(by_id[row["identity_id"]], row))
        attached = records.all(attachments)
        managed = self._managed(records, {row["policy_id"] for row in attached}, PolicyType.IDENTITY)
        for row in attached:
            own_policies.setdefault(row["identity_id"], []).append(managed[row["policy_id"]])
        return own_policies

    def _boundaries(self, records: Records, rows: Collection[Row]) -> dict[str, StoredPolicy]:
        ids = {row["boundary_id"] for row in rows if row["boundary_id"] is not None}
        return self._managed(records, ids, PolicyType.BOUNDARY)

    def _managed(self, records: Records, ids: Collection[str], type: PolicyType) -> dict[str, StoredPolicy]:
        """Return the default versions of managed policies."""
        if not ids:
            return {}
        found = {row["id"]: row for row in records.all(policies) if row["id"] in ids}
        return {
            row["policy_id"]: managed_policy(self.partition, policy, row, type)
            for row in records.all(policy_versions)
            if (policy := found.get(row["policy_id"])) is not None and policy["default_version"] == row["version"]
        }

    def _through(
        self,
        row: Row,
        groups: Collection[str],
        own_policies: Mapping[str, list[StoredPolicy]],
        by_id: Mapping[str, Row],
    ) -> dict[StoredPolicy, tuple[str, ...]]:
        through: dict[StoredPolicy, tuple[str, ...]] = dict.fromkeys(own_policies.get(row["id"], ()), ("",))
        for group in sorted(groups, key=lambda group: str(by_id[group]["name"])):
            for policy in own_policies.get(group, ()):
                through[policy] = (*through.get(policy, ()), by_id[group]["name"])
        return through


def _resources(records: Records) -> Iterator[tuple[str, str]]:
    for row in records.all(resources, order=("arn",), columns=("arn", "account", "digest")):
        if row["digest"] is not None:
            yield row["arn"], row["account"]
