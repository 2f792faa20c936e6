"""Sign in with a company's OIDC provider: authorization code with PKCE, to a role session (web identity semantics).

    a browser leaves       state, nonce and PKCE verifier go along in its sealed cookie (`Challenge`)
    and comes back         `redeem`: the answer is for this attempt and of this provider; its code becomes an ID token,
                           which is verified like a token of AssumeRoleWithWebIdentity, and has the attempt's nonce
    it goes on             `verify`: which roles the provider's rules give, by the claims as they were received
    with one of the roles  `for_role`: the role's trust policy decides, as for AssumeRoleWithWebIdentity

Who signs in is `sub` of `iss`, and nothing else. The session's name is made of `sub`: an e-mail address can be changed,
unverified, or given to another person later, whom policies and the trail would then take for the first one.

Each provider sends browsers back to an address of its own: if a malicious one sends a browser on to another provider,
the code arrives at that provider's address, and is refused (mix-up). Each code is accepted once, from whichever
provider. A stolen code is worthless here: its token has the nonce of another browser.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple

from iam_guard.authn.constant_time import same
from iam_guard.authn.federation.bearer_tokens import session_name_of
from iam_guard.authn.federation.role_session import admit, find_role, session_principal
from iam_guard.authn.federation.web_identity import (
    Provider,
    audience_of,
    federated_identity,
    find_provider,
    flattened,
)
from iam_guard.authn.people.pending_sign_ins import PendingSignIn, PendingSignIns
from iam_guard.authn.people.sessions.federated_sessions import FederatedSignIn
from iam_guard.authn.people.sign_on.company_sign_on import SignOnParts, VerifiedSignOn
from iam_guard.authn.people.sign_on.sign_on_providers import SignOnProvider, possible_roles
from iam_guard.authn.people.verified_steps import Evidence
from iam_guard.authn.tokens.oidc_token import ALGORITHMS, ID_TOKEN_TYPES, Token, base64url, check_times
from iam_guard.authn.tokens.token_verifier import issuer_addresses
from iam_guard.errors import AccessDenied, ConfigurationError, InvalidIdentityToken
from iam_guard.forking import fork_safe_lock
from iam_guard.model.credential import Session
from iam_guard.model.request import Call
from iam_guard.store.credentials.used_tokens import use_token
from iam_guard.store.people.sign_on_rows import names_at_provider
from iam_guard.store.schema import oidc_providers, sign_on_providers

if TYPE_CHECKING:
    from iam_guard.authn.people.sign_on.oidc_client import OidcClient

_SIGN_IN_PATH: Final = "/signin/"
CODE_SECONDS: Final = 3600
"""How long codes are remembered, which are valid for minutes."""
NONCE_SECONDS: Final = 3600
"""How long nonces are remembered: longer than an attempt and its pending sign-in together."""
MAX_NAME: Final = 100
_NAME_CLAIMS: Final = ("preferred_username", "email", "name")


class Challenge(NamedTuple):
    """What binds the answer of a provider to the browser that left for it: 256 random bits each."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def random(cls) -> Challenge:
        return cls(*(secrets.token_urlsafe(32) for _ in cls._fields))

    def __repr__(self) -> str:
        return "Challenge()"


@dataclass(frozen=True, slots=True)
class _Statement:
    """An ID token that was verified, and what belongs to it."""

    provider: SignOnProvider
    token: Token
    nonce: str
    logout_url: str | None


