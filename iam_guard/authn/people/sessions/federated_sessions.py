"""Browser sessions without a stored person: of role sessions that a company's sign-on gives, and of credentials.

Found, listed and ended like a person's sessions (`browser_sessions`), they are stored in a table of their own: what is
read as the session of a person is never one of these. Each depends on its role or parent key, and ends with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from iam_guard.authn.people.sessions.browser_sessions import (
    MAX_ADDRESS,
    MAX_SESSIONS,
    MAX_USER_AGENT,
    is_over,
    stored_text,
)
from iam_guard.authn.people.sessions.session_admission import may_have_session
from iam_guard.authn.people.sessions.session_steps import SignedIn
from iam_guard.authn.people.verified_steps import Evidence
from iam_guard.authn.tokens.session_cookie import new_token, token_digest
from iam_guard.errors import AccessDenied, StoreUnavailable
from iam_guard.model.credential import BrowserSession, Session
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent
from iam_guard.settings import Settings
from iam_guard.store.credentials.session_tokens import session_row
from iam_guard.store.credentials.used_tokens import is_ended_token, use_token
from iam_guard.store.database.records import Records, Row
from iam_guard.store.identifiers import random_id
from iam_guard.store.people.federated_session_rows import find_federated_session, role_id_of
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import federated_sessions, identities, pending_sign_ins, sealing_context

MAX_SESSIONS_OF_ROLE: Final = 10_000
"""Maximum sessions of a role, or of the federated users of an access key, whose callers choose their names."""
MAX_HINT: Final = 16_384
"""Characters of a URL that is stored for the logout; a longer one is not."""
MAX_SUBJECT: Final = 1_024
"""Characters of what identifies a person at an identity provider."""

SignInMethod: TypeAlias = Literal["oidc", "saml", "credentials"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedSignIn:
    """A sign-in that has been verified and admitted, to a session without a stored person."""

    session: Session
    """Of a role or federated user, without a credential; it expires at the latest end that is possible."""
    method: SignInMethod
    provider: str | None
    """The ARN of the identity provider; None for credentials."""
    evidence: tuple[Evidence, ...]
    """What the provider's statement was verified with; empty for credentials, which are what `session` has."""
    issuer: str | None = None
    subject: str | None = None
    provider_session: str | None = None
    """What the provider calls the session, for the logout that it sends."""
    logout_hint: str | None = field(default=None, repr=False)
    """The URL that signs out of the provider, which names the session by its ID token."""
    used: tuple[str, ...] = field(default=(), repr=False)
    """Purpose and identity of what counts once (`use_token`); empty for nothing."""
    used_until: int = 0
    """When that expires, in seconds since 1970."""


