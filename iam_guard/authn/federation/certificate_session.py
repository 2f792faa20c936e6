"""Role sessions of client certificates, as in IAM Roles Anywhere.

The certificate is verified against the store's trust anchors. A profile in an anchor's account names the possible roles
and their terms. The role's trust policy decides, with the principal `rolesanywhere.amazonaws.com`, the anchor as
`aws:SourceArn`, and the certificate's attributes as tags. If several roles are possible, the caller must name one.

Sessions are cached by certificate fingerprint, requested role and source address, until the session, the certificate or
a revocation list expires, or a change affects the trust in certificates or the role. Refusals are not cached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeAlias

from cachetools import LRUCache

from iam_guard.authn.certificates.certificate import TrustedAuthorities, VerifiedCertificate
from iam_guard.authn.certificates.certificate_names import certificate_tags, common_name, session_name
from iam_guard.authn.federation.role_session import (
    FederatedIdentity,
    TrustQuestion,
    admit,
    find_role,
    session_principal,
)
from iam_guard.authn.presented_credentials import CertificateCredential
from iam_guard.errors import CacheMiss, InvalidInput, UntrustedCertificate
from iam_guard.forking import fork_safe_lock
from iam_guard.model.arn import account_of
from iam_guard.model.context import Given
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Credential, Issued, Principal
from iam_guard.model.request import Call
from iam_guard.model.trust import ROLES_ANYWHERE, CertificateProfile, CertificateTrust, TrustAnchor
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.cache.generations import Held, are_current
from iam_guard.store.cache.invalidation import trust_names

_Key: TypeAlias = tuple[str, str | None, str | None]
"""The certificate's fingerprint, the requested role, the source address (a trust policy may use it)."""


@dataclass(frozen=True, slots=True)
class _CachedSession:
    """A session, the trust it was made with, the generations its admission depends on, and its validity."""

    trust: CertificateTrust
    generations: Held
    principal: Principal
    since: datetime
    until: datetime


class _Choice(NamedTuple):
    anchor: TrustAnchor
    profile: CertificateProfile
    role: str


class CertificateSessions:
    """The certificate sessions of a guard, with their cache. Safe to share between threads."""

    def __init__(
        self,
        store: CachedStore,
        decide: Callable[[Call | None, Principal, TrustQuestion], Decision],
        *,
        region: str,
        clock: Callable[[], datetime],
        size: int,
    ) -> None:
        self._store = store
        self._decide = decide
        self._region = region
        self._clock = clock
        self._sessions: LRUCache[_Key, _CachedSession] = LRUCache(size)
        self._lock = fork_safe_lock()
        self._authorities: TrustedAuthorities | None = None

    def __len__(self) -> int:
        return len(self._sessions)

    def is_cached(self, credential: CertificateCredential, call: Call | None) -> bool:
        """Return whether `principal` would return without a query to the store."""
        try:
            trust = self._store.cache_only.certificate_trust()
        except CacheMiss:
            return False
        return self._cached(_key(credential, call), trust, self._clock()) is not None

    def principal(self, credential: CertificateCredential, call: Call | None) -> Principal:
        """Return the session of a certificate.

        Raises `UntrustedCertificate`, `AccessDenied` by the trust policy, `StoreUnavailable`, `DecisionUnavailable`.
        """
        now = self._clock()
        trust = self._store.certificate_trust()
        key = _key(credential, call)
        session = self._cached(key, trust, now)
        if session is None:
            session = self._create(credential, trust, now, call)
            if self._sessions.maxsize >= 1:
                with self._lock:
                    self._sessions[key] = session
        return session.principal

    def _cached(self, key: _Key, trust: CertificateTrust, now: datetime) -> _CachedSession | None:
        with self._lock:
            session = self._sessions.get(key)
        if session is None or not session.since <= now < session.until:
            return None
        # INVARIANT: the store returns the same object until a change invalidates it (`store/cache/invalidation`).
        return session if session.trust is trust and are_current(session.generations) else None

    def _create(
        self, credential: CertificateCredential, trust: CertificateTrust, now: datetime, call: Call | None
    ) -> _CachedSession:
        verified = self._trusted_authorities(trust).verify(credential.chain, now)
        choice = _only(list(_choices(verified, trust, credential.role)))
        if not choice.profile.is_whole:
            raise UntrustedCertificate("a session policy of the profile no longer exists")
        identity = self._federated_identity(verified, choice)
        generations = self._store.hold(
            trust_names(account_of(choice.role))
        )  # before reading: a concurrent change ends them
        with self._store.read_transaction() as records:
            stored = find_role(records, self._store.partition, choice.role)
        role = admit(identity, choice.role, stored, partial(self._decide, call))
        issued = now.replace(microsecond=0)
        until = min(issued + timedelta(seconds=min(choice.profile.seconds, role.max_seconds)), verified.until)
        terms = Issued(issued, until, source_identity=identity.source_identity)
        used = Credential("x509", credential.fingerprint, issued=terms)
        principal = session_principal(identity, role, self._store.partition, issued, used)
        return _CachedSession(trust, generations, principal, issued, until)

    def _trusted_authorities(self, trust: CertificateTrust) -> TrustedAuthorities:
        with self._lock:
            authorities = self._authorities
        if authorities is None or authorities.record is not trust:
            authorities = TrustedAuthorities(trust)
            with self._lock:
                self._authorities = authorities
        return authorities

    def _federated_identity(self, verified: VerifiedCertificate, choice: _Choice) -> FederatedIdentity:
        """Return the identity of a certificate. Raises `UntrustedCertificate` for invalid session contents."""
        tags = certificate_tags(verified.certificate, choice.profile.mappings)
        anchor = choice.anchor
        source = anchor.arn(self._store.partition, self._region)
        keys: dict[str, Given] = {"aws:SourceArn": source, "aws:SourceAccount": anchor.account}
        try:
            return FederatedIdentity(
                principal=replace(Principal.service(ROLES_ANYWHERE), tags=tags),
                action="sts:AssumeRole",
                session_name=session_name(verified.certificate),
                keys=keys,
                tags=tags,
                source_identity=common_name(verified.certificate),
                session_policies=choice.profile.session_policies,
            )
        except InvalidInput as error:
            message = f"{error.message}, in the certificate or among the profile's mappings"
            raise UntrustedCertificate(message) from None


def _key(credential: CertificateCredential, call: Call | None) -> _Key:
    return credential.fingerprint, credential.role, None if call is None else call.source_ip


def _choices(verified: VerifiedCertificate, trust: CertificateTrust, requested: str | None) -> Iterator[_Choice]:
    for anchor in verified.anchors:
        for profile in trust.profiles:
            if profile.account == anchor.account:
                for role in profile.roles:
                    if requested in (None, role):
                        yield _Choice(anchor, profile, role)


def _only(choices: list[_Choice]) -> _Choice:
    if not choices:
        raise UntrustedCertificate("no profile allows this certificate a session of the role")
    if len(choices) > 1:
        has_roles = len({choice.role for choice in choices}) > 1
        what = "the role in the header X-Iam-Guard-Role" if has_roles else "one trust anchor and one profile for it"
        raise UntrustedCertificate(f"the certificate allows several sessions: expected {what}")
    return choices[0]
