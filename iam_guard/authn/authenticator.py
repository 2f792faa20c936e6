"""The authenticators of one guard, for keys, sessions, OIDC tokens and client certificates.

There are two over the same caches: one that waits for the store and for issuers, and one for event loops, which uses
caches only and raises `CacheMiss` otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial

from iam_guard.authn.caller_cache import CallerCache
from iam_guard.authn.credential_verifier import Authenticator
from iam_guard.authn.federation.bearer_tokens import BearerTokens
from iam_guard.authn.federation.certificate_session import CertificateSessions
from iam_guard.authn.federation.role_session import TrustQuestion
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.known_credentials import known_credentials
from iam_guard.authn.presented_credentials import (
    AnyCredential,
    CertificateCredential,
    SigV4Credential,
    TokenCredential,
    claim_of,
)
from iam_guard.authn.signatures.accepted_scope import AcceptedScope
from iam_guard.authn.signatures.signature_replays import SignatureReplays
from iam_guard.authn.tokens.temporary_credentials import SessionTokenCache
from iam_guard.authn.tokens.token_verifier import TokenVerifier
from iam_guard.errors import CacheMiss, StoreUnavailable
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.protocol import AccountRecord

Decide = Callable[[Call | None, Principal, TrustQuestion], Decision]
"""Decides with a role's trust policy about a federated identity."""


class Authenticators:
    """The two authenticators of a guard; safe to share between threads."""

    def __init__(
        self,
        store: CachedStore,
        settings: Settings,
        decide: Decide,
        clock: Callable[[], datetime],
        signing_names: Iterable[frozenset[str]] = (),
    ) -> None:
        services: frozenset[str] = frozenset().union(*signing_names)
        self._store = store
        self._decide = decide
        self._clock = clock
        self._callers = CallerCache(settings.cache_size)
        self.known = known_credentials(store, settings)
        """The callers of earlier requests, which are accepted again without the authenticators; None if not enabled."""
        self.tokens = TokenVerifier(settings)
        self._bearers = BearerTokens(store, self.tokens, settings)
        self._certificates = CertificateSessions(
            store, decide, region=settings.region, clock=clock, size=settings.cache_size
        )
        self.waiting = Authenticator(
            find_access_key=store.access_key,
            find_api_key=store.api_key,
            find_account=self._account,
            callers=self._callers,
            skew=settings.clock_skew,
            api_skew=settings.api_clock_skew,
            public_hosts=settings.public_hosts,
            max_header=settings.max_header,
            open_session=SessionTokenCache(store.open_session, settings.cache_size).session,
            admit_token=self._token_session,
            find_certificate_session=self._certificates.principal,
            accepted=AcceptedScope((settings.region, *settings.regions), services),
            replays=SignatureReplays(settings.replay_memory) if settings.replay_memory else None,
            known=self.known,
        )
        self.cache_only = replace(
            self.waiting,
            find_access_key=store.cache_only.access_key,
            find_api_key=store.cache_only.api_key,
            find_account=lambda principal: store.cache_only.account(principal.account or ""),
            admit_token=self._cached_token_session,
            find_certificate_session=self._cached_certificate_session,
        )

    def precheck(
        self, request: HttpRequest, credential: SigV4Credential, stated: str | None, *, cache_only: bool = False
    ) -> None:
        """Run the checks that need no body; see `Authenticator.precheck`."""
        (self.cache_only if cache_only else self.waiting).precheck(request, credential, stated, now=self._clock())

    def has_seen(self, credential: AnyCredential) -> bool:
        """Return whether a key is in the cache of verified callers; true for other kinds of credentials."""
        claim = claim_of(credential)
        return claim.kind not in ("sigv4", "api-key") or self._callers.has_verified(claim.id or "")

    def _account(self, principal: Principal) -> AccountRecord:
        """Return the account of a principal; load it with the principal, whose record a decision reads next."""
        account = principal.account or ""
        try:
            self._store.load_decision(principal, (account,), None)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001, S110  the decision meets it again, and is a denial
            pass
        return self._store.account(account)

    def _token_session(
        self, credential: TokenCredential, request: HttpRequest, call: Call | None, now: datetime
    ) -> Principal:
        return self._bearers.principal(credential, request, now=now, decide=partial(self._decide, call))

    def _cached_token_session(
        self, credential: TokenCredential, request: HttpRequest, call: Call | None, now: datetime
    ) -> Principal:
        if not self._bearers.is_cached(credential, request, now):
            raise CacheMiss
        return self._token_session(credential, request, call, now)

    def _cached_certificate_session(self, credential: CertificateCredential, call: Call | None) -> Principal:
        if not self._certificates.is_cached(credential, call):
            raise CacheMiss
        return self._certificates.principal(credential, call)
