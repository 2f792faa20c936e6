"""Sessions that an OIDC provider ends: OpenID Connect Back-Channel Logout 1.0.

One address receives the logout tokens of all providers. A token is of the accounts whose sign-on has its issuer and
client; it ends the sessions of its subject (`sub`), or the one that it names (`sid`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from iam_guard.authn.oidc_token import LOGOUT_TOKEN_TYPES, MAX_LENGTH, Token
from iam_guard.authn.people.company_sign_on import SignOnParts
from iam_guard.authn.people.sign_on_providers import SignOnProvider
from iam_guard.errors import InvalidIdentityToken
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent
from iam_guard.store.identifiers import iam_arn
from iam_guard.store.schema import oidc_providers
from iam_guard.store.used_tokens import use_token

LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
MAX_AGE: Final = 600
"""Seconds after which a logout token is refused, whatever it says: so long it is remembered."""


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A logout token that is not verified yet, and the sign-on providers that it is for: one or more."""

    token: Token
    providers: tuple[SignOnProvider, ...]


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
        token = self._parts.tokens.read(text, types=LOGOUT_TOKEN_TYPES, requires_subject=False)
        providers = tuple(self._providers_of(token))
        if not providers:
            raise InvalidIdentityToken("expected a logout token for the client of a sign-on provider")
        return LogoutRequest(token, providers)

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
            is_first = use_token(records, "oidc-logout", token.issuer, id, expires=expires, now=now)
        if not is_first:
            raise InvalidIdentityToken("the logout token was used before")
        return sum(self._end(provider, subject, sid, call) for provider in _once(request.providers))

    def _end(self, provider: SignOnProvider, subject: str | None, sid: str | None, call: Call) -> int:
        ended = self._parts.sessions.end_of_provider(provider.provider, subject=subject, provider_session=sid)
        facts = {"OidcProviderArn": provider.provider, "EndedSessions": ended}
        self._parts.audit(SignInEvent(name="ExitSession", principal=None, account=provider.account, facts=facts), call)
        return ended

    def _providers_of(self, token: Token) -> list[SignOnProvider]:
        """Return the sign-on providers of all accounts with the issuer and an audience of a token."""
        name = token.issuer.removeprefix("https://")
        if name == token.issuer:
            return []
        with self._store.read_transaction() as records:
            accounts = [row["account"] for row in records.all(oidc_providers, columns=("account",), url=name)]
        arns = [iam_arn(self._store.partition, account, "oidc-provider", "/", name) for account in accounts]
        found = (provider for arn in arns for provider in self._parts.providers.of_provider(arn))
        return [provider for provider in found if provider.client_id in token.audiences]


def _once(providers: tuple[SignOnProvider, ...]) -> list[SignOnProvider]:
    """Return one sign-on provider for each identity provider: sessions belong to that."""
    return list({provider.provider: provider for provider in providers}.values())


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
