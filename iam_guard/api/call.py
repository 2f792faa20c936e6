"""What an operation works with: who calls, in which account, when, and the rows in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

from iam_guard.authn.federation.web_identity import VerifiedToken
from iam_guard.model.credential import Session
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.store.identifiers import PREFIXES, UniqueIds
from iam_guard.store.records import Records
from iam_guard.store.sealing import Sealer

Input: TypeAlias = Mapping[str, Any]
"""The members of an operation's input, by the model's names; what was not given has no key."""
Output: TypeAlias = dict[str, Any]
"""The members of its output. None stands for a member that is absent; instants are aware datetimes."""


class SealSession(Protocol):
    """Makes the session token of temporary credentials, of so many characters or more."""

    def __call__(self, session: Session, *, at_least: int = 0) -> str: ...


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """One call of one operation. `account` is the one operated on, the caller's; `now` is in whole seconds."""

    caller: Principal
    account: str
    partition: str
    now: int
    records: Records = field(repr=False)
    sealer: Sealer = field(repr=False)
    ids: UniqueIds = field(repr=False)
    seal_session: SealSession = field(repr=False)
    issuer_url: str = ""
    """Below which the issuers of identity tokens are; empty where nobody said."""
    vouched: VerifiedToken | None = field(default=None, repr=False)
    """The token that the call shows instead of a signature, verified; of the operations that take one."""
    app_services: frozenset[str] = frozenset()
    """The prefixes of the services that the application declares."""

    @property
    def is_root(self) -> bool:
        return self.caller.type is PrincipalType.ROOT

    def new_id(self, kind: str, names: str) -> str:
        """Make a unique id with the prefix of a kind (rule P-4); `names` is what a derived id is made from."""
        return self.ids(PREFIXES[kind], f"{self.account}/{kind}/{names}")


def instant(seconds: int | None) -> datetime | None:
    """Return what an output says for a stored instant; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