class OidcSignOn:
    """Sign-on by OIDC in one store; safe to share between threads. Raises `StoreUnavailable`, too."""

    def __init__(self, parts: SignOnParts, pending: PendingSignIns) -> None:
        self._parts = parts
        self._pending = pending
        self._store = parts.store
        self._settings = parts.settings
        self._lock = fork_safe_lock()
        self._loaded: OidcClient | None = None

    def authorization_url(self, provider: SignOnProvider, challenge: Challenge) -> str:
        """Return the URL at the provider that a browser signs in at.

        Raises `InvalidIdentityToken`, `IdentityProviderUnavailable` and `ConfigurationError`: `OwnRedirectRequired` for
        one that must register its own redirect address.
        """
        return self._client().authorization_url(provider, **challenge._asdict())

    def redeem(self, provider: SignOnProvider, answer: Mapping[str, str], challenge: Challenge) -> str:
        """Return the token of a pending sign-in for the answer of a provider: parameters that a browser brought back.

        Raises `InvalidIdentityToken`, `ExpiredIdentityToken`, `AccessDenied`, `ServerBusy`, and as `authorization_url`
        does.
        """
        client = self._client()
        code = client.code_of(provider, answer, challenge.state)
        now = int(self._parts.clock().timestamp())
        with self._store.write_transaction() as records:
            is_first = use_token(records, "oidc-code", code, expires=now + CODE_SECONDS, now=now)
        if not is_first:
            raise AccessDenied("the code was brought here before")
        tokens = client.redeem(provider, code, challenge.verifier)
        token = self._parts.tokens.read(tokens.id_token, types=ID_TOKEN_TYPES)
        self._check_token(provider, token, challenge.nonce)
        _check_access_token(token, tokens.access_token)
        self._parts.tokens.verify(token, self._parts.clock().timestamp())
        logout_url = client.logout_url(provider, token.text, self._settings.site_url + _SIGN_IN_PATH)
        text = json.dumps([challenge.state, challenge.nonce, token.text, logout_url])
        names = names_at_provider(token.issuer, token.subject, _session_of(token))
        return self._pending.put("oidc", provider.id, text, names)

    def verify(self, pending: PendingSignIn, call: Call) -> VerifiedSignOn:
        """Return what a pending sign-in says, as of the time when it was received.

        The signature is not verified again: `redeem` did, and what it returned was sealed since. Raises
        `InvalidIdentityToken`, `ExpiredIdentityToken`.
        """
        provider = self._parts.providers.get(pending.provider_id)
        if provider is None or provider.kind != "oidc" or pending.kind != "oidc":
            raise InvalidIdentityToken("the sign-on provider was removed")
        state, nonce, text, logout_url = json.loads(pending.text)
        token = self._parts.tokens.read(text, types=ID_TOKEN_TYPES)
        check_times(token, now=pending.received.timestamp(), leeway=self._settings.oidc_leeway)
        self._check_token(provider, token, nonce)
        roles = possible_roles(provider, flattened(token.claims))
        if not roles:
            raise InvalidIdentityToken("no rule of the sign-on provider gives a role for the claims")
        statement = _Statement(provider, token, nonce, logout_url)
        for_role = partial(self._admitted, statement, frozenset(roles))
        return VerifiedSignOn(_name_of(token), tuple(roles), state, for_role)

    def _client(self) -> OidcClient:
        """Return the client, which is imported with the first sign-in. Raises `ConfigurationError`."""
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> OidcClient:
        settings = self._settings
        if not settings.site_url:
            raise ConfigurationError("sign-on by OIDC requires the setting `site_url`", place="site_url")
        clients = import_module("iam_guard.authn.people.sign_on.oidc_client")
        fetch = import_module("iam_guard.authn.tokens.https_fetch")
        keys = import_module("iam_guard.authn.tokens.issuer_keys")
        addresses = issuer_addresses(settings)
        fetcher = fetch.Fetcher(addresses, ca_file=settings.oidc_ca_file, timeout=settings.oidc_timeout)
        intervals = keys.Intervals(settings.oidc_refresh, settings.oidc_cooldown, settings.oidc_max_staleness)
        client: OidcClient = clients.OidcClient(fetcher, settings.site_url, intervals)
        return client

    def _check_token(self, provider: SignOnProvider, token: Token, nonce: str) -> None:
        """Check whom an ID token is of and for (OpenID Connect Core 3.1.3.7). Raises `InvalidIdentityToken`."""
        if token.issuer != provider.issuer:
            raise InvalidIdentityToken("expected an ID token of the provider that the sign-in began with")
        client_id, party = provider.client_id, token.authorized_party
        if client_id is None or client_id not in token.audiences or party not in (None, client_id):
            raise InvalidIdentityToken("expected an ID token for the client of the sign-on provider")
        if party is None and len(token.audiences) > 1:
            raise InvalidIdentityToken("expected an authorized party in an ID token for several audiences")
        with self._store.read_transaction() as records:
            registered = find_provider(records, self._store.partition, provider.account, token.issuer)
        audience_of(token, registered)
        if not set(token.audiences) <= set(registered.client_ids):
            raise InvalidIdentityToken("expected an ID token for registered audiences only")
        claim = token.claims.get("nonce")
        if not isinstance(claim, str) or not nonce or not same(claim, nonce):
            raise InvalidIdentityToken("expected the nonce of this browser's sign-in in the ID token")

    def _admitted(self, statement: _Statement, roles: frozenset[str], arn: str, call: Call) -> FederatedSignIn:
        """Return the session of one of the roles, if its trust policy allows it now."""
        if arn not in roles:
            raise AccessDenied("The claims do not give this role.")
        provider, token = statement.provider, statement.token
        with self._store.read_transaction() as records:
            registered = find_provider(records, self._store.partition, provider.account, token.issuer)
            role = find_role(records, self._store.partition, arn)
        try:
            identity = federated_identity(token, registered, arn, session_name=session_name_of(token.subject))
        except InvalidIdentityToken as error:
            raise AccessDenied(error.message) from None
        admitted = admit(identity, arn, role, partial(self._parts.decide, call))
        issued = self._parts.clock().replace(microsecond=0)
        session = Session(
            access_key_id="",
            secret="",
            principal=session_principal(identity, admitted, self._store.partition, issued),
            issued=issued,
            expires=issued + timedelta(seconds=admitted.max_seconds),
            transitive_tag_keys=identity.transitive_tag_keys,
            source_identity=identity.source_identity,
            mfa_at=_mfa_at(token, issued) if provider.trusts_mfa else None,
        )
        return FederatedSignIn(
            session=session,
            method="oidc",
            provider=provider.provider,
            evidence=(_sign_on_evidence(provider), _provider_evidence(provider.account, registered)),
            issuer=token.issuer,
            subject=token.subject,
            provider_session=_session_of(token),
            logout_hint=statement.logout_url,
            used=("oidc-nonce", token.issuer, statement.nonce),
            used_until=int(issued.timestamp()) + NONCE_SECONDS,
        )


