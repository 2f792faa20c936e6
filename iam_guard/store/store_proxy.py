"""The base of stores that wrap a store: forwards what not all of them do in their own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from iam_guard.model.credential import AccessKey, ApiKey, BrowserSession, Session
from iam_guard.model.trust import CertificateTrust
from iam_guard.store.cache.change_feed import ChangesSince, State
from iam_guard.store.credentials.last_used_rows import Use
from iam_guard.store.database.records import Records
from iam_guard.store.identifiers import UniqueIds
from iam_guard.store.protocol import ArnsPage, SourceStore
from iam_guard.store.sealing import Sealer


class StoreProxy:
    def __init__(self, inner: SourceStore) -> None:
        self.behind = inner
        """The wrapped store itself, for queries that must bypass the proxy."""

    @property
    def is_remote(self) -> bool:
        """Whether the store is on a server, which may hang. A store without this attribute is local."""
        return bool(getattr(self.behind, "is_remote", False))

    @property
    def sealer(self) -> Sealer:
        return self.behind.sealer

    @property
    def partition(self) -> str:
        return self.behind.partition

    @property
    def quotas(self) -> Mapping[str, int]:
        return self.behind.quotas

    @property
    def ids(self) -> UniqueIds:
        return self.behind.ids

    def epoch(self) -> int:
        return self.behind.epoch()

    def changes(self, since: State | None) -> ChangesSince:
        return self.behind.changes(since)

    def listen(self, _wake: Callable[[], object]) -> None:
        """Return None: a proxy around a store is polled."""

    def access_key(self, access_key_id: str) -> AccessKey | None:
        return self.behind.access_key(access_key_id)

    def api_key(self, api_key_id: str) -> ApiKey | None:
        return self.behind.api_key(api_key_id)

    def browser_session(self, digest: str) -> BrowserSession | None:
        return self.behind.browser_session(digest)

    def certificate_trust(self) -> CertificateTrust:
        return self.behind.certificate_trust()

    def resource_arns(self, since: State, after: str | None, limit: int) -> ArnsPage:
        return self.behind.resource_arns(since, after, limit)

    def seal_session(self, session: Session, *, at_least: int = 0) -> str:
        return self.behind.seal_session(session, at_least=at_least)

    def open_session(self, token: str) -> Session | None:
        return self.behind.open_session(token)

    def read_transaction(self) -> AbstractContextManager[Records]:
        return self.behind.read_transaction()

    def save_uses(self, uses: Sequence[Use]) -> None:
        self.behind.save_uses(uses)

    def refresh(self) -> None:
        self.behind.refresh()
