"""What a server has for all calls, and the context of one API operation in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias, cast

from iam_guard.administration.sharing import ResourceSharing
from iam_guard.audit.writer.trail_writer import TrailConfig
from iam_guard.authn.federation.saml_identity import VerifiedAssertion
from iam_guard.authn.federation.web_identity import VerifiedToken
from iam_guard.authn.people.passwords.passwords import PasswordHasher, shared_hasher
from iam_guard.authn.tokens.assertion_verifier import AssertionVerifier
from iam_guard.authn.tokens.dpop import VerifiedProof
from iam_guard.authn.tokens.token_verifier import TokenVerifier
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Resource
from iam_guard.settings import Settings
from iam_guard.store.database.records import Records, Row
from iam_guard.store.identifiers import PREFIXES, iam_arn, root_arn
from iam_guard.store.protocol import RecordStore, SourceStore
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


@dataclass(frozen=True)
class ApiServer:
    """What a server has for all calls of all services."""

    store: RecordStore = field(repr=False)
    issuer_url: str = ""
    """Base URL of the identity token issuers; empty if the setting is not set."""
    tokens: TokenVerifier | None = field(default=None, repr=False)
    assertions: AssertionVerifier | None = field(default=None, repr=False)
    passwords: PasswordHasher = field(default=shared_hasher(for_writers=True), repr=False)
    region: str = "us-east-1"
    """The region in the ARNs of what calls create."""
    catalogues: Sequence[Catalogue] = field(default=(), repr=False)
    """What the application declares about its services."""
    trail: TrailConfig | None = field(default=None, repr=False)
    """The audit trail, if the server keeps one in a folder."""
    settings: Settings = field(default=Settings(), repr=False)
    sharing: ResourceSharing | None = field(default=None, repr=False)
    """What shares resources, as `guard.sharing`."""
    with_digests: bool = False
    """Whether results have the digests of policy documents, for the audit record."""

    @property
    def source(self) -> SourceStore:
        """The store itself, past its cache."""
        return cast(SourceStore, getattr(self.store, "behind", self.store))


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """One call of one operation. `account` is the caller's account; `now` is in whole seconds since 1970."""

    server: ApiServer
    caller: Principal
    account: str
    now: int
    records: Records = field(repr=False)
    verified_token: Verified | None = field(default=None, repr=False)
    """What identifies the caller of an unsigned call: a token, a SAML assertion, or the grant of a tool."""
    prepared: object = field(default=None, repr=False)
    """What the operation has prepared outside of the transaction, such as a hashed password."""

    @property
    def partition(self) -> str:
        return self.server.store.partition

    @property
    def sealer(self) -> Sealer:
        return self.server.store.sealer

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
        return self.server.store.ids(PREFIXES[kind], f"{self.account}/{kind}/{names}")


def instant(seconds: int | None) -> datetime | None:
    """Convert stored seconds since 1970 to an aware datetime; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
