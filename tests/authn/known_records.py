"""A store in memory for the tests of known callers, and requests that are verified with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from iam_guard.authn.caller_cache import CallerCache
from iam_guard.authn.credential_verifier import Authenticator
from iam_guard.authn.known_credentials import KnownCredentials
from iam_guard.authn.signatures.accepted_scope import AcceptedScope
from iam_guard.errors import CacheMiss, IamGuardError
from iam_guard.model.account import AccountState
from iam_guard.model.credential import AccessKey, ApiKey, Session
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.cache.cache_regions import names_of
from iam_guard.store.cache.generations import Generations, Held
from iam_guard.store.protocol import AccountRecord
from tests.authn.signing import NOW, Received


class MemoryRecords:
    """Keys by id, as `CachedStore` caches them. A poll is due while `is_due`."""

    def __init__(self, *records: AccessKey | ApiKey) -> None:
        self.is_due = False
        self._records = {record.id: record for record in records}
        self._account_states: dict[str, AccountState] = {}
        self._generations = Generations()
        self._state = object()

    @property
    def cache_only(self) -> MemoryRecords:
        return self

    def state(self) -> object:
        if self.is_due:
            raise CacheMiss
        return self._state

    def hold(self, names: Iterable[str]) -> Held:
        return self._generations.of(names)

    def access_key(self, id: str) -> AccessKey | None:
        record = self._records.get(id)
        return record if isinstance(record, AccessKey) else None

    def api_key(self, id: str) -> ApiKey | None:
        record = self._records.get(id)
        return record if isinstance(record, ApiKey) else None

    def account(self, id: str) -> AccountRecord:
        return AccountRecord(0, id, exists=True, state=self._account_states.get(id, AccountState.ACTIVE))

    def set_account_state(self, id: str, state: AccountState) -> None:
        """Change the state of an account."""
        self._account_states[id] = state
        self._generations.end([f"account:{id}"])
        self._state = object()

    def change(self, id: str, record: AccessKey | ApiKey | None) -> None:
        """Replace a record, or delete it."""
        before = self._records.pop(id, None)
        for known in (before, record):
            if known is not None:
                self._generations.end(names_of("", id, known))
        if record is not None:
            self._records[id] = record
        self._state = object()

    def touch(self) -> None:
        """Change something that no key depends on."""
        self._state = object()


class KnownFirst:
    """Verifies requests as a guard does: with the known callers first, then in full."""

    def __init__(
        self,
        records: MemoryRecords,
        *,
        open_session: Callable[[str], Session | None] | None = None,
        accepted: AcceptedScope | None = None,
        public_hosts: Sequence[str] = (),
        size: int = 100,
        **settings: int,
    ) -> None:
        self.known = KnownCredentials(records, Settings(cache_size=size, **settings))
        self.in_full = Authenticator(
            find_access_key=records.access_key,
            find_api_key=records.api_key,
            find_account=lambda principal: records.account(principal.account or ""),
            callers=CallerCache(),
            skew=300,
            public_hosts=public_hosts,
            open_session=open_session,
            accepted=accepted,
            known=self.known,
        )

    def attempt(self, received: Received, now: datetime = NOW, *, any_scope: bool = False) -> Principal | None:
        """Return the principal of a known caller."""
        return self.known.principal(received.request, lambda: _hash(received), now, any_scope=any_scope)

    def verify(self, received: Received, now: datetime = NOW, *, any_scope: bool = False) -> Principal:
        """Verify a request in full."""
        return self.in_full.authenticate(
            received.request, payload_hash=lambda: _hash(received), now=now, any_scope=any_scope
        )

    def learn(self, received: Received, now: datetime = NOW) -> Principal:
        """Verify a request in full, after which its caller is known."""
        principal = self.verify(received, now)
        assert self.attempt(received, now) is principal
        return principal


def outcome(verify: Callable[[], Principal]) -> object:
    """Return the principal and its credential, or the error, for comparisons."""
    try:
        principal = verify()
    except IamGuardError as error:
        return type(error), str(error)
    return principal, principal.credential


def _hash(received: Received) -> str:
    return hashlib.sha256(received.body).hexdigest()
