"""A cache of OIDC issuers' keys (OpenID Connect Discovery 1.0).

An issuer's keys are fetched for its first token, and again once they are `refresh` seconds old or a token names an
unknown key. INVARIANT: at least `cooldown` seconds pass between two attempts at one issuer, whatever tokens arrive, so
that clients cannot make us flood an issuer. One thread fetches; threads that need a missing key wait for it, all others
use the cached keys. While the issuer is unreachable, cached keys are used until they are `max_staleness` seconds old.

Callers must ask for registered issuers only. The discovery document must name exactly this issuer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cachetools import LRUCache

from iam_guard.authn.tokens.jws import IssuerKeySet, is_signed, read_key_set
from iam_guard.authn.tokens.oidc_token import Token, read_members
from iam_guard.errors import IamGuardError, IdentityProviderUnavailable, InvalidIdentityToken
from iam_guard.forking import fork_safe_lock, on_fork

_log = logging.getLogger("iam_guard.authn")

MAX_ISSUERS: Final = 1000
MAX_WAITING: Final = 20
"""Maximum threads waiting for one issuer, so that a slow issuer does not block all threads."""
MAX_WAITING_FOR_ALL: Final = 30
"""Maximum threads waiting for all issuers together. An account has at most as many of these places as it leaves free,
so that slow issuers of one account refuse its own tokens only."""
DISCOVERY: Final = "/.well-known/openid-configuration"
_NO_KEY: Final = (
    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity "
    "documentation for requirements"
)


class Intervals(NamedTuple):
    """The cache intervals in seconds; see the settings `oidc_refresh`, `oidc_cooldown`, `oidc_max_staleness`."""

    refresh: float = 900.0
    cooldown: float = 15.0
    max_staleness: float = 86_400.0


@dataclass(slots=True)
class _Issuer:
    """The cached state of one issuer. The thread that fetches owns the lock `fetching`."""

    keys: IssuerKeySet | None = None
    loaded: float = 0.0
    tried: float | None = None
    failure: IamGuardError | None = None
    waiting: int = 0
    fetching: threading.Lock = field(default_factory=threading.Lock)


class IssuerKeys:
    """The keys of all issuers, safe to share between threads. `fetch` returns the body at a URL of an issuer."""

    def __init__(
        self,
        fetch: Callable[[str, str], bytes],
        intervals: Intervals = Intervals(),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._intervals = intervals
        self._clock = clock
        self._issuers: LRUCache[str, _Issuer] = LRUCache(MAX_ISSUERS)
        self._lock = fork_safe_lock()
        self._waiting = 0
        self._waiting_of: dict[str, int] = {}
        on_fork(self)

    def begin_in_child(self) -> None:
        """Drop the parent's state: its fetching threads do not exist in the child."""
        self._issuers.clear()
        self._waiting = 0
        self._waiting_of.clear()

    def check_signature(self, token: Token, account: str | None = None) -> None:
        """Verify the issuer's signature. Raises `InvalidIdentityToken`, `IdentityProviderUnavailable`.

        `account` is the one whose provider the token is for: its requests share places for waiting.
        """
        candidates = self._keys_for(token, account).candidates(token)
        if not candidates:
            raise InvalidIdentityToken(_NO_KEY)
        if not is_signed(token, candidates):
            raise InvalidIdentityToken("The signature of the token is not that of its issuer")

    def _keys_for(self, token: Token, account: str | None) -> IssuerKeySet:
        with self._lock:
            issuer = self._issuers.setdefault(token.issuer, _Issuer())
        started = self._clock()
        keys = issuer.keys
        if keys is None or not keys.candidates(token):
            with self._place(issuer, account), issuer.fetching:
                if self._may_try(issuer, started):
                    self._load(token.issuer, issuer)
        elif started - issuer.loaded >= self._intervals.refresh and issuer.fetching.acquire(blocking=False):
            try:
                if self._may_try(issuer, started):
                    self._load(token.issuer, issuer)
            finally:
                issuer.fetching.release()
        return self._usable_keys(issuer)

    @contextmanager
    def _place(self, issuer: _Issuer, account: str | None) -> Iterator[None]:
        """Take a place for waiting. Raises `IdentityProviderUnavailable` if none is left, or none for the account."""
        with self._lock:
            free = MAX_WAITING_FOR_ALL - self._waiting
            own = 0 if account is None else self._waiting_of.get(account, 0)
            if issuer.waiting >= MAX_WAITING or own >= free:
                raise IdentityProviderUnavailable("too many requests are waiting for the identity provider")
            self._count(issuer, account, 1)
        try:
            yield
        finally:
            with self._lock:
                self._count(issuer, account, -1)

    def _count(self, issuer: _Issuer, account: str | None, change: int) -> None:
        """Count a waiting thread. The caller must hold the lock."""
        issuer.waiting += change
        self._waiting += change
        if account is not None:
            self._waiting_of[account] = self._waiting_of.get(account, 0) + change
            if not self._waiting_of[account]:
                del self._waiting_of[account]

    def _may_try(self, issuer: _Issuer, started: float) -> bool:
        """Return whether to fetch: not if another thread did since `started` or within the cooldown."""
        return issuer.tried is None or (
            issuer.tried <= started and self._clock() - issuer.tried >= self._intervals.cooldown
        )

    def _load(self, name: str, issuer: _Issuer) -> None:
        try:
            issuer.keys = self._fetch_keys(name)
        except (InvalidIdentityToken, IdentityProviderUnavailable) as failure:
            issuer.failure = failure
            _log.warning("cannot fetch the keys of %s: %s", name, failure.message)
        else:
            issuer.failure, issuer.loaded = None, self._clock()
        issuer.tried = self._clock()

    def _usable_keys(self, issuer: _Issuer) -> IssuerKeySet:
        keys, failure = issuer.keys, issuer.failure
        if keys is not None and self._clock() - issuer.loaded < self._intervals.max_staleness:
            return keys
        raise type(failure or _UNREACHABLE)((failure or _UNREACHABLE).message)

    def _fetch_keys(self, name: str) -> IssuerKeySet:
        """Fetch an issuer's keys by discovery. Errors do not reveal its response."""
        try:
            document = read_members(self._fetch(name.rstrip("/") + DISCOVERY, name))
            address = document.get("jwks_uri")
            if document.get("issuer") != name or not isinstance(address, str):
                raise InvalidIdentityToken(_NO_KEY)
            return read_key_set(self._fetch(address, name))
        except ValueError:
            raise InvalidIdentityToken(_NO_KEY) from None


_UNREACHABLE: Final = IdentityProviderUnavailable("the identity provider cannot be reached")
