"""Converts the rows of the decision query to records (rules P-5, E-10 to E-14)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from types import MappingProxyType

from sqlalchemy import RowMapping

from iam_guard.errors import StoreUnavailable
from iam_guard.model.account import AccountState
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.store.database.records import row_arn
from iam_guard.store.identifiers import control_policy_arn, iam_arn
from iam_guard.store.policies.principal_bindings import current_text
from iam_guard.store.protocol import AccountRecord, Organization, ResourceRecord, StoredPolicy

_Levels = tuple[tuple[StoredPolicy, ...], ...]


class DecisionRows:
    """The rows of one result, by part."""

    def __init__(self, rows: Iterable[RowMapping], partition: str) -> None:
        self._partition = partition
        self._parts: dict[str, list[RowMapping]] = defaultdict(list)
        for row in rows:
            self._parts[row["part"]].append(row)
        if not self._parts["epoch"]:
            raise StoreUnavailable("the store cannot be used: expected an epoch, got none")
        self.epoch: int = self._parts["epoch"][0]["number"]

    def identity(self) -> RowMapping | None:
        """Return the row of the user or role; `target` is the unique id of its boundary."""
        return next((row for row in self._parts["holder"] if row["kind"] != "group"), None)

    def identity_policies(self) -> tuple[StoredPolicy, ...]:
        """Return the inline and attached policies of the identity and of its groups, sorted by name.

        A policy that is attached to several of them is included several times.
        """
        holders = {row["id"]: row for row in self._parts["holder"]}
        policies = self._parts["policy"]
        managed = {row["id"]: managed_policy(self._partition, row, row, PolicyType.IDENTITY) for row in policies}
        found = [managed[row["id"]] for row in self._parts["attachment"]]
        found += [inline_policy(holders[row["id"]], row) for row in self._parts["inline policy"]]
        return tuple(sorted(found, key=lambda policy: policy.ref.name))

    def boundary(self, identity: RowMapping) -> StoredPolicy | None:
        """Return the permissions boundary of the identity. Raises `KeyError` if its policy is missing."""
        if identity["target"] is None:
            return None
        found = {row["id"]: row for row in self._parts["policy"]}
        row = found[identity["target"]]
        return managed_policy(self._partition, row, row, PolicyType.BOUNDARY)

    def account(self, id: str, number: int) -> AccountRecord:
        """Return the account that has this number in the query."""
        row = next(iter(self._parts[f"account{number}"]), None)
        if row is None:
            state = AccountState.DELETING if self._parts[f"deleted{number}"] else AccountState.ACTIVE
            return AccountRecord(self.epoch, id, exists=False, state=state)
        state = AccountState(row["name"])
        if row["unit_id"] is None:
            return AccountRecord(self.epoch, id, exists=True, state=state)
        units = sorted(self._parts[f"unit{number}"], key=lambda unit: int(unit["number"]), reverse=True)
        targets = [*(unit["id"] for unit in units), id]
        path = "/".join([row["organization_id"], *targets[:-1], ""])  # E.1
        is_management = row["management_account"] == id  # is not limited (E-10, E-11)
        return AccountRecord(
            self.epoch,
            id,
            exists=True,
            state=state,
            organization=Organization(row["organization_id"], path, is_management),
            scps=self._levels("SCP", row, targets, number)
            if row["scps_enabled"] and not is_management
            else None,  # E-10
            rcps=self._levels("RCP", row, targets, number)
            if row["rcps_enabled"] and not is_management
            else None,  # E-11
        )

    def _levels(self, type: str, account: RowMapping, targets: list[str], number: int) -> _Levels:
        """Return the policies of one type by level, root first; a level without policies is an empty tuple (E-12)."""
        found = {row["id"]: row for row in self._parts["control policy"] if row["kind"] == type}
        levels: dict[str, list[StoredPolicy]] = {target: [] for target in targets}
        for row in self._parts[f"control{number}"]:
            if row["id"] in found:
                levels[row["target"]].append(self._control_policy(found[row["id"]], account))
        return tuple(tuple(sorted(levels[target], key=lambda policy: policy.ref.name)) for target in targets)

    def _control_policy(self, row: RowMapping, account: RowMapping) -> StoredPolicy:
        owner = (row["organization_id"], row["kind"], row["id"])
        arn = control_policy_arn(self._partition, account["management_account"], *owner)
        return StoredPolicy(PolicyRef(row["name"], PolicyType[row["kind"]], arn, row["digest"]), row["text"])

    def resource(self, arn: str) -> ResourceRecord:
        row = next(iter(self._parts["resource"]), None)
        if row is None:
            return ResourceRecord(self.epoch, arn)
        policy, bound = self._resource_policy(arn, row), tuple((row["bindings"] or {}).values())
        return ResourceRecord(self.epoch, arn, row["account"], MappingProxyType(row["tags"]), policy, bound)

    def _resource_policy(self, arn: str, row: RowMapping) -> StoredPolicy | None:
        """Return the policy of a resource, with the current ARNs of the principals that it names (P-5)."""
        text = row["text"]
        if text is None:
            return None
        arns = {bound["id"]: row_arn(self._partition, bound) for bound in self._parts["bound"]}
        present = current_text(text, row["bindings"] or {}, arns.get)
        if present is not text:
            return StoredPolicy.of(arn, PolicyType.RESOURCE, None, present)
        return StoredPolicy(PolicyRef(arn, PolicyType.RESOURCE, None, row["digest"]), text)


def inline_policy(owner: RowMapping, row: RowMapping) -> StoredPolicy:
    """Return an inline policy, named like `user/ann/Read`."""
    name = f"{owner['kind']}/{owner['name']}/{row['name']}"
    return StoredPolicy(PolicyRef(name, PolicyType.IDENTITY, None, row["digest"]), row["text"])


def managed_policy(partition: str, policy: RowMapping, version: RowMapping, type: PolicyType) -> StoredPolicy:
    """Return a version of a managed policy, used as an identity-based policy or as a boundary."""
    arn = iam_arn(partition, policy["account"], "policy", policy["path"], policy["name"])
    return StoredPolicy(PolicyRef(policy["name"], type, arn, version["digest"]), version["text"])
