"""The context of one API operation: caller, account, time, and the store's records in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TypeAlias

from iam_guard.authn.federation.saml_identity import VerifiedAssertion
from iam_guard.authn.federation.web_identity import VerifiedToken
from iam_guard.authn.tokens.dpop import VerifiedProof
from iam_guard.model.credential import Session
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Resource
from iam_guard.store.database.records import Records, Row
from iam_guard.store.identifiers import PREFIXES, UniqueIds, iam_arn, root_arn
from iam_guard.store.schema import accounts
from iam_guard.store.sealing import Sealer

Input: TypeAlias = Mapping[str, Any]
"""Input members of an operation by the model's names. Absent members have no key."""
Output: TypeAlias = dict[str, Any]
"""Output members of an operation by the model's names. None marks an absent member; times are aware datetimes."""


class VerifiedGrant(NamedTuple):
    """A code or refresh token of a session of a tool, with the verified proof of the tool's key."""

    account: str
    session_id: str
    proof: VerifiedProof
    user_agent: str


Verified: TypeAlias = VerifiedToken | VerifiedAssertion | VerifiedGrant
"""What identifies the caller of an unsigned operation."""


class SealSession(Protocol):
    """Seals a session into a session token of at least `at_least` characters."""

    def __call__(self, session: Session, *, at_least: int = 0) -> str: ...


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """One call of one operation. `account` is the caller's account; `now` is in whole seconds since 1970."""

    caller: Principal
    account: str
    partition: str
    now: int
    records: Records = field(repr=False)
    sealer: Sealer = field(repr=False)
    ids: UniqueIds = field(repr=False)
    seal_session: SealSession = field(repr=False)
    issuer_url: str = ""
    """Base URL of the identity token issuers; empty if the setting is not set."""
    verified_token: Verified | None = field(default=None, repr=False)
    """What identifies the caller of an unsigned call: a token, a SAML assertion, or the grant of a tool."""
    app_services: frozenset[str] = frozenset()
    """The service prefixes that the application declares."""
    region: str = "us-east-1"
    """The region in the ARNs of what the call creates."""
    prepared: object = field(default=None, repr=False)
    """What the operation has prepared outside of the transaction, such as a hashed password."""

    @property
    def is_root(self) -> bool:
        return self.caller.type is PrincipalType.ROOT

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    @property
    def root_arn(self) -> str:
        return root_arn(self.partition, self.account)

    def arn(self, kind: str, path: str, name: str) -> str:
        """Return the ARN of an entity of the account (P-1)."""
        return iam_arn(self.partition, self.account, kind, path, name)

    def resource(self, arn: str, row: Row | None = None) -> Resource:
        """Return a resource of the account, with the tags of its row."""
        return Resource(arn, account=self.account, tags={} if row is None else row["tags"])

    def account_value(self, column: str) -> Any:
        """Return a column of the account; None if the account was deleted."""
        account = self.records.one(accounts, id=self.account)
        return None if account is None else account[column]

    def new_id(self, kind: str, names: str) -> str:
        """Return a new unique id with the prefix of `kind` (P-4). A derived id is computed from `names`."""
        return self.ids(PREFIXES[kind], f"{self.account}/{kind}/{names}")


def instant(seconds: int | None) -> datetime | None:
    """Convert stored seconds since 1970 to an aware datetime; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