class FederatedSessions:
    """The browser sessions of a store that have no stored person; safe to share between threads.

    `clock` is timezone-aware, and `audit` writes a step of a sign-in to the audit trail.
    """

    def __init__(
        self,
        store: RecordStore,
        settings: Settings,
        clock: Callable[[], datetime],
        audit: Callable[[SignInEvent, Call | None], None],
    ) -> None:
        self._store = store
        self._duration = settings.session_duration
        self._idle = settings.session_idle
        self._clock = clock
        self._audit = audit

    def sign_in(self, federated: FederatedSignIn, call: Call, *, pending: str | None = None) -> SignedIn:
        """Return a new session, recorded as `ConsoleLogin`. It uses up the pending sign-in with the token `pending`.

        It ends after `session_duration`, after the role's `MaxSigninSessionDuration`, or with the session that it is
        of, whichever comes first. Raises `AccessDenied` for one that its principal may not have, for a pending sign-in
        that has ended, for a provider that was changed, and for a token that was used before; the caller records that.
        Raises `DecisionUnavailable` if a success can't be recorded.
        """
        if federated.session.principal.type not in (PrincipalType.ASSUMED_ROLE, PrincipalType.FEDERATED_USER):
            raise AccessDenied("Only sessions of roles and federated users can sign in.")
        token, now = new_token(), int(self._clock().timestamp())
        with self._store.write_transaction() as records:
            self._use(records, federated, now)
            if pending is not None and records.delete(pending_sign_ins, digest=token_digest(pending)) != 1:
                raise AccessDenied("The sign-in has ended.")
            if not all(evidence.find_unchanged(records) for evidence in federated.evidence):
                raise AccessDenied("The provider was changed while the person signed in.")
            if not may_have_session(records, self._store.partition, federated.session, now):
                raise AccessDenied("The session is not possible any more.")
            row = self._row(records, federated, call, token_digest(token), now)
            self._make_room(records, row, now)
            records.insert(federated_sessions, **row)
            found = find_federated_session(records, self._store.partition, row)
            if found is None:  # INVARIANT: not reached, since it was admitted
                raise AccessDenied("The session is not possible any more.")
        self._audit(SignInEvent(name="ConsoleLogin", principal=found.principal, facts=_facts(federated, call)), call)
        return SignedIn(token, found)

    def of(self, session: BrowserSession) -> list[BrowserSession]:
        """Return the sessions of the one who signed in to a session, the latest first.

        The identity provider says who that is. Those of credentials are not known to belong together: only this one.
        """
        now = self._clock()
        with self._store.read_transaction() as records:
            rows = self._rows_with(records, session)
            found = [find_federated_session(records, self._store.partition, row) for row in rows]
        live = [one for one in found if one is not None and not is_over(one, now, self._idle)]
        return sorted(live, key=lambda one: (one.created, one.id), reverse=True)

    def end(self, id: str, session: BrowserSession) -> bool:
        """End one of the sessions that `of` returns; return whether there was one with this id."""
        with self._store.write_transaction() as records:
            is_own = any(row["id"] == id for row in self._rows_with(records, session))
            return is_own and records.delete(federated_sessions, id=id) > 0

    def logout_hint(self, session: BrowserSession) -> str | None:
        """Return the URL that signs out of the provider of a session; None without one."""
        with self._store.read_transaction() as records:
            row = records.one(federated_sessions, digest=session.digest)
        if row is None or row["sealed_hint"] is None:
            return None
        try:
            return self._store.sealer.open(row["sealed_hint"], _hint_context(row["id"])).decode()
        except StoreUnavailable:  # sealed with another secret: one signs out here all the same
            return None

    def _use(self, records: Records, federated: FederatedSignIn, now: int) -> None:
        """Use up what counts once. Raises `AccessDenied` if it was used, or ended by an administrator."""
        if not federated.used:
            return
        purpose, account, until = federated.used[0], federated.session.principal.account, federated.used_until
        if is_ended_token(records, purpose, account or "", expires=until):
            raise AccessDenied("The sign-in has ended.")
        if not use_token(records, *federated.used, expires=until, now=now):
            raise AccessDenied("The sign-in has been used before.")

    def _row(self, records: Records, federated: FederatedSignIn, call: Call, digest: str, now: int) -> dict[str, Any]:
        session = replace(federated.session, access_key_id="", secret="")
        caller, id = session.principal, random_id("fs-", "")
        is_role = caller.type is PrincipalType.ASSUMED_ROLE
        role_id = role_id_of(session) if is_role else None
        role = None if role_id is None else records.one(identities, id=role_id, kind="role")
        limit = None if role is None else role["max_signin_session_duration"]
        longest = int(self._duration if limit is None else min(self._duration, limit))
        hint = federated.logout_hint
        sealed = None if not hint or len(hint) > MAX_HINT else self._store.sealer.seal(hint.encode(), _hint_context(id))
        return {
            "digest": digest,
            "id": id,
            "account": caller.account,
            "role_id": role_id,
            "parent_key_id": None if is_role else session.parent_key_id,
            "userid": caller.userid,
            "terms": session_row(replace(session, principal=replace(caller, credential=None))),
            "method": federated.method,
            "provider": federated.provider,
            "issuer": federated.issuer,
            "subject": _named(federated.subject),
            "provider_session": _named(federated.provider_session),
            "sealed_hint": sealed,
            "created": now,
            "seen": now,
            "expires": min(now + longest, int(session.expires.timestamp())),
            "address": stored_text(call.source_ip or "", MAX_ADDRESS),
            "user_agent": stored_text(call.user_agent or "", MAX_USER_AGENT),
        }

    def _rows_with(self, records: Records, session: BrowserSession) -> list[Row]:
        row = records.one(federated_sessions, digest=session.digest)
        if row is None:
            return []
        if row["subject"] is None or row["provider"] is None:
            return [row]
        return records.all(federated_sessions, provider=row["provider"], subject=row["subject"])

    def _make_room(self, records: Records, row: dict[str, Any], now: int) -> None:
        """Delete sessions of the account that have expired, and the least used of the caller or role if too many."""
        ended = set(records.expired(federated_sessions, now, account=row["account"]))
        of_role = {name: row[name] for name in ("role_id", "parent_key_id")}
        of_caller = {"userid": row["userid"], **of_role}
        for limit, where in ((MAX_SESSIONS, of_caller), (MAX_SESSIONS_OF_ROLE, of_role)):
            surplus = records.count(federated_sessions, **where) - limit + 1
            if surplus > 0:
                order = ("seen", "digest")
                rows = records.page(federated_sessions, order=order, after=None, limit=surplus, **where)
                ended |= {one["digest"] for one in rows}
        if ended:
            records.delete(federated_sessions, digest=sorted(ended))


def end_of_providers(
    records: Records, providers: Collection[str], *, subject: str | None, provider_session: str | None
) -> Counter[str]:
    """End the sessions that identity providers name by their subject, session, or both.

    Return their number by the ARN of the provider.
    """
    named = {"subject": subject, "provider_session": provider_session}
    where = {name: value for name, value in named.items() if value is not None}
    if not where:
        return Counter()
    rows = records.all(federated_sessions, columns=("digest", "provider"), provider=providers, **where)
    if rows:
        records.delete(federated_sessions, digest=[row["digest"] for row in rows])
    return Counter(row["provider"] for row in rows)


def provider_facts(provider: str | None) -> dict[str, str]:
    """Return the member of `additionalEventData` with the ARN of an identity provider; empty without one.

    `SamlProviderArn` is CloudTrail's, `OidcProviderArn` our own.
    """
    if provider is None:
        return {}
    return {"SamlProviderArn" if ":saml-provider/" in provider else "OidcProviderArn": provider}


def _facts(federated: FederatedSignIn, call: Call) -> dict[str, str | None]:
    mfa = "No" if federated.session.mfa_at is None else "Yes"
    return {"LoginTo": call.path, "MobileVersion": "No", "MFAUsed": mfa, **provider_facts(federated.provider)}


def _named(text: str | None) -> str | None:
    """Return what a provider calls a person or session. Raises `AccessDenied` for what can't be stored."""
    if text is not None and (len(text) > MAX_SUBJECT or "\x00" in text):
        raise AccessDenied(f"The subject or session of the provider has more than {MAX_SUBJECT} characters.")
    return text


def _hint_context(id: str) -> bytes:
    return sealing_context(federated_sessions.c.sealed_hint, id)
