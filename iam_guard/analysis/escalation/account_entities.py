"""Load what escalation needs beside the principals: groups, managed policies with their versions, credentials,
identity providers, and whose root users an organization's management account may use.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from iam_guard.model.decision import PolicyType
from iam_guard.store.database.records import PRESENT, Records, Row, row_arn
from iam_guard.store.identifiers import iam_arn
from iam_guard.store.policies.decision_rows import inline_policy, managed_policy
from iam_guard.store.protocol import SourceStore, StoredPolicy
from iam_guard.store.schema import (
    access_keys,
    attachments,
    identities,
    inline_policies,
    login_profiles,
    memberships,
    mfa_devices,
    oidc_providers,
    organizations,
    passkeys,
    placements,
    policies,
    policy_versions,
    saml_providers,
    units,
)

ROOT_SESSIONS: Final = "RootSessions"
"""The feature of an organization that permits `sts:AssumeRoot`."""


@dataclass(frozen=True, slots=True)
class GroupEntity:
    """A group, the ARNs of its members, and its policies."""

    arn: str
    account: str
    members: frozenset[str]
    policies: tuple[StoredPolicy, ...]


@dataclass(frozen=True, slots=True)
class PolicyEntity:
    """A managed policy: its default version, and the texts of the others by number. `account` is `aws` for AWS's."""

    arn: str
    account: str
    tags: Mapping[str, str]
    current: StoredPolicy
    others: Mapping[int, StoredPolicy]


@dataclass(frozen=True, slots=True)
class UserCredentials:
    """What a user, or an account's root user, has to sign in with. `factors` are its MFA devices and passkeys."""

    keys: int = 0
    has_password: bool = False
    factors: int = 0


@dataclass(frozen=True, slots=True)
class AccountEntities:
    """Entities by ARN. Users and the root user have credentials by ARN and by account."""

    groups: Mapping[str, GroupEntity]
    policies: Mapping[str, PolicyEntity]
    credentials: Mapping[str, UserCredentials]
    providers: frozenset[str]
    root_users_of: Mapping[str, tuple[str, ...]]
    """Management account -> the accounts for whose root users it may get sessions."""
    quotas: Mapping[str, int]
    """Of the store, by name (rules G-75, R-30)."""
    _by_member: dict[str, list[GroupEntity]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for group in self.groups.values():
            for member in group.members:
                self._by_member[member].append(group)

    def groups_of(self, user: str) -> list[GroupEntity]:
        """Return the groups of a user."""
        return self._by_member.get(user, [])


def read_entities(store: SourceStore) -> AccountEntities:
    """Return the entities of the store. Call it in the transaction of the analysis (`at_once`)."""
    partition = store.partition
    with store.read_transaction() as records:
        by_id = {row["id"]: row for row in records.all(identities)}
        arns = {id: row_arn(partition, row) for id, row in by_id.items()}
        managed = _managed_policies(records, partition)
        return AccountEntities(
            _groups(records, by_id, arns, managed),
            {policy.arn: policy for policy in managed.values()},
            _credentials(records, arns),
            frozenset(_providers(records, partition)),
            _root_users(records),
            records.quotas,
        )


def _managed_policies(records: Records, partition: str) -> dict[str, PolicyEntity]:
    versions: dict[str, dict[int, Row]] = defaultdict(dict)
    for row in records.all(policy_versions):
        versions[row["policy_id"]][row["version"]] = row
    found = {}
    for policy in records.all(policies, order=("account", "name")):
        texts = {
            number: managed_policy(partition, policy, version, PolicyType.IDENTITY)
            for number, version in sorted(versions[policy["id"]].items())
        }
        arn = iam_arn(partition, policy["account"], "policy", policy["path"], policy["name"])
        current = texts.pop(policy["default_version"])
        found[policy["id"]] = PolicyEntity(arn, policy["account"], policy["tags"], current, texts)
    return found


def _groups(
    records: Records, by_id: Mapping[str, Row], arns: Mapping[str, str], managed: Mapping[str, PolicyEntity]
) -> dict[str, GroupEntity]:
    members, held = defaultdict(list), defaultdict(list)
    for row in records.all(memberships):
        members[row["group_id"]].append(arns[row["user_id"]])
    for row in records.all(inline_policies):
        held[row["identity_id"]].append(inline_policy(by_id[row["identity_id"]], row))
    for row in records.all(attachments):
        held[row["identity_id"]].append(managed[row["policy_id"]].current)
    groups = sorted((row for row in by_id.values() if row["kind"] == "group"), key=lambda row: arns[row["id"]])
    return {
        arns[row["id"]]: GroupEntity(
            arns[row["id"]],
            row["account"],
            frozenset(members[row["id"]]),
            tuple(sorted(held[row["id"]], key=lambda policy: policy.ref.name)),
        )
        for row in groups
    }


def _credentials(records: Records, arns: Mapping[str, str]) -> dict[str, UserCredentials]:
    def owner(row: Row) -> str:
        return row["account"] if row["user_id"] is None else arns[row["user_id"]]

    keys = Counter(owner(row) for row in records.all(access_keys, columns=("account", "user_id")))
    passwords = {owner(row) for row in records.all(login_profiles, columns=("account", "user_id"))}
    factors = Counter(owner(row) for row in records.all(passkeys, columns=("account", "user_id")))
    factors.update(
        owner(row)
        for row in records.all(mfa_devices, columns=("account", "user_id", "for_root"), enabled=PRESENT)
        if row["user_id"] is not None or row["for_root"]
    )
    return {
        name: UserCredentials(keys[name], name in passwords, factors[name]) for name in {*keys, *passwords, *factors}
    }


def _providers(records: Records, partition: str) -> list[str]:
    oidc = records.all(oidc_providers, columns=("account", "url"))
    saml = records.all(saml_providers, columns=("account", "name"))
    return [
        *(iam_arn(partition, row["account"], "oidc-provider", "/", row["url"]) for row in oidc),
        *(iam_arn(partition, row["account"], "saml-provider", "/", row["name"]) for row in saml),
    ]


def _root_users(records: Records) -> dict[str, tuple[str, ...]]:
    owners = {row["id"]: row["organization_id"] for row in records.all(units, columns=("id", "organization_id"))}
    members = defaultdict(list)
    for row in records.all(placements, order=("account",)):
        members[owners[row["unit_id"]]].append(row["account"])
    return {
        row["management_account"]: tuple(
            account for account in members[row["id"]] if account != row["management_account"]
        )
        for row in records.all(organizations)
        if ROOT_SESSIONS in (row["root_features"] or ())
    }
