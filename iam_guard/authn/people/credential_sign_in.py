"""Browser sessions of temporary credentials, as AWS's federation endpoint opens them.

A broker exchanges the credentials of a role or federated user for a sign-in token, and puts it into a link. The token
is sealed and not stored: it has the session of the credentials without their secret, is good for 15 minutes, and counts
once. The browser session that it opens ends with the credentials, or after the seconds that the broker asked for.
"""

from __future__ import annotations

import json
import re
import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from iam_guard.authn.constant_time import same
from iam_guard.authn.people.sessions.federated_sessions import FederatedSessions, FederatedSignIn
from iam_guard.authn.people.sessions.session_admission import may_have_session
from iam_guard.authn.people.sessions.session_steps import SignedIn
from iam_guard.errors import (
    AccessDenied,
    ExpiredToken,
    IamGuardError,
    InvalidClientTokenId,
    InvalidInput,
)
from iam_guard.model.credential import Session
from iam_guard.model.principal import Credential, Issued, Principal, PrincipalType
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent, SignInEventName
from iam_guard.store.accounts.account_state_rows import require_accepted
from iam_guard.store.credentials.session_tokens import TOKEN_LIMIT, session_of_array, session_row
from iam_guard.store.protocol import RecordStore

TOKEN_SECONDS: Final = 900
"""How long a sign-in token is good for, as at AWS."""
MIN_SECONDS, MAX_SECONDS = 900, 43_200
"""What `SessionDuration` may be, as at AWS."""
MAX_TOKEN: Final = 12_000
"""Characters of a sign-in token: more than those of the largest session."""
PURPOSE: Final = "sign-in"
"""What a sign-in token is used for, in `used_tokens`."""
PREFIX: Final = "igsi_"
"""The prefix of sign-in tokens, which redaction and secret scanners match."""

_CONTEXT: Final = b"sign-in-token:1"
_MAX_CREDENTIALS: Final = 12_000
_MAX_KEY: Final = 256
_PLACEHOLDER: Final = "0" * 40
_MEMBERS: Final = ("sessionId", "sessionKey", "sessionToken")
_is_number = re.compile(r"[0-9]{1,6}").fullmatch


@dataclass(frozen=True, slots=True)
class TemporaryCredentials:
    """What a client presents as temporary credentials."""

    access_key_id: str
    secret: str = field(repr=False)
    session_token: str = field(repr=False)


class _SignInToken(NamedTuple):
    """The content of a sign-in token. `seconds` is how long the browser session lasts; None: as the credentials."""

    id: str
    until: int
    seconds: int | None
    session: Session


