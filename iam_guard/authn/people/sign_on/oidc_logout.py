"""Sessions that an OIDC provider ends: OpenID Connect Back-Channel Logout 1.0.

One address receives the logout tokens of all providers. A token is of the accounts whose sign-on has its issuer and
client; it ends the sessions of its subject (`sub`), or the one that it names (`sid`). With them end the sign-ins that
wait for their browser, and the tools that were approved in such a session, also if that has ended before.

An unauthenticated client can send tokens: what happens before the signature is verified is one statement, however many
accounts have the issuer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from iam_guard.authn.people.sessions.federated_sessions import end_of_providers
from iam_guard.authn.people.sessions.tool_sessions import revoke_all
from iam_guard.authn.people.sign_on.company_sign_on import SignOnParts
from iam_guard.authn.tokens.oidc_token import LOGOUT_TOKEN_TYPES, MAX_LENGTH, Token
from iam_guard.errors import InvalidIdentityToken
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent
from iam_guard.store.credentials.used_tokens import use_token
from iam_guard.store.database.records import Records
from iam_guard.store.identifiers import iam_arn
from iam_guard.store.people.sign_on_rows import account_with_client, names_at_provider, sign_ons_of_client
from iam_guard.store.schema import pending_sign_ins, tool_sessions

LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
MAX_AGE: Final = 600
"""Seconds after which a logout token is refused, whatever it says: so long it is remembered."""
MAX_AUDIENCES: Final = 20


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A logout token that is not verified yet, and one of the accounts that it is for."""

    token: Token
    account: str


class OidcLogout:
    """The logout tokens of one store; safe to share between threads."""

    def __init__(self, parts: SignOnParts) -> None:
        self._parts = parts
        self._store = parts.store
        self._leeway = parts.settings.oidc_leeway

    def read(self, text: str) -> LogoutRequest:
        """Parse a logout token. Raises `InvalidIdentityToken`, also for one that is for no sign-on provider."""
        if len(text) > MAX_LENGTH:
            raise InvalidIdentityToken(f"expected a logout token of at most {MAX_LENGTH} characters")
        token = self._parts.tokens.read(text, types=LOGOUT_TOKEN_TYPES, is_event=True)
        if len(token.audiences) > MAX_AUDIENCES:
            raise InvalidIdentityToken(f"expected a logout token for at most {MAX_AUDIENCES} audiences")
        with self._store.read_transaction() as records:
            account = account_with_client(records, token.issuer, token.audiences)
        if account is None:
            raise InvalidIdentityToken("expected a logout token for the client of a sign-on provider")
        return LogoutRequest(token, account)

    def end_sessions(self, request: LogoutRequest, call: Call) -> int:
        """Verify a logout token, and end the sessions that it names; return their number.

        Raises `InvalidIdentityToken`, `ExpiredIdentityToken`, `IdentityProviderUnavailable`.
        """
        token, now = request.token, int(self._parts.clock().timestamp())
        subject, sid, id = _names(token.claims)
        if token.issued < now - MAX_AGE - self._leeway:
            raise InvalidIdentityToken(f"expected a logout token of the last {MAX_AGE} seconds")
        self._parts.tokens.verify(token, now)
        expires = now + MAX_AGE + int(2 * self._leeway) + 1
        with self._store.write_transaction() as records:
            if not use_token(records, "oidc-logout", token.issuer, id, expires=expires, now=now):
                raise InvalidIdentityToken("the logout token was used before")
            ended = self._end(records, token, subject, sid, now)
        for account in ended.accounts() or [request.account]:
            facts = ended.facts(account) | {"OidcProviderArn": self._provider_of(token, account)}
            self._parts.audit(SignInEvent(name="ExitSession", principal=None, account=account, facts=facts), call)
        return ended.sessions.total()

    def _end(self, records: Records, token: Token, subject: str | None, sid: str | None, now: int) -> _Ended:
        """End what a verified token names, in the accounts that have its client."""
        found = sign_ons_of_client(records, token.issuer, token.audiences)
        arns = {self._provider_of(token, row["account"]): row["account"] for row in found}
        of_providers = end_of_providers(records, arns, subject=subject, provider_session=sid)
        digests = names_at_provider(token.issuer, subject, sid)
        where = {column: digest for column, digest in digests.items() if digest is not None}
        accounts = {row["id"]: row["account"] for row in found}
        waiting = records.all(pending_sign_ins, columns=("digest", "provider_id"), provider_id=accounts.keys(), **where)
        if waiting:
            records.delete(pending_sign_ins, digest=[row["digest"] for row in waiting])
        tools = records.all(tool_sessions, columns=("id", "account"), revoked=None, account=arns.values(), **where)
        if tools:
            revoke_all(records, now, "ended by the identity provider", id=[row["id"] for row in tools])
        return _Ended(
            Counter({arns[arn]: number for arn, number in of_providers.items()}),
            Counter(accounts[row["provider_id"]] for row in waiting),
            Counter(row["account"] for row in tools),
        )

    def _provider_of(self, token: Token, account: str) -> str:
        """Return the ARN of an account's provider with the issuer of a token."""
        return iam_arn(self._store.partition, account, "oidc-provider", "/", token.issuer.removeprefix("https://"))


class _Ended(NamedTuple):
    """How many sessions, pending sign-ins and sessions of tools a logout has ended, by account."""

    sessions: Counter[str]
    sign_ins: Counter[str]
    tools: Counter[str]

    def accounts(self) -> list[str]:
        return sorted({*self.sessions, *self.sign_ins, *self.tools})

    def facts(self, account: str) -> dict[str, Any]:
        """Return what the record of an account has; tools and sign-ins only if there were some."""
        more = {"EndedSignIns": self.sign_ins[account], "EndedTools": self.tools[account]}
        return {"EndedSessions": self.sessions[account], **{name: number for name, number in more.items() if number}}


def _names(claims: Mapping[str, Any]) -> tuple[str | None, str | None, str]:
    """Return the subject, session and id of a logout token. Raises `InvalidIdentityToken` (2.4, 2.6)."""
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise InvalidIdentityToken("expected the event of a logout in the logout token")
    if "nonce" in claims:
        raise InvalidIdentityToken("expected a logout token without a nonce")
    subject, sid, id = (claims.get(name) for name in ("sub", "sid", "jti"))
    if not isinstance(id, str) or not id:
        raise InvalidIdentityToken("expected an id (`jti`) in the logout token")
    if subject is None and sid is None:
        raise InvalidIdentityToken("expected a subject or a session in the logout token")
    for name in (subject, sid):
        if name is not None and not (isinstance(name, str) and name and "\x00" not in name):
            raise InvalidIdentityToken("expected strings as subject and session in the logout token")
    return subject, sid, id
