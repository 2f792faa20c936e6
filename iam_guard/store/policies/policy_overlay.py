"""A Store around a Store that applies the changes of a change file (`policy_changes`) to a few policies.

Nothing is copied or cached: each record is the wrapped store's, of its epoch, with the changes applied, so changes of
the wrapped store show here as well. The wrapped store is not closed. When it is opened, all users, groups, roles and
policies that the changes refer to must exist; changes of those that are deleted or detached later are skipped. Trust
policies are not changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TypeAlias

from iam_guard.errors import StoreIsReadOnly
from iam_guard.model.arn import Arn
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import Principal
from iam_guard.store.cache.change_feed import ChangesSince, State
from iam_guard.store.database.records import Records, Row, row_arn
from iam_guard.store.identifiers import fold, iam_arn, identity_of_arn
from iam_guard.store.policies.policy_changes import PolicyChanges
from iam_guard.store.protocol import (
    AccountRecord,
    DecisionRecords,
    PrincipalRecord,
    ResourceRecord,
    SourceStore,
    StoredPolicy,
)
from iam_guard.store.schema import attachments, identities, inline_policies, memberships, policies, policy_versions
from iam_guard.store.store_proxy import StoreProxy

_Levels: TypeAlias = tuple[tuple[StoredPolicy, ...], ...] | None


class OverlaidStore(StoreProxy):
    """A `Store` around another one, which the caller must close."""

    def __init__(self, inner: SourceStore, changes: PolicyChanges) -> None:
        super().__init__(inner)
        self._changes = changes

    def principal(self, principal: Principal) -> PrincipalRecord:
        if self._changes.identities:
            with self.at_once():
                record = self.behind.principal(principal)
                with self.behind.read_transaction() as records:
                    record = replace(record, identity=tuple(self._identity_policies(records, record)))
        else:
            record = self.behind.principal(principal)
        boundary = None if record.boundary is None else self._replaced(record.boundary)
        return replace(record, identity=tuple(map(self._replaced, record.identity)), boundary=boundary)

    def decision_records(
        self, principal: Principal | None, account_ids: Collection[str], arn: str | None
    ) -> DecisionRecords:
        with self.at_once():
            return DecisionRecords(
                None if principal is None else self.principal(principal),
                {id: self.account(id) for id in account_ids},
                None if arn is None else self.resource(arn),
            )

    def account(self, account_id: str) -> AccountRecord:
        record = self.behind.account(account_id)
        return replace(record, scps=self._levels(record.scps), rcps=self._levels(record.rcps))

    def resource(self, arn: str) -> ResourceRecord:
        record = self.behind.resource(arn)
        text = self._changes.replaced.get(arn)
        if text is None or record.account is None:
            return record
        return replace(record, policy=StoredPolicy.of(arn, PolicyType.RESOURCE, None, text))

    def _levels(self, levels: _Levels) -> _Levels:
        return None if levels is None else tuple(tuple(map(self._replaced, level)) for level in levels)

    def _replaced(self, policy: StoredPolicy) -> StoredPolicy:
        text = None if policy.ref.arn is None else self._changes.replaced.get(policy.ref.arn)
        return policy if text is None else StoredPolicy.of(policy.ref.name, policy.ref.type, policy.ref.arn, text)

    def _identity_policies(self, records: Records, record: PrincipalRecord) -> list[StoredPolicy]:
        """Return the identity-based policies with the changes applied."""
        result, rows = list(record.identity), self._identity_rows(records, record)
        for change in self._changes.detached:
            if change.identity in rows and is_attached(records, rows[change.identity], change.policy):
                result.remove(next(policy for policy in result if policy.ref.arn == change.policy))
        for change in self._changes.attached:
            if change.identity in rows and not is_attached(records, rows[change.identity], change.policy):
                result += self._managed(records, change.policy)
        for inline in self._changes.inline:
            if (row := rows.get(inline.identity)) is not None:
                name = f"{row['kind']}/{row['name']}/{inline.name}"
                result = [policy for policy in result if policy.ref.arn or fold(policy.ref.name) != fold(name)]
                result += [] if inline.text is None else [StoredPolicy.of(name, PolicyType.IDENTITY, None, inline.text)]
        return sorted(result, key=lambda policy: policy.ref.name)

    def _identity_rows(self, records: Records, record: PrincipalRecord) -> dict[str, Row]:
        """Return the rows of the caller's identity and of its groups, by ARN."""
        row = row_of_identity(records, self.partition, record.principal.identity_arn) if record.exists else None
        if row is None:
            return {}
        groups = records.values_of(memberships, "group_id", user_id=row["id"])
        rows = [row, *records.all(identities, id=groups)]
        return {row_arn(self.partition, row): row for row in rows}

    def _managed(self, records: Records, arn: str) -> Iterator[StoredPolicy]:
        """Return a managed policy, of the change file or else of the store; nothing if it was deleted."""
        text = self._changes.new.get(arn)
        if text is None and (row := row_of_policy(records, arn)) is not None:
            version = records.one(policy_versions, policy_id=row["id"], version=row["default_version"])
            text = None if version is None else version["text"]
        if text is not None:
            yield StoredPolicy.of(arn.rpartition("/")[2], PolicyType.IDENTITY, arn, text)

    def changes(self, since: State | None) -> ChangesSince:
        """Return the wrapped store's changes. A changed policy may be attached here only: then all is invalid."""
        found = self.behind.changes(since)
        is_known = found.names is None or not any(name.startswith("policy:") for name in found.names)
        return found if is_known else found._replace(names=None, reason="change")

    def at_once(self) -> AbstractContextManager[int]:
        return self.behind.at_once()

    def write_transaction(self) -> AbstractContextManager[Records]:
        raise StoreIsReadOnly(f"the store is an overlay with the changes of `{self._changes.name}`: it is read-only")

    def close(self) -> None:
        """Do nothing: the wrapped store is closed by its owner."""


def row_of_identity(records: Records, partition: str, arn: str) -> Row | None:
    """Return the row of a user, group or role by its exact ARN; None if it does not exist."""
    parsed = identity_of_arn(arn)
    if parsed is None:
        return None
    account, kind, name = parsed
    row = records.one(identities, account=account, kind=kind.value, folded=fold(name))
    return row if row is not None and row_arn(partition, row) == arn else None


def row_of_policy(records: Records, arn: str) -> Row | None:
    """Return the row of a managed policy by its exact ARN; None if it does not exist."""
    parsed = Arn.parse(arn)
    row = records.one(policies, account=parsed.account, folded=fold(arn.rpartition("/")[2]))
    is_it = row is not None and iam_arn(parsed.partition, parsed.account, "policy", row["path"], row["name"]) == arn
    return row if is_it else None


def is_attached(records: Records, identity: Row, arn: str) -> bool:
    policy = row_of_policy(records, arn)
    found = None if policy is None else records.one(attachments, identity_id=identity["id"], policy_id=policy["id"])
    return found is not None


def has_inline(records: Records, identity: Row, name: str) -> bool:
    return records.one(inline_policies, identity_id=identity["id"], folded=fold(name)) is not None
