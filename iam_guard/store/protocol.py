"""The interface of the store, and the records that it returns.

Every record comes from one transaction and carries the epoch it was read at, so that a decision can be computed from
one state of all policy types (rule T-9). Those of a cache carry the `generations` of what they depend on: while these
are current, the record is valid at the cache's present state, whatever its epoch. Reading methods raise
`StoreUnavailable` when the store cannot be reached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from iam_guard.model.account import AccountState
from iam_guard.model.credential import AccessKey, ApiKey, BrowserSession, Session
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.trust import CertificateTrust
from iam_guard.store.cache.change_feed import ChangesSince, State
from iam_guard.store.cache.generations import Held
from iam_guard.store.credentials.last_used_rows import Use
from iam_guard.store.database.records import Records
from iam_guard.store.identifiers import UniqueIds
from iam_guard.store.sealing import Sealer

if TYPE_CHECKING:
    from iam_guard.store.cache.change_listener import ChangeListener


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """One policy document as text, with the reference that decisions name it by."""

    ref: PolicyRef
    text: str

    @classmethod
    def of(cls, name: str, type: PolicyType, arn: str | None, text: str) -> StoredPolicy:
        """Return a policy with the digest of its text."""
        return cls(PolicyRef(name, type, arn, hashlib.sha256(text.encode()).hexdigest()), text)


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
    is its management account (rules E-10, E-11), or the policy type is disabled. `state` is DELETING for a deleted
    account, too.
    """

    epoch: int
    id: str
    exists: bool
    organization: Organization | None = None
    scps: tuple[tuple[StoredPolicy, ...], ...] | None = None
    rcps: tuple[tuple[StoredPolicy, ...], ...] | None = None
    state: AccountState = AccountState.ACTIVE
    generations: Held = field(default=(), compare=False, repr=False)

    @property
    def is_active(self) -> bool:
        """Return whether the account exists and accepts its credentials."""
        return self.exists and self.state is AccountState.ACTIVE


@dataclass(frozen=True, slots=True)
class PrincipalRecord:
    """What a principal contributes to decisions.

    `exists` is False when the user or role is not in the store, or has another unique id than the caller. `principal`
    is the caller completed with unique id, role ARN with path, tags and `has_boundary` as stored (session tags of the
    caller win, rule S-21).
    """

    epoch: int
    exists: bool
    principal: Principal
    identity: tuple[StoredPolicy, ...] = ()
    boundary: StoredPolicy | None = None
    identity_id: str | None = None
    """The unique id of the user or role whose policies these are; None for the root user and where none exists."""
    generations: Held = field(default=(), compare=False, repr=False)

    def of(self, caller: Principal) -> PrincipalRecord:
        """Return the record for a caller of the same identity, with that caller's own session keys and credential."""
        stored = self.principal
        if stored.credential == caller.credential and stored.session == caller.session:
            return self
        return replace(self, principal=replace(stored, session=caller.session, credential=caller.credential))


@dataclass(frozen=True, slots=True)
class ResourceRecord:
    """A resource's owner account, tags, and attached policy (None: none)."""

    epoch: int
    arn: str
    account: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    policy: StoredPolicy | None = None
    bound: tuple[str, ...] = ()
    """The unique ids of the users and roles that the policy names (P-5)."""
    generations: Held = field(default=(), compare=False, repr=False)


class DecisionRecords(NamedTuple):
    """What one decision needs of the store, of one epoch. None stands for what was not requested."""

    principal: PrincipalRecord | None
    accounts: Mapping[str, AccountRecord]
    resource: ResourceRecord | None


class ArnsPage(NamedTuple):
    """ARNs of resources that have a record, and the changes since a state, of one snapshot."""

    changes: ChangesSince
    arns: Sequence[str]


class DecisionStore(Protocol):
    """What authentication by key and decisions read."""

    def access_key(self, access_key_id: str) -> AccessKey | None: ...

    def api_key(self, api_key_id: str) -> ApiKey | None: ...

    def principal(self, principal: Principal) -> PrincipalRecord:
        """Load a user (with groups), role session, federated user or root user of an account in this store.

        Not called for service and anonymous principals.
        """

    def account(self, account_id: str) -> AccountRecord: ...

    def resource(self, arn: str) -> ResourceRecord: ...


class StatedStore(DecisionStore, Protocol):
    """A store that knows its state: a cache, or answers of one transaction."""

    def state(self) -> State:
        """Return the state at which what it answers now is valid."""

    def is_at(self, state: State) -> bool:
        """Return whether that is still the object that `state` returned."""


class Store(DecisionStore, Protocol):
    """The narrow protocol; a cache is a Store around a Store."""

    def epoch(self) -> int:
        """Return the current epoch; every write raises it."""

    def browser_session(self, digest: str) -> BrowserSession | None:
        """Return the session of a token with this SHA-256, ended or not; None if its user or account is gone."""

    def certificate_trust(self) -> CertificateTrust:
        """Return the trust anchors and profiles for client certificates, of all accounts."""

    def refresh(self) -> None:
        """Check at once whether the stored state has changed (rule T-9)."""

    def close(self) -> None: ...


class RecordStore(Protocol):
    """What the services that change a store need of it."""

    @property
    def sealer(self) -> Sealer:
        """Return the sealer of its secrets."""

    @property
    def partition(self) -> str:
        """Return the partition of its ARNs."""

    @property
    def quotas(self) -> Mapping[str, int]:
        """Return its quotas by name."""

    @property
    def ids(self) -> UniqueIds:
        """Return the generator of its unique ids."""

    def seal_session(self, session: Session, *, at_least: int = 0) -> str:
        """Return the session token of temporary credentials, with a minimum number of characters; stores nothing."""

    def open_session(self, token: str) -> Session | None:
        """Return the session of a token, without a database query; None if this store did not seal the token.

        The expiry is not checked.
        """

    def read_transaction(self) -> AbstractContextManager[Records]:
        """Read rows in one transaction."""

    def write_transaction(self) -> AbstractContextManager[Records]:
        """Change rows in one transaction. Raises `StoreIsReadOnly` for a store that follows a file."""


class SourceStore(Store, RecordStore, Protocol):
    """A store without a cache, which can answer several queries from one snapshot."""

    def changes(self, since: State | None) -> ChangesSince:
        """Return what has changed since a state; None: no state is known."""

    def listen(self, wake: Callable[[], object]) -> ChangeListener | None:
        """Call a method in another thread after changes by any process; return None if the store can't notify."""

    def at_once(self) -> AbstractContextManager[int]:
        """Answer this thread's queries inside the block from one snapshot, of the epoch that the block gets.

        Nested blocks share it. `epoch` and `changes` must not be called there.
        """

    def decision_records(
        self, principal: Principal | None, account_ids: Collection[str], arn: str | None
    ) -> DecisionRecords:
        """Load a principal, accounts and a resource in one query, each as the method of that name does."""

    def resource_arns(self, since: State, after: str | None, limit: int) -> ArnsPage:
        """Load the next ARNs after one, in any fixed order; fewer than `limit` if there are no more."""

    def save_uses(self, uses: Sequence[Use]) -> None:
        """Save last-used records; the epoch stays, since no decision depends on them."""
