"""The door of the store: what the guard asks of it. Everything else about storing is private to the room.

Every answer comes from one transaction and carries the epoch it was read at, so that a decision can be computed from
one state of all policy types (rule T-9). Reading methods raise `StoreUnavailable` when the store cannot be reached.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from iam_guard.model.credential import AccessKey, ApiKey, Session
from iam_guard.model.decision import PolicyRef
from iam_guard.model.principal import Principal
from iam_guard.model.trust import CertificateTrust
from iam_guard.store.identifiers import UniqueIds
from iam_guard.store.last_used_rows import Use
from iam_guard.store.records import Records
from iam_guard.store.sealing import Sealer


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """One policy document as text, with the name by which a decision will name it."""

    ref: PolicyRef
    text: str


@dataclass(frozen=True, slots=True)
class Organization:
    """The account's place in its organization. `path` is `o-…/r-…/ou-…/` with a trailing slash (E.1)."""

    id: str
    path: str
    is_management: bool


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """What an account contributes to decisions.

    `scps` and `rcps` are levels, root first, each a tuple of policies; None where the account is in no organization,
    is its management account (rules E-10, E-11), or the policy type is disabled.
    """

    epoch: int
    id: str
    exists: bool
    organization: Organization | None = None
    scps: tuple[tuple[StoredPolicy, ...], ...] | None = None
    rcps: tuple[tuple[StoredPolicy, ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class PrincipalRecord:
    """What a principal contributes to decisions.

    `exists` is False when the user or role is not (any more) in the store, or has another unique id than the caller.
    `principal` is the caller completed with unique id, role ARN with path, tags and `has_boundary` as stored (session
    tags of the given principal win, rule S-21).
    """

    epoch: int
    exists: bool
    principal: Principal
    identity: tuple[StoredPolicy, ...] = ()
    boundary: StoredPolicy | None = None

    def of(self, caller: Principal) -> PrincipalRecord:
        """Return it for a caller of the same identity, with that caller's own session keys and credential."""
        known = self.principal
        if known.credential == caller.credential and known.session == caller.session:
            return self
        return replace(self, principal=replace(known, session=caller.session, credential=caller.credential))


@dataclass(frozen=True, slots=True)
class ResourceRecord:
    """What the store knows about a resource: owner account, tags, the policy attached to it (None: none)."""

    epoch: int
    arn: str
    account: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    policy: StoredPolicy | None = None


class DecisionRecords(NamedTuple):
    """What one decision needs of the store, of one epoch. None is for what was not asked for."""

    principal: PrincipalRecord | None
    accounts: Mapping[str, AccountRecord]
    resource: ResourceRecord | None


class Answers(Protocol):
    """What signing in by a key and deciding ask for."""

    def epoch(self) -> int:
        """Return the current epoch; every write raises it."""
        ...

    def access_key(self, access_key_id: str) -> AccessKey | None: ...

    def api_key(self, api_key_id: str) -> ApiKey | None: ...

    def principal(self, principal: Principal) -> PrincipalRecord:
        """Load a user (with groups), role session, federated user or root user of an account in this store.

        Not asked for service and anonymous principals.
        """
        ...

    def account(self, account_id: str) -> AccountRecord: ...

    def resource(self, arn: str) -> ResourceRecord: ...


class Store(Answers, Protocol):
    """The narrow protocol; a cache is a Store around a Store."""

    def certificate_trust(self) -> CertificateTrust:
        """Return whom client certificates are trusted for, of all accounts."""
        ...

    def refresh(self) -> None:
        """Look at once whether the state behind has changed (rule T-9)."""
        ...

    def close(self) -> None: ...


class RecordStore(Protocol):
    """What the services that change a store ask of it."""

    @property
    def sealer(self) -> Sealer:
        """Return what seals its secrets."""

    @property
    def partition(self) -> str:
        """Return the partition of its ARNs."""

    @property
    def ids(self) -> UniqueIds:
        """Return what makes its unique ids."""

    def seal_session(self, session: Session, *, at_least: int = 0) -> str:
        """Return the session token of temporary credentials, of so many characters or more; nothing is stored."""

    def open_session(self, token: str) -> Session | None:
        """Open a session token without asking the database; None for anything that this store did not seal so.

        Whether the session is still good is not looked at.
        """

    def viewing(self) -> AbstractContextManager[Records]:
        """Read rows in one transaction."""

    def changing(self) -> AbstractContextManager[Records]:
        """Change rows in one transaction. Raises `StoreIsReadOnly` for a store that follows a file."""


class SourceStore(Store, RecordStore, Protocol):
    """A store that remembers nothing, and so can answer several questions from one state."""

    def at_once(self) -> AbstractContextManager[None]:
        """Answer this thread's questions inside the block from one state; the epoch itself is not to be asked there."""
        ...

    def decision_records(
        self, principal: Principal | None, account_ids: Collection[str], arn: str | None
    ) -> DecisionRecords:
        """Load a principal, accounts and a resource, each as the method of its name does, in one query."""
        ...

    def keep_uses(self, uses: Sequence[Use]) -> None:
        """Keep what was used last; the epoch stays, since no decision depends on it."""
        ...
