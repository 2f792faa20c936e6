"""The way into one guard, with everything that it accepts: keys, sessions, tokens of OIDC providers, certificates.

There are two doors to the same rooms: one that waits for whoever has to be asked, and one for event loops, which knows
what is at hand and raises `CacheMiss` for all else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial

from iam_guard.authn.credential_verifier import (
    AcceptedScope,
    Authenticator,
    Callers,
    CertificateCredential,
    OpenedTokens,
    SignatureReplays,
    TokenCredential,
)
from iam_guard.authn.federation.bearer_tokens import BearerTokens
from iam_guard.authn.federation.certificate_session import CertificateSessions
from iam_guard.authn.federation.role_session import TrustQuestion
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import AnyCredential, ApiKeyCredential, SigV4Credential
from iam_guard.authn.token_verifier import TokenVerifier
from iam_guard.errors import CacheMiss
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from iam_guard.store.cached_store import CachedStore
from iam_guard.store.protocol import Answers

Decide = Callable[[Call | None, Principal, TrustQuestion], Decision]
"""Asks a role's trust policy about somebody whose identity was proved outside."""


class Authenticators:
    """Made once; safe to share between threads."""

    def __init__(
        self,
        store: CachedStore,
        settings: Settings,
        decide: Decide,
        clock: Callable[[], datetime],
        signing_names: Iterable[frozenset[str]] = (),
    ) -> None:
        self._settings = settings
        services: frozenset[str] = frozenset().union(*signing_names)
        self._accepted = AcceptedScope((settings.region, *settings.regions), services)
        self._decide = decide
        self._clock = clock
        self._callers = Callers(settings.cache_size)
        self._sessions = OpenedTokens(store.open_session, settings.cache_size)
        self.tokens = TokenVerifier(settings)
        self._bearers = BearerTokens(store, self.tokens, settings)
        self._certificates = CertificateSessions(
            store, decide, region=settings.region, clock=clock, size=settings.cache_size
        )
        self._replays = SignatureReplays(settings.replay_memory) if settings.replay_memory else None
        self.waiting = self._made(store, self._admitted, self._certified)
        self.cache_only = self._made(store.cache_only, self._admitted_from_cache, self._certified_from_cache)

    def _made(
        self,
        store: Answers,
        admit_token: Callable[[TokenCredential, HttpRequest, Call | None, datetime], Principal],
        find_certificate_session: Callable[[CertificateCredential, Call | None], Principal],
    ) -> Authenticator:
        settings = self._settings
        return Authenticator(
            find_access_key=store.access_key,
            find_api_key=store.api_key,
            callers=self._callers,
            skew=settings.clock_skew,
            public_hosts=settings.public_hosts,
            max_header=settings.max_header,
            open_session=self._sessions.session,
            admit_token=admit_token,
            find_certificate_session=find_certificate_session,
            accepted=self._accepted,
            replays=self._replays,
        )

    def recognise(
        self, request: HttpRequest, credential: SigV4Credential, stated: str | None, *, cache_only: bool = False
    ) -> None:
        """Raise what `authenticate` of a door would as far as no body is needed; see `Authenticator.recognise`."""
        (self.cache_only if cache_only else self.waiting).recognise(request, credential, stated, now=self._clock())

    def has_seen(self, credential: AnyCredential) -> bool:
        """Return whether a key has signed in before, as far as is remembered; true of credentials that are no keys."""
        match credential:
            case SigV4Credential():
                return self._callers.knows(credential.access_key_id)
            case ApiKeyCredential():
                return self._callers.knows(credential.id)
        return True

    def _admitted(
        self, credential: TokenCredential, request: HttpRequest, call: Call | None, now: datetime
    ) -> Principal:
        return self._bearers.principal(credential, request, now=now, decide=partial(self._decide, call))

    def _admitted_from_cache(
        self, credential: TokenCredential, request: HttpRequest, call: Call | None, now: datetime
    ) -> Principal:
        if not self._bearers.holds(credential, request, now):
            raise CacheMiss
        return self._admitted(credential, request, call, now)

    def _certified(self, credential: CertificateCredential, call: Call | None) -> Principal:
        return self._certificates.principal(credential, call)

    def _certified_from_cache(self, credential: CertificateCredential, call: Call | None) -> Principal:
        if not self._certificates.is_warm(credential, call):
            raise CacheMiss
        return self._certified(credential, call)
