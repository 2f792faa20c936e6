"""From a client certificate to a role session, as IAM Roles Anywhere makes one.

The certificate is verified against the trust anchors of the store; a profile of an anchor's account says for which role
it may stand and on which terms; the role's trust policy decides, with `rolesanywhere.amazonaws.com` for a principal,
`aws:SourceArn` for the anchor, and the certificate's attributes as tags. Where anchors and profiles leave a choice, the
caller must name the role, or there is no session: nobody is given one of several by chance.

A session is remembered by the certificate's fingerprint, the role that was asked for and the caller's address, until it
ends, the certificate or a revocation list does, or the store's answer is another. Refusals are not remembered. Must not
live here: reading and verifying certificates (`authn`), what a trust policy says (`role_session`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeAlias

from cachetools import LRUCache

from iam_guard.authn.certificate import TrustedAuthorities, VerifiedCertificate
from iam_guard.authn.certificate_names import certificate_tags, common_name, session_name
from iam_guard.authn.federation.role_session import (
    FederatedIdentity,
    Role,
    TrustQuestion,
    admit,
    find_role,
    session_principal,
)
from iam_guard.authn.presented_credentials import CertificateCredential
from iam_guard.errors import CacheMiss, InvalidInput, UntrustedCertificate
from iam_guard.forking import fork_safe_lock
from iam_guard.model.context import Given
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Credential, Issued, Principal
from iam_guard.model.request import Call
from iam_guard.model.trust import ROLES_ANYWHERE, CertificateProfile, CertificateTrust, TrustAnchor
from iam_guard.store.cached_store import CachedStore

_Key: TypeAlias = tuple[str, str | None, str | None]
"""The certificate's fingerprint, the role that is asked for, the caller's address (a trust policy may name it)."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A session, what the store said when it was made, and until when it is good."""

    trust: CertificateTrust
    principal: Principal
    since: datetime
    until: datetime


class _Choice(NamedTuple):
    anchor: TrustAnchor
    profile: CertificateProfile
    role: str


class CertificateSessions:
    """Makes and remembers sessions for one guard. Safe to share between threads."""

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
        self._sessions: LRUCache[_Key, _Known] = LRUCache(size)
        self._lock = fork_safe_lock()
        self._authorities: TrustedAuthorities | None = None

    def __len__(self) -> int:
        return len(self._sessions)

    def is_warm(self, credential: CertificateCredential, call: Call | None) -> bool:
        """Return whether `principal` would answer without touching the store."""
        try:
            trust = self._store.cache_only.certificate_trust()
        except CacheMiss:
            return False
        return self._remembered(_key(credential, call), trust, self._clock()) is not None

    def principal(self, credential: CertificateCredential, call: Call | None) -> Principal:
        """Return the session of a certificate.

        Raises `UntrustedCertificate`, `AccessDenied` where the trust policy does, `StoreUnavailable`,
        `DecisionUnavailable`.
        """
        now = self._clock()
        trust = self._store.certificate_trust()
        key = _key(credential, call)
        known = self._remembered(key, trust, now)
        if known is None:
            known = self._made(credential, trust, now, call)
            if self._sessions.maxsize >= 1:
                with self._lock:
                    self._sessions[key] = known
        return known.principal

    def _remembered(self, key: _Key, trust: CertificateTrust, now: datetime) -> _Known | None:
        with self._lock:
            known = self._sessions.get(key)
        if known is None or not known.since <= now < known.until:
            return None
        # INVARIANT: the store keeps these objects for as long as no change concerns them (`store/invalidation`).
        return known if known.trust.anchors is trust.anchors and known.trust.profiles is trust.profiles else None

    # --- making one ----------------------------------------------------------------------------------------------

    def _made(
        self, credential: CertificateCredential, trust: CertificateTrust, now: datetime, call: Call | None
    ) -> _Known:
        verified = self._ready(trust).verify(credential.chain, now)
        choice = _only(list(_choices(verified, trust, credential.role)))
        if not choice.profile.is_whole:
            raise UntrustedCertificate("a policy that the profile names is gone, so there is no session")
        proved = self._proved(verified, choice)
        with self._store.viewing() as records:
            found = find_role(records, self._store.partition, choice.role)
        role = admit(proved, choice.role, found, partial(self._decide, call))
        issued = now.replace(microsecond=0)
        until = min(issued + timedelta(seconds=min(choice.profile.seconds, role.most_seconds)), verified.until)
        return _Known(trust, self._signed_in(credential, proved, role, issued, until), issued, until)

    def _ready(self, trust: CertificateTrust) -> TrustedAuthorities:
        with self._lock:
            ready = self._authorities
        if ready is None or ready.record.anchors is not trust.anchors:
            ready = TrustedAuthorities(trust)
            with self._lock:
                self._authorities = ready
        return ready

    def _proved(self, verified: VerifiedCertificate, choice: _Choice) -> FederatedIdentity:
        """Return what was proved. Raises `UntrustedCertificate` for attributes that no session may have."""
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
            raise UntrustedCertificate(f"{error.message}, in the certificate or among the profile's mappings") from None

    def _signed_in(
        self,
        credential: CertificateCredential,
        proved: FederatedIdentity,
        role: Role,
        issued: datetime,
        until: datetime,
    ) -> Principal:
        session = session_principal(proved, role, self._store.partition, issued)
        terms = Issued(issued, until, source_identity=proved.source_identity)
        return replace(session, credential=Credential("x509", credential.fingerprint, issued=terms))


def _key(credential: CertificateCredential, call: Call | None) -> _Key:
    return credential.fingerprint, credential.role, None if call is None else call.source_ip


def _choices(verified: VerifiedCertificate, trust: CertificateTrust, asked: str | None) -> Iterator[_Choice]:
    for anchor in verified.anchors:
        for profile in trust.profiles:
            if profile.account == anchor.account:
                for role in profile.roles:
                    if asked in (None, role):
                        yield _Choice(anchor, profile, role)


def _only(choices: list[_Choice]) -> _Choice:
    if not choices:
        raise UntrustedCertificate("no profile lets this certificate have a session of the role")
    if len(choices) > 1:
        is_of_roles = len({choice.role for choice in choices}) > 1
        what = "the role in the header X-Iam-Guard-Role" if is_of_roles else "one trust anchor and one profile for it"
        raise UntrustedCertificate(f"the certificate may have several sessions: expected {what}")
    return choices[0]
