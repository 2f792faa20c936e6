"""Role sessions of OIDC bearer tokens, decided by the role's trust policy and cached.

The settings' rules or a header choose the role of a token. Then the token is treated as in AssumeRoleWithWebIdentity:
its provider must be registered in the role's account, and the role must trust it.

INVARIANT: a cached session is used only while the decision that admitted it is valid at the present state. After a
change in the role's account that may affect the decision, the trust policy is evaluated again with the current provider
and role; the signature is not verified again. A session ends with its token or after the role's maximum session
duration; then the whole token is verified again. Its issue time is the token's, so that revoking a role's sessions
(`aws:TokenIssueTime`, S-50) ends it for good.

Only admitted tokens are cached, by digest, so that unauthenticated clients cannot fill the cache.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from cachetools import FIFOCache

from iam_guard.authn.federation.role_rules import choose_role, read_rules
from iam_guard.authn.federation.role_session import Decide, admit, find_role, read_role_arn, session_principal
from iam_guard.authn.federation.web_identity import audience_of, federated_identity, find_provider, flattened
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import TokenCredential
from iam_guard.authn.tokens.oidc_token import Token
from iam_guard.authn.tokens.token_verifier import TokenVerifier
from iam_guard.errors import ConfigurationError, IamGuardError, InvalidIdentityToken
from iam_guard.forking import fork_safe_lock
from iam_guard.model.principal import Credential, Issued, Principal
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.cache.generations import Held, are_current
from iam_guard.store.cache.invalidation import trust_names

_HEADER: Final = re.compile(r"[A-Za-z0-9-]+")
_RESERVED_HEADERS: Final = frozenset({"authorization", "x-api-key", "x-amz-security-token", "host", "cookie"})
_INVALID_IN_NAME: Final = re.compile(r"[^\w+=,.@-]", re.ASCII)
_MAX_NAME: Final = 64
_DIGEST_DIGITS: Final = 16
_MAX_START: Final = _MAX_NAME - _DIGEST_DIGITS - 1
_IS_DIGEST: Final = re.compile(rf"[0-9a-f]{{{_DIGEST_DIGITS}}}").fullmatch


class _Key(NamedTuple):
    """What a session depends on: the digest of a token, the requested role, and the audiences of the application."""

    digest: bytes
    role: str
    audiences: tuple[str, ...]


class _Admitted(NamedTuple):
    """An admitted session, the generations that its admission depends on, and until when it is valid."""

    principal: Principal
    token: Token
    generations: Held
    issued: datetime
    until: datetime


class BearerTokens:
    """The sessions of bearer tokens; safe to share between threads. Raises `ConfigurationError`."""

    def __init__(self, store: CachedStore, tokens: TokenVerifier, settings: Settings) -> None:
        self._store = store
        self._tokens = tokens
        self._rules = read_rules(settings.oidc_roles)
        self._header = _header(settings.oidc_role_header)
        self._audiences = settings.oidc_audiences
        self._leeway = settings.oidc_leeway
        self._admitted: FIFOCache[_Key, _Admitted] = FIFOCache(max(settings.cache_size, 1))
        self._lock = fork_safe_lock()
        self._is_enabled = bool(self._rules or self._header)
        if self._is_enabled:
            tokens.prepare()

    def __len__(self) -> int:
        return len(self._admitted)

    def principal(
        self, credential: TokenCredential, request: HttpRequest, *, now: datetime, decide: Decide
    ) -> Principal:
        """Return the role session of a token; queries the store and the issuer only on a cache miss.

        Raises `InvalidIdentityToken`, `ExpiredIdentityToken`, `AccessDenied`, and `IdentityProviderUnavailable`,
        `StoreUnavailable` or `DecisionUnavailable` if no decision can be made.
        """
        if not self._is_enabled:
            raise InvalidIdentityToken("tokens of OIDC providers are not accepted here")
        key = self._key(credential, request)
        self._store.state()  # follows the store
        cached = self._cached(key)
        if cached is not None and are_current(cached.generations) and now < cached.until:
            return cached.principal
        try:
            admitted = self._admit(credential, key, cached, now, decide)
        except IamGuardError:
            with self._lock:
                self._admitted.pop(key, None)
            raise
        with self._lock:
            self._admitted[key] = admitted
        return admitted.principal

    def is_cached(self, credential: TokenCredential, request: HttpRequest, now: datetime) -> bool:
        """Return whether `principal` would return or raise without a query."""
        if not self._is_enabled:
            return True
        try:
            cached = self._cached(self._key(credential, request))
        except InvalidIdentityToken:
            return True
        if cached is None or not are_current(cached.generations) or now >= cached.until:
            return False
        return self._store.can_answer_from_cache()

    def _key(self, credential: TokenCredential, request: HttpRequest) -> _Key:
        values = request.values(self._header) if self._header else ()
        if len(values) > 1:
            raise InvalidIdentityToken(f"expected one role, got {len(values)}")
        role = values[0].decode("latin-1").strip() if values else ""
        digest = hashlib.sha256(credential.text.encode()).digest()
        return _Key(digest, role, request.oidc_audiences or self._audiences)

    def _cached(self, key: _Key) -> _Admitted | None:
        try:
            return self._admitted[key]
        except KeyError:
            return None

    def _admit(
        self,
        credential: TokenCredential,
        key: _Key,
        cached: _Admitted | None,
        now: datetime,
        decide: Decide,
    ) -> _Admitted:
        is_verified = cached is not None and now < cached.until
        token = cached.token if cached is not None and is_verified else self._tokens.read(credential.text)
        arn = key.role or choose_role(self._rules, token.issuer, flattened(token.claims))
        if not arn:
            raise InvalidIdentityToken("no rule chooses a role for the token")
        account = read_role_arn(arn).account
        generations = self._store.hold(trust_names(account))  # before reading: a concurrent change ends them
        with self._store.read_transaction() as records:
            provider = find_provider(records, self._store.partition, account, token.issuer)
            provider = provider._replace(audiences=key.audiences)
            audience_of(token, provider)
            role = find_role(records, self._store.partition, arn)
        if not is_verified:
            self._tokens.verify(token, now.timestamp(), account)
        identity = federated_identity(token, provider, arn, session_name=session_name_of(token.subject))
        role = admit(identity, arn, role, decide)
        expires = datetime.fromtimestamp(token.expires + self._leeway, UTC)
        issued = min(datetime.fromtimestamp(token.issued, UTC), now)
        until = min(expires, now + timedelta(seconds=role.max_seconds))
        if cached is not None and is_verified:
            issued, until = cached.issued, cached.until  # a new decision does not extend the session
        terms = Issued(issued, until, identity.transitive_tag_keys, identity.source_identity)
        id = hashlib.sha256(credential.text.encode()).hexdigest()[: 2 * _DIGEST_DIGITS]
        used = Credential("oidc", id, issued=terms)
        principal = session_principal(identity, role, self._store.partition, issued, used)
        return _Admitted(principal, token, generations, issued, until)


def session_name_of(subject: str) -> str:
    """Return a readable session name that is unique to the subject.

    If characters must be replaced or the subject is too long, a digest of the subject makes the name unique: also of a
    subject that is spelled like such a name, since it could be that of another subject.
    """
    name = _INVALID_IN_NAME.sub("-", subject)
    if name == subject and 2 <= len(name) <= _MAX_NAME and not _may_have_digest(name):
        return name
    digest = hashlib.sha256(subject.encode()).hexdigest()[:_DIGEST_DIGITS]
    return f"{name[:_MAX_START]}-{digest}"


def _may_have_digest(name: str) -> bool:
    """Return whether a name may have been made of another subject.

    Its start then has a `-` in place of another character, or it is as long as possible, or the whole subject.
    """
    start, _, digest = name.rpartition("-")
    return _IS_DIGEST(digest) is not None and ("-" in start or len(start) in (1, _MAX_START))


def _header(name: str) -> bytes:
    folded = name.lower()
    if name and (_HEADER.fullmatch(name) is None or folded in _RESERVED_HEADERS):
        message = f"expected an unreserved header name, got `{name[:200]}`"
        raise ConfigurationError(message, place="oidc_role_header")
    return folded.encode()
