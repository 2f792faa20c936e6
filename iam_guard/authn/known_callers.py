"""Known callers: what an earlier, fully verified request established about a credential.

A fast path that only says yes. It returns the principal that the `Authenticator` would return for the same request, the
identical object; or None, and then the authenticator decides. So every refusal comes from the authenticator, which adds
the callers of the requests that it accepted. `known_signers` and `known_api_keys` say what a repeated request needs.

A caller is known while the generations of the records that it was derived from are current; they are not compared again
while the store is at the same state. When a poll of the store is due, no caller is known.

Timing reveals nothing about a key: whether it is known or not, an attempt hashes as many bytes as often, and does not
query the store.

    request ──> attempt ──> principal
                   │ None
                   └──────> Authenticator ──> principal, added for the next request
                                 └──────────> error
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

from iam_guard.authn.caller_cache import Caller
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import CacheMiss, StoreUnavailable
from iam_guard.forking import fork_safe_lock
from iam_guard.model.credential import AccessKey, ApiKey, Session
from iam_guard.store.cache.cache_regions import names_of
from iam_guard.store.cache.generations import Held, are_current
from iam_guard.store.protocol import AccountRecord

_FOREVER = datetime.max.replace(tzinfo=UTC)
MAX_NAME = 4096
"""Maximum bytes of the names of headers, and of another header, that an entry is found by."""
MAX_HEADERS = 100
"""Maximum number of headers that an entry is found by."""


class _CachedRecords(Protocol):
    """The cached answers of the store; raises `CacheMiss` where a query or a poll is needed."""

    def state(self) -> object: ...

    def access_key(self, id: str, /) -> AccessKey | None: ...

    def api_key(self, id: str, /) -> ApiKey | None: ...

    def account(self, id: str, /) -> AccountRecord: ...


class CallerStore(Protocol):
    """What is needed of `CachedStore`."""

    @property
    def cache_only(self) -> _CachedRecords: ...

    def hold(self, names: Iterable[str]) -> Held: ...


class KnownCaller:
    """A caller whose credential was verified."""

    __slots__ = ("expires", "generations", "principal", "state")

    def __init__(self, caller: Caller, generations: Held) -> None:
        self.principal = caller.principal
        self.expires = _end_of(caller.record)
        self.generations = generations
        self.state: object = None
        """The state of the store at which the generations were last found to be current."""


K = TypeVar("K", bound=Hashable)
C = TypeVar("C", bound=KnownCaller)


class KnownCallerCache(Generic[K, C]):
    """A bounded cache of known callers, safe to share between threads.

    Entries leave first in, first out, so that a hit changes nothing and needs no lock.
    """

    def __init__(self, store: CallerStore, maxsize: int, max_header: int) -> None:
        self._store = store
        self._state = store.cache_only.state
        self._maxsize = maxsize
        self._max_header = max_header
        self._known: dict[K, C] = {}
        self._lock = fork_safe_lock()

    def __len__(self) -> int:
        return len(self._known)

    def _current(self, key: K) -> C | None:
        """Return a known caller whose records are current; forget one whose records are not."""
        try:
            state = self._state()
        except (CacheMiss, StoreUnavailable):
            return None
        known = self._known.get(key)
        if known is None or known.state is state:
            return known
        if are_current(known.generations):
            known.state = state
            return known
        with self._lock:
            self._known.pop(key, None)
        return None

    @staticmethod
    def _headers(request: HttpRequest) -> dict[bytes, bytes] | None:
        """Return the headers of a request by name; None if an entry is not found by such names."""
        headers, names = dict(request.headers), b"".join([name for name, _ in request.headers])
        is_repeated = len(headers) != len(request.headers)
        if is_repeated or not names.islower() or len(names) > MAX_NAME or len(headers) > MAX_HEADERS:
            return None
        return headers

    def _add(self, key: K, known: C) -> None:
        with self._lock:
            self._known.pop(key, None)
            self._known[key] = known
            if len(self._known) > self._maxsize:
                del self._known[next(iter(self._known))]

    def _hold(self, caller: Caller) -> Held | None:
        """Return the generations that a caller depends on, among them that of its account.

        None unless its records are the store's current ones, and its account is active.
        """
        records = [record for record in (caller.record, caller.parent_key) if not isinstance(record, Session | None)]
        names: list[str] = []
        for record in records:
            names.extend(names_of("api_key" if isinstance(record, ApiKey) else "access_key", record.id, record))
        account = caller.principal.account or ""
        names.extend(names_of("account", account, None))
        held, cached = self._store.hold(names), self._store.cache_only
        try:
            if not cached.account(account).is_active:
                return None
            for record in records:
                find = cached.api_key if isinstance(record, ApiKey) else cached.access_key
                if find(record.id) is not record:  # read after `hold`: current now, or ended with the generations
                    return None
        except (CacheMiss, StoreUnavailable):
            return None
        return held


def _end_of(record: AccessKey | ApiKey | Session) -> datetime:
    """Return when a key or session expires."""
    return _FOREVER if isinstance(record, AccessKey) or record.expires is None else record.expires