def _sign_on_evidence(provider: SignOnProvider) -> Evidence:
    """Return what an ID token is for, and which roles its claims give."""
    terms = {"account": provider.account, "client_id": provider.client_id, "roles": list(provider.roles)}
    columns = tuple((name, (value,)) for name, value in (terms | {"trusts_mfa": provider.trusts_mfa}).items())
    return Evidence(sign_on_providers, (("id", provider.id),), columns)


def _provider_evidence(account: str, registered: Provider) -> Evidence:
    """Return the registered issuer of an ID token, and its audiences."""
    key = (("account", account), ("url", registered.name))
    return Evidence(oidc_providers, key, (("client_ids", (list(registered.client_ids),)),))


def _session_of(token: Token) -> str | None:
    """Return what the provider calls its session, by which it can end ours; None if it doesn't say."""
    sid = token.claims.get("sid")
    return sid if isinstance(sid, str) and sid else None


def _check_access_token(token: Token, access_token: str | None) -> None:
    """Check that an ID token is of the same answer as an access token, if it says so. Raises `InvalidIdentityToken`."""
    if "at_hash" not in token.claims:
        return
    bits = "512" if ALGORITHMS[token.algorithm].kind == "OKP" else token.algorithm[2:]  # Ed25519 hashes with SHA-512
    digest = hashlib.new(f"sha{bits}", (access_token or "").encode()).digest()
    expected = base64url(digest[: len(digest) // 2])
    claim = token.claims["at_hash"]
    if access_token is None or not isinstance(claim, str) or not same(claim, expected):
        raise InvalidIdentityToken("expected the hash of the access token in the ID token")


def _mfa_at(token: Token, now: datetime) -> datetime | None:
    """Return when the person used a second factor, by what the provider says; None if it does not say so.

    A person who is signed in at the provider already may have used it long before: `auth_time` says when.
    """
    methods, at = token.claims.get("amr"), token.claims.get("auth_time")
    if not isinstance(methods, list) or "mfa" not in methods:
        return None
    return min(now, datetime.fromtimestamp(at, UTC)) if type(at) is int and 0 < at < now.timestamp() else now


def _name_of(token: Token) -> str:
    """Return what a person is called, for the page only: nothing is decided by it."""
    names = (token.claims.get(claim) for claim in _NAME_CLAIMS)
    usable = (name for name in names if isinstance(name, str) and name.isprintable() and name.strip())
    name = next(usable, token.subject)
    return name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…"
