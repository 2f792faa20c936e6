"""Bearers of tokens of OIDC providers, as role sessions: admitted through the role's trust policy, and remembered.

The strategy. Which role a token gets is said by the settings' rules, or by the bearer in a header. A token is then what
it is at AssumeRoleWithWebIdentity: its provider must be registered in the role's account, and the role must trust it.
INVARIANT: a bearer is let in by a decision of the present epoch. When the state behind has changed, the trust policy is
asked again, with the provider and the role as they are now; the signature, which cannot have changed, is not. A session
ends with its token, or when the role's longest session ends, and then the whole token is looked at anew. Its time of
issue is the token's, so that revoking the sessions of a role (`aws:TokenIssueTime`, S-50) ends it for good.

Only admitted tokens are remembered, by their digest, so that strangers cannot fill the room.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from cachetools import FIFOCache

from iam_guard.authn.federation.role_rules import choose_role, read_rules
from iam_guard.authn.federation.role_session import (
    Decide,
    FederatedIdentity,
    Role,
    admit,
    find_role,
    read_role_arn,
    session_principal,
)
from iam_guard.authn.federation.web_identity import audience_of, find_provider, flattened, proved_by
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.oidc_token import Token
from iam_guard.authn.presented_credentials import TokenCredential
from iam_guard.authn.token_verifier import TokenVerifier
from iam_guard.errors import ConfigurationError, IamGuardError, InvalidIdentityToken
from iam_guard.forking import fork_safe_lock
from iam_guard.model.principal import Credential, Issued, Principal
from iam_guard.settings import Settings
from iam_guard.store.cached_store import CachedStore

_HEADER: Final = re.compile(r"[A-Za-z0-9-]+")
_TAKEN: Final = frozenset({"authorization", "x-api-key", "x-amz-security-token", "host", "cookie"})
_NOT_IN_A_NAME: Final = re.compile(r"[^\w+=,.@-]", re.ASCII)
_LONGEST_NAME: Final = 64
_DIGEST_DIGITS: Final = 16

_Key = tuple[bytes, str]


class _Admitted(NamedTuple):
    """A bearer who was let in at an epoch, until a moment."""

    principal: Principal
    token: Token
    epoch: int
    issued: datetime
    until: datetime


class BearerTokens:
    """Safe to share between threads. Raises `ConfigurationError` for a setting that cannot be."""

    def __init__(self, store: CachedStore, tokens: TokenVerifier, settings: Settings) -> None:
        self._store = store
        self._tokens = tokens
        self._rules = read_rules(settings.oidc_roles)
        self._header = _header(settings.oidc_role_header)
        self._leeway = settings.oidc_leeway
        self._admitted: FIFOCache[_Key, _Admitted] = FIFOCache(max(settings.cache_size, 1))
        self._lock = fork_safe_lock()
        self._is_open = bool(self._rules or self._header)
        if self._is_open:
            tokens.prepare()

    def __len__(self) -> int:
        return len(self._admitted)

    def principal(
        self, credential: TokenCredential, request: HttpRequest, *, now: datetime, decide: Decide
    ) -> Principal:
        """Return the role session of a token; touches the store and the issuer only for what is not remembered.

        Raises `InvalidIdentityToken` and its like for a bad token, `AccessDenied` where no role lets it in,
        `IdentityProviderUnavailable`, `StoreUnavailable` and `DecisionUnavailable` when nobody can say.
        """
        if not self._is_open:
            raise InvalidIdentityToken("tokens of OIDC providers are not accepted here")
        key = self._key(credential, request)
        epoch = self._store.epoch()  # before anything is loaded: what changes meanwhile is seen at the next request
        known = self._known(key)
        if known is not None and known.epoch == epoch and now < known.until:
            return known.principal
        try:
            made = self._admit(credential, key[1], known, epoch, now, decide)
        except IamGuardError:
            with self._lock:
                self._admitted.pop(key, None)
            raise
        with self._lock:
            self._admitted[key] = made
        return made.principal

    def holds(self, credential: TokenCredential, request: HttpRequest, now: datetime) -> bool:
        """Return whether `principal` would answer from memory."""
        if not self._is_open:
            return True
        try:
            known = self._known(self._key(credential, request))
        except InvalidIdentityToken:
            return True  # refused at once
        if known is None or known.epoch != self._store.known_epoch or now >= known.until:
            return False
        return self._store.is_at_rest()

    def _key(self, credential: TokenCredential, request: HttpRequest) -> _Key:
        digest = hashlib.sha256(credential.text.encode()).digest()
        if not self._header:
            return digest, ""
        values = request.values(self._header)
        if len(values) > 1:
            raise InvalidIdentityToken("expected the role to be named once")
        return digest, values[0].decode("latin-1").strip() if values else ""

    def _known(self, key: _Key) -> _Admitted | None:
        try:
            return self._admitted[key]
        except KeyError:
            return None

    # --- letting in --------------------------------------------------------------------------------------------------

    def _admit(
        self,
        credential: TokenCredential,
        named: str,
        known: _Admitted | None,
        epoch: int,
        now: datetime,
        decide: Decide,
    ) -> _Admitted:
        is_verified = known is not None and now < known.until
        token = known.token if known is not None and is_verified else self._tokens.read(credential.text)
        arn = named or choose_role(self._rules, token.issuer, flattened(token.claims))
        if not arn:
            raise InvalidIdentityToken("no role is said for tokens of this kind")
        account = read_role_arn(arn).account
        with self._store.viewing() as records:
            provider = find_provider(records, self._store.partition, account, token.issuer)
            audience_of(token, provider)
            role = find_role(records, self._store.partition, arn)
        if not is_verified:
            self._tokens.verify(token, now.timestamp())
        proved = proved_by(token, provider, arn, session_name=session_name_of(token.subject))
        role = admit(proved, arn, role, decide)
        ends = datetime.fromtimestamp(token.expires + self._leeway, UTC)
        issued = min(datetime.fromtimestamp(token.issued, UTC), now)
        until = min(ends, now + timedelta(seconds=role.most_seconds))
        if known is not None and is_verified:
            issued, until = known.issued, known.until  # another decision is no other session, and no longer one
        principal = self._session(credential, proved, role, issued, until)
        return _Admitted(principal, token, epoch, issued, until)

    def _session(
        self, credential: TokenCredential, proved: FederatedIdentity, role: Role, issued: datetime, until: datetime
    ) -> Principal:
        how = Issued(issued, until, proved.transitive_tag_keys, proved.source_identity)
        principal = session_principal(proved, role, self._store.partition, issued)
        id = hashlib.sha256(credential.text.encode()).hexdigest()[: 2 * _DIGEST_DIGITS]
        return replace(principal, credential=Credential("oidc", id, issued=how))


def session_name_of(subject: str) -> str:
    """Return a session name that says the subject, and is no other subject's.

    Where characters have to be replaced, or there are too many, a digest of the whole tells it from its like.
    """
    name = _NOT_IN_A_NAME.sub("-", subject)
    if name == subject and 2 <= len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(subject.encode()).hexdigest()[:_DIGEST_DIGITS]
    return f"{name[: _LONGEST_NAME - _DIGEST_DIGITS - 1]}-{digest}"


def _header(name: str) -> bytes:
    folded = name.lower()
    if name and (_HEADER.fullmatch(name) is None or folded in _TAKEN):
        message = f"expected the name of a header of its own, got `{name[:200]}`"
        raise ConfigurationError(message, place="oidc_role_header")
    return folded.encode()
