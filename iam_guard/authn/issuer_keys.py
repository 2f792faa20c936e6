"""The keys of OIDC issuers: found by discovery, remembered, fetched anew (OpenID Connect Discovery 1.0).

The strategy. An issuer's keys are fetched when a token first needs them, and again once they are `refresh` seconds old
or a token names a key that is not among them. INVARIANT: between two attempts at one issuer lie at least `cooldown`
seconds, whatever tokens come in, so that nobody can make us knock at an issuer's door. One thread fetches; who needs a
key that is not there yet waits for it, everybody else goes on with the keys that are there. While the issuer cannot be
reached the old keys stay good until they are `max_staleness` seconds old.

Only issuers that somebody registered are asked about here; that is the caller's promise. What an issuer answers must be
its own: the document names the issuer itself, letter by letter.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cachetools import LRUCache

from iam_guard.authn.jws import IssuerKeySet, is_signed, read_key_set
from iam_guard.authn.oidc_token import Token, read_members
from iam_guard.errors import IamGuardError, IdentityProviderUnavailable, InvalidIdentityToken
from iam_guard.forking import fork_safe_lock, on_fork

_log = logging.getLogger("iam_guard.authn")

MAX_ISSUERS: Final = 1000
MAX_WAITING: Final = 20
"""Threads that wait for one issuer; an issuer that answers slowly must not hold them all."""
MAX_WAITING_FOR_ALL: Final = 30
"""Threads that wait for issuers at all; nor must several of them."""
DISCOVERY: Final = "/.well-known/openid-configuration"
_NO_KEY: Final = (
    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity "
    "documentation for requirements"
)


class Intervals(NamedTuple):
    """How long keys are good, in seconds; see the settings of the same names."""

    refresh: float = 900.0
    cooldown: float = 15.0
    max_staleness: float = 86_400.0


@dataclass(slots=True)
class _Issuer:
    """What is known of one issuer. `fetching` is held by the thread that fetches."""

    keys: IssuerKeySet | None = None
    loaded: float = 0.0
    tried: float | None = None
    failure: IamGuardError | None = None
    waiting: int = 0
    fetching: threading.Lock = field(default_factory=threading.Lock)


class IssuerKeys:
    """Safe to share between threads. `fetch` gives the body at a URL on behalf of an issuer."""

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
        on_fork(self)

    def begin_in_child(self) -> None:
        """Fetch anew: whatever the parent's threads are fetching arrives there."""
        self._issuers.clear()
        self._waiting = 0

    def check_signature(self, token: Token) -> None:
        """Refuse a token that its issuer has not signed.

        Raises `InvalidIdentityToken`, `IdentityProviderUnavailable`.
        """
        fitting = self._keys_for(token).fitting(token)
        if not fitting:
            raise InvalidIdentityToken(_NO_KEY)
        if not is_signed(token, fitting):
            raise InvalidIdentityToken("The signature of the token is not that of its issuer")

    def _keys_for(self, token: Token) -> IssuerKeySet:
        with self._lock:
            issuer = self._issuers.setdefault(token.issuer, _Issuer())
        asked = self._clock()
        keys = issuer.keys
        if keys is None or not keys.fitting(token):
            self._wait_for(token.issuer, issuer, asked)
        elif asked - issuer.loaded >= self._intervals.refresh and issuer.fetching.acquire(blocking=False):
            try:
                if self._may_try(issuer, asked):
                    self._load(token.issuer, issuer)
            finally:
                issuer.fetching.release()
        return self._good_keys(issuer)

    def _wait_for(self, name: str, issuer: _Issuer, asked: float) -> None:
        """Fetch the keys, or wait until another thread has. Raises `IdentityProviderUnavailable` for a long queue."""
        with self._lock:
            if issuer.waiting >= MAX_WAITING or self._waiting >= MAX_WAITING_FOR_ALL:
                raise IdentityProviderUnavailable("too many tokens wait for the identity provider")
            issuer.waiting += 1
            self._waiting += 1
        try:
            with issuer.fetching:
                if self._may_try(issuer, asked):
                    self._load(name, issuer)
        finally:
            with self._lock:
                issuer.waiting -= 1
                self._waiting -= 1

    def _may_try(self, issuer: _Issuer, asked: float) -> bool:
        """Return whether to fetch; not when somebody else did while we waited, or just before. `fetching` is held."""
        return issuer.tried is None or (
            issuer.tried <= asked and self._clock() - issuer.tried >= self._intervals.cooldown
        )

    def _load(self, name: str, issuer: _Issuer) -> None:
        try:
            issuer.keys = self._fetched(name)
        except (InvalidIdentityToken, IdentityProviderUnavailable) as failure:
            issuer.failure = failure
            _log.warning("the keys of %s cannot be had: %s", name, failure.message)
        else:
            issuer.failure, issuer.loaded = None, self._clock()
        issuer.tried = self._clock()

    def _good_keys(self, issuer: _Issuer) -> IssuerKeySet:
        keys, failure = issuer.keys, issuer.failure
        if keys is not None and self._clock() - issuer.loaded < self._intervals.max_staleness:
            return keys
        raise type(failure or _UNREACHABLE)((failure or _UNREACHABLE).message)

    def _fetched(self, name: str) -> IssuerKeySet:
        """Find the keys of an issuer; what it answers is not told to anybody."""
        try:
            document = read_members(self._fetch(name.rstrip("/") + DISCOVERY, name))
            address = document.get("jwks_uri")
            if document.get("issuer") != name or not isinstance(address, str):
                raise InvalidIdentityToken(_NO_KEY)
            return read_key_set(self._fetch(address, name))
        except ValueError:
            raise InvalidIdentityToken(_NO_KEY) from None


_UNREACHABLE: Final = IdentityProviderUnavailable("the identity provider cannot be reached")