class CredentialSignIn:
    """Signs in with temporary credentials of one store. Safe to share between threads; `clock` is timezone-aware."""

    def __init__(
        self,
        store: RecordStore,
        sessions: FederatedSessions,
        clock: Callable[[], datetime],
        audit: Callable[[SignInEvent, Call | None], None],
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._clock = clock
        self._audit = audit

    def sign_in_token(self, credentials: str, duration: str | None, call: Call) -> str:
        """Return a sign-in token for credentials, as JSON with `sessionId`, `sessionKey` and `sessionToken`.

        `duration` is `SessionDuration` as it was sent. Raises `InvalidInput`, `InvalidClientTokenId` for credentials
        that are not valid here (any more), `ExpiredToken`, and `AccessDenied` for credentials that can't sign in, or
        not for a duration of their own. The trail has each token, and each refusal.
        """
        account: str | None = None
        try:
            presented = _parsed(credentials)
            seconds = _parsed_duration(duration)
            session = self._verified(presented)
            account = session.principal.account
            self._admit(session, seconds)
        except IamGuardError as error:
            self._refuse("GetSigninToken", error.message, account, call)
            raise
        terms = Issued(session.issued, session.expires)
        caller = replace(session.principal, credential=Credential("sts", session.access_key_id, issued=terms))
        facts = {"MobileVersion": "No", "MFAUsed": "No"}
        self._audit(SignInEvent(name="GetSigninToken", principal=caller, facts=facts), call)
        until = int(self._clock().timestamp()) + TOKEN_SECONDS
        bare = replace(session, access_key_id="", secret="")
        return self._sealed(_SignInToken(secrets.token_urlsafe(16), until, seconds, bare))

    def caller_of(self, token: str) -> Principal | None:
        """Return the caller that a sign-in token would sign in; None for one that is not good. It is not used."""
        content = self._opened(token)
        return None if content is None or content.until <= self._clock().timestamp() else content.session.principal

    def sign_in(self, token: str, call: Call) -> SignedIn | None:
        """Sign in with a sign-in token, which is used by it; None if it is refused, for whatever reason."""
        content, now = self._opened(token), self._clock()
        if content is None or content.until <= now.timestamp():
            self._refuse("ConsoleLogin", "The sign-in token is invalid, or has expired.", None, call)
            return None
        session, seconds = content.session, content.seconds
        if seconds is not None:
            session = replace(session, expires=now + timedelta(seconds=seconds))
        federated = FederatedSignIn(
            session=session,
            method="credentials",
            provider=None,
            evidence=(),
            used=(PURPOSE, content.id),
            used_until=content.until,
        )
        try:
            return self._sessions.sign_in(federated, call)
        except AccessDenied as error:
            self._refuse("ConsoleLogin", error.message, session.principal.account, call)
            return None

    # --- credentials ---------------------------------------------------------------------------------------------

    def _verified(self, presented: TemporaryCredentials) -> Session:
        """Return the session of credentials. An invalid token takes the same comparisons as a wrong secret."""
        session = self._store.open_session(presented.session_token)
        is_key = same(presented.access_key_id, _PLACEHOLDER if session is None else session.access_key_id)
        is_secret = same(presented.secret, _PLACEHOLDER if session is None else session.secret)
        if session is None or not session.secret or not (is_key and is_secret):
            raise InvalidClientTokenId(place="Session")
        if session.expires <= self._clock():
            raise ExpiredToken(place="Session")
        return session

    def _admit(self, session: Session, seconds: int | None) -> None:
        if session.principal.type not in (PrincipalType.ASSUMED_ROLE, PrincipalType.FEDERATED_USER):
            raise AccessDenied("Only credentials of AssumeRole operations and GetFederationToken can sign in.")
        if seconds is not None and not _may_choose_duration(session):
            raise AccessDenied(
                "SessionDuration is possible only for a role that a long-term access key or an identity provider "
                "has assumed."
            )
        with self._store.read_transaction() as records:
            now = int(self._clock().timestamp())
            require_accepted(records, session.principal.account, place="Session")
            if not may_have_session(records, self._store.partition, session, now):
                raise InvalidClientTokenId(place="Session")

    # --- sign-in tokens ------------------------------------------------------------------------------------------

    def _sealed(self, token: _SignInToken) -> str:
        content = json.dumps([token.id, token.until, token.seconds, session_row(token.session)]).encode()
        return self._store.sealer.seal_text(zlib.compress(content, 9), _CONTEXT, PREFIX)

    def _opened(self, token: str) -> _SignInToken | None:
        """Return the content of a token that this store sealed; None for any other text."""
        content = self._store.sealer.open_text(token, _CONTEXT, PREFIX) if len(token) <= MAX_TOKEN else None
        if content is None:
            return None
        try:
            id, until, seconds, row = json.loads(zlib.decompress(content))
            return _SignInToken(id, until, seconds, session_of_array(row))
        except (ValueError, TypeError):  # what another version of this package has sealed
            return None

    def _refuse(self, name: SignInEventName, reason: str, account: str | None, call: Call) -> None:
        facts = {"Reason": reason, "LoginTo": call.path}
        self._audit(SignInEvent(name=name, principal=None, account=account, succeeded=False, facts=facts), call)


def _may_choose_duration(session: Session) -> bool:
    """Return whether the browser session of a role may last other than its credentials: not after role chaining.

    The role was assumed with a long-term access key, or by a statement of an identity provider. Credentials of a
    `signin` session (`aws login`) can be revoked, so they open no session that outlasts them.
    """
    caller = session.principal
    if caller.type is not PrincipalType.ASSUMED_ROLE or "aws:SignInSessionArn" in caller.session:
        return False
    return session.parent_key_id is not None or "aws:FederatedProvider" in caller.session


def _parsed(text: str) -> TemporaryCredentials:
    """Return the credentials in the parameter `Session`. Raises `InvalidInput`, which quotes nothing."""
    if len(text) > _MAX_CREDENTIALS:
        raise InvalidInput(f"expected at most {_MAX_CREDENTIALS} characters", place="Session")
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        members = None
    values = [members.get(name) for name in _MEMBERS] if isinstance(members, dict) else []
    texts = [value for value in values if isinstance(value, str) and value]
    if len(texts) != len(_MEMBERS):
        raise InvalidInput(f"expected a JSON object with the strings {', '.join(_MEMBERS)}", place="Session")
    if len(texts[0]) > _MAX_KEY or len(texts[1]) > _MAX_KEY or len(texts[2]) > TOKEN_LIMIT:
        raise InvalidInput("expected temporary credentials, got longer strings", place="Session")
    return TemporaryCredentials(*texts)


def _parsed_duration(text: str | None) -> int | None:
    if text is None:
        return None
    if _is_number(text) is None or not MIN_SECONDS <= int(text) <= MAX_SECONDS:
        message = f"expected an integer from {MIN_SECONDS} to {MAX_SECONDS}"
        raise InvalidInput(message, place="SessionDuration")
    return int(text)
