"""A Store around a Store in which a few policies are other ones, as a change file says (`policy_changes`).

Nothing is copied and nothing is kept: each answer is the one of the store behind, of its epoch, with the changes laid
over it, so what is changed behind shows here as well. It does not own the store behind and does not close it. A user,
group or role that a change names and that is no more, or a policy that is not attached any more, is passed over; when
it is opened all of them must be there. Trust policies stay what they are.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TypeAlias

from iam_guard.errors import StoreIsReadOnly
from iam_guard.model.arn import Arn
from iam_guard.model.credential import AccessKey, ApiKey
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.trust import CertificateTrust
from iam_guard.store.identifiers import fold, iam_arn
from iam_guard.store.policy_changes import PolicyChanges, holder_of
from iam_guard.store.protocol import (
    AccountRecord,
    DecisionRecords,
    PrincipalRecord,
    ResourceRecord,
    SourceStore,
    StoredPolicy,
)
from iam_guard.store.records import Records, Row
from iam_guard.store.schema import (
    attachments,
    identities,
    inline_policies,
    memberships,
    policies,
    policy_versions,
)
from iam_guard.store.store_proxy import StoreProxy

_Levels: TypeAlias = tuple[tuple[StoredPolicy, ...], ...] | None


class OverlaidStore(StoreProxy):
    """A `Store` around another one, which stays its opener's to close."""

    def __init__(self, inner: SourceStore, changes: PolicyChanges) -> None:
        super().__init__(inner)
        self._changes = changes
        self._open = threading.local()

    # --- what is other than behind -------------------------------------------------------------------------------

    def principal(self, principal: Principal) -> PrincipalRecord:
        if self._changes.holders:
            with self.at_once():
                record = self._inner.principal(principal)
                with self._inner.viewing() as records:
                    record = replace(record, identity=tuple(self._held(records, record)))
        else:
            record = self._inner.principal(principal)
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
        record = self._inner.account(account_id)
        return replace(record, scps=self._levels(record.scps), rcps=self._levels(record.rcps))

    def resource(self, arn: str) -> ResourceRecord:
        record = self._inner.resource(arn)
        text = self._changes.replaced.get(arn)
        if text is None or record.account is None:
            return record
        return replace(record, policy=_stored(arn, PolicyType.RESOURCE, None, text))

    def _levels(
        self, levels: tuple[tuple[StoredPolicy, ...], ...] | None
    ) -> tuple[tuple[StoredPolicy, ...], ...] | None:
        return None if levels is None else tuple(tuple(map(self._replaced, level)) for level in levels)

    def _replaced(self, policy: StoredPolicy) -> StoredPolicy:
        text = None if policy.ref.arn is None else self._changes.replaced.get(policy.ref.arn)
        return policy if text is None else _stored(policy.ref.name, policy.ref.type, policy.ref.arn, text)

    # --- what a user or role holds -------------------------------------------------------------------------------

    def _held(self, records: Records, record: PrincipalRecord) -> list[StoredPolicy]:
        """Return the identity-based policies with those attached, detached, put and deleted."""
        held, holders = list(record.identity), self._holders(records, record)
        for change in self._changes.detached:
            if change.holder in holders and is_attached(records, holders[change.holder], change.policy):
                held.remove(next(each for each in held if each.ref.arn == change.policy))
        for change in self._changes.attached:
            if change.holder in holders and not is_attached(records, holders[change.holder], change.policy):
                held += self._managed(records, change.policy)
        for inline in self._changes.inline:
            if (row := holders.get(inline.holder)) is not None:
                name = f"{row['kind']}/{row['name']}/{inline.name}"
                held = [each for each in held if each.ref.arn is not None or fold(each.ref.name) != fold(name)]
                held += [] if inline.text is None else [_stored(name, PolicyType.IDENTITY, None, inline.text)]
        return sorted(held, key=lambda policy: policy.ref.name)

    def _holders(self, records: Records, record: PrincipalRecord) -> dict[str, Row]:
        """Return the rows of whoever holds policies for a caller, itself and its groups, by ARN."""
        row = row_of_holder(records, self.partition, _identity_arn(record.principal)) if record.exists else None
        if row is None:
            return {}
        groups = records.values_of(memberships, "group_id", user_id=row["id"])
        rows = [row, *records.all(identities, id=groups)]
        return {_arn(self.partition, each): each for each in rows}

    def _managed(self, records: Records, arn: str) -> Iterator[StoredPolicy]:
        """Return a managed policy: the new one of the file, else the one of the store, unless it is no more."""
        text = self._changes.new.get(arn)
        if text is None and (row := row_of_policy(records, arn)) is not None:
            version = records.one(policy_versions, policy_id=row["id"], version=row["default_version"])
            text = None if version is None else version["text"]
        if text is not None:
            yield _stored(arn.rpartition("/")[2], PolicyType.IDENTITY, arn, text)

    # --- what is as behind ---------------------------------------------------------------------------------------

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Answer from one state, as the store behind does; a block inside a block is one with it."""
        if getattr(self._open, "is_open", False):
            yield
            return
        with self._inner.at_once():
            self._open.is_open = True
            try:
                yield
            finally:
                self._open.is_open = False

    def epoch(self) -> int:
        return self._inner.epoch()

    def access_key(self, access_key_id: str) -> AccessKey | None:
        return self._inner.access_key(access_key_id)

    def api_key(self, api_key_id: str) -> ApiKey | None:
        return self._inner.api_key(api_key_id)

    def certificate_trust(self) -> CertificateTrust:
        return self._inner.certificate_trust()

    def changing(self) -> AbstractContextManager[Records]:
        raise StoreIsReadOnly(f"the store is one with `{self._changes.name}` laid over it, for deciding only")

    def refresh(self) -> None:
        self._inner.refresh()

    def close(self) -> None:
        """Leave the store behind open, since others use it."""


# --- rows --------------------------------------------------------------------------------------------------------


def row_of_holder(records: Records, partition: str, arn: str) -> Row | None:
    """Find a user, group or role by its ARN, letter by letter."""
    named = holder_of(arn)
    if named is None:
        return None
    account, kind, name = named
    row = records.one(identities, account=account, kind=kind.value, folded=fold(name))
    return row if row is not None and _arn(partition, row) == arn else None


def _arn(partition: str, row: Row) -> str:
    return iam_arn(partition, row["account"], row["kind"], row["path"], row["name"])


def _identity_arn(principal: Principal) -> str:
    """Return the ARN of the user or role whose policies a caller has."""
    match principal.type:
        case PrincipalType.ASSUMED_ROLE:
            return principal.role_arn or ""
        case PrincipalType.FEDERATED_USER:
            return principal.user_arn or ""
        case _:
            return principal.arn


def row_of_policy(records: Records, arn: str) -> Row | None:
    """Find a managed policy by its ARN, letter by letter."""
    parsed = Arn.parse(arn)
    row = records.one(policies, account=parsed.account, folded=fold(arn.rpartition("/")[2]))
    is_it = row is not None and iam_arn(parsed.partition, parsed.account, "policy", row["path"], row["name"]) == arn
    return row if is_it else None


def is_attached(records: Records, holder: Row, arn: str) -> bool:
    """Return whether a managed policy is attached to a user, group or role."""
    policy = row_of_policy(records, arn)
    found = None if policy is None else records.one(attachments, identity_id=holder["id"], policy_id=policy["id"])
    return found is not None


def has_inline(records: Records, holder: Row, name: str) -> bool:
    """Return whether a user, group or role has an inline policy."""
    return records.one(inline_policies, identity_id=holder["id"], folded=fold(name)) is not None


def _stored(name: str, type: PolicyType, arn: str | None, text: str) -> StoredPolicy:
    return StoredPolicy(PolicyRef(name, type, arn, hashlib.sha256(text.encode()).hexdigest()), text)
