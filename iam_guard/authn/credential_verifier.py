"""Authenticate a request: return its principal, or raise an error with AWS's code.

Pure: keys come from lookup functions, the time and the body's hash are arguments. A request without a credential is the
anonymous principal; one with an invalid credential is refused, never anonymous. Checks run in this order: exactly one
credential, its form, its time and coverage, its key, its signature, its body.

An attacker cannot find out which keys exist: unknown, inactive and mismatched keys get the same error after the same
work. The same holds for a session token that is invalid, belongs to another access key, or whose user's key is gone,
and for temporary credentials without a token: the signature is checked with a placeholder secret (S-1, S-51).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TypeAlias

from iam_guard.authn.caller_cache import Caller, CallerCache, Scope
from iam_guard.authn.constant_time import same
from iam_guard.authn.credential import extract
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.known_credentials import KnownCredentials
from iam_guard.authn.presented_credentials import (
    ASYMMETRIC,
    AnyCredential,
    ApiKeyCredential,
    CertificateCredential,
    NoCredential,
    SigV4Credential,
    TokenCredential,
)
from iam_guard.authn.signatures import sigv4, sigv4a
from iam_guard.authn.signatures.accepted_scope import AcceptedScope
from iam_guard.authn.signatures.chunked import ChunkedBody
from iam_guard.authn.signatures.payload_hash import UNSIGNED, check_payload, is_chunked, stated_payload
from iam_guard.authn.signatures.signature_replays import SignatureReplays
from iam_guard.authn.tokens.temporary_credentials import depends_on_parent_key, is_parent_key
from iam_guard.errors import (
    AccountNotActive,
    ExpiredToken,
    InvalidClientTokenId,
    InvalidIdentityToken,
    SignatureDoesNotMatch,
    UntrustedCertificate,
)
from iam_guard.model.credential import TEMPORARY, AccessKey, ApiKey, Session
from iam_guard.model.own_services import SERVED
from iam_guard.model.principal import Credential, Issued, Principal, PrincipalType
from iam_guard.model.request import Call
from iam_guard.store.protocol import AccountRecord

ANONYMOUS = replace(Principal.anonymous(), credential=Credential("none"))
"""The caller without a credential."""
_PLACEHOLDER_SECRET = "0" * 40  # for unknown keys, so that their refusal takes as long as any other
_PLACEHOLDER_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """Verifies credentials with the lookups and limits that are the same for all requests.

    A credential that was verified is refused if the account of its principal is not active (`find_account`).
    `skew` is in seconds; `api_skew` replaces it in signatures for IAM and STS. `callers` caches verified callers and
    never changes a result. `open_session` returns the session of a session token, None for an invalid one; without it
    session tokens are refused. `admit_token` returns the role session of an OIDC token or raises;
    `find_certificate_session` does so for a client certificate; without them these credentials are refused. `accepted`
    restricts the regions and services of signatures, None accepts any. `replays` refuses signatures that were used
    before. `known` gets the verified callers, whose next requests it may accept without this class.
    """

    find_access_key: Callable[[str], AccessKey | None]
    find_api_key: Callable[[str], ApiKey | None]
    find_account: Callable[[Principal], AccountRecord]
    callers: CallerCache
    skew: float
    api_skew: float = 900.0
    public_hosts: Sequence[str] = ()
    max_header: int = 64 * 1024
    open_session: Callable[[str], Session | None] | None = None
    admit_token: Callable[[TokenCredential, HttpRequest, Call | None, datetime], Principal] | None = None
    find_certificate_session: Callable[[CertificateCredential, Call | None], Principal] | None = None
    accepted: AcceptedScope | None = None
    replays: SignatureReplays | None = None
    known: KnownCredentials | None = None

    def authenticate(
        self,
        request: HttpRequest,
        *,
        payload_hash: Callable[[], str],
        now: datetime,
        call: Call | None = None,
        credential: AnyCredential | None = None,
        unsigned_payload: bool = False,
        chunks: ChunkedBody | None = None,
        any_scope: bool = False,
    ) -> Principal:
        """Return the authenticated principal; its `credential` describes how it authenticated.

        `payload_hash` returns the SHA-256 of the body in lower-case hexadecimal; it is called for signatures only, at
        most once. `now` is timezone-aware. `credential` is the result of `extract` for this request, if already known.
        `unsigned_payload` accepts a body that the signature does not cover. `chunks` decodes a chunked body, starting
        with the verified signature; without it chunked bodies are refused. `any_scope` skips the check of region and
        service, which is then left to the caller of this method.
        Raises `CredentialError`, `RequestTooLarge`, and the errors of the lookups.
        """
        if credential is None:
            credential = extract(request, max_header=self.max_header)
        if isinstance(credential, SigV4Credential):
            sigv4.check_time(credential, now=now, skew=self._skew(credential))
            sigv4.check_coverage(request, credential)
            if self.accepted is not None and not any_scope:
                self.accepted.check(credential)
            stated = stated_payload(request, credential, unsigned=unsigned_payload, chunked=chunks is not None)
            caller = self._by_signature(request, credential, stated, payload_hash, now, chunks)
            if self.known is not None:
                self.known.add_signer(request, credential, caller, skew=self._skew(credential), any_scope=any_scope)
            return caller.principal
        if isinstance(credential, ApiKeyCredential):
            caller = _by_api_key(credential, self.find_api_key(credential.id), now, self.callers)
            self._of_active_account(caller.principal)
            if self.known is not None:
                self.known.api_keys.add(request, caller)
            return caller.principal
        if isinstance(credential, NoCredential):
            return ANONYMOUS
        if isinstance(credential, TokenCredential):
            if self.admit_token is None:
                raise InvalidIdentityToken("tokens of OIDC providers are not accepted here")
            return self._of_active_account(self.admit_token(credential, request, call, now))
        if self.find_certificate_session is None:
            raise UntrustedCertificate("client certificates are not accepted")
        return self._of_active_account(self.find_certificate_session(credential, call))

    def precheck(self, request: HttpRequest, credential: SigV4Credential, stated: str | None, *, now: datetime) -> None:
        """Run the checks of `authenticate` that need no body: form, time, key, and the signature over `stated`.

        `stated` is the body hash that the request declares, None without one. A request that passes is not
        authenticated yet.
        """
        sigv4.check_time(credential, now=now, skew=self._skew(credential))
        sigv4.check_coverage(request, credential)
        record, _ = self._signer(credential, now)
        if stated is not None or record is None:
            signed_hash = stated or _PLACEHOLDER_SECRET
            key = _signing_key(record, credential)
            host = self._signed_host(key, request, credential, signed_hash)
            if record is None:
                raise InvalidClientTokenId()
            if host is None:
                raise SignatureDoesNotMatch()

    def _of_active_account(self, principal: Principal) -> Principal:
        """Return the principal back. Raises `AccountNotActive`."""
        require_active(self.find_account(principal))
        return principal

    def _skew(self, credential: SigV4Credential) -> float:
        return self.api_skew if credential.service in SERVED else self.skew

    def _by_signature(
        self,
        request: HttpRequest,
        credential: SigV4Credential,
        stated: str | None,
        payload_hash: Callable[[], str],
        now: datetime,
        chunks: ChunkedBody | None,
    ) -> Caller:
        record, parent_key = self._signer(credential, now)
        signed_hash = stated or payload_hash()
        date = ASYMMETRIC if credential.algorithm == ASYMMETRIC else credential.date
        scope = credential.access_key_id, date, credential.region, credential.service
        caller = self.callers.get(scope, record, parent_key)
        key = (caller.signing_key if caller else None) or _signing_key(record, credential)
        host = self._signed_host(key, request, credential, signed_hash)
        if caller and host is None:
            _signing_key(record, credential)  # so that the refusal takes as long as that of an unknown key
        if record is None:
            raise InvalidClientTokenId()
        if host is None:
            raise SignatureDoesNotMatch()
        account = self.find_account(record.principal)  # before anything has an effect
        if stated is not None:
            _check_body(stated, payload_hash, chunks, credential, key)
        require_active(account)
        if caller is None:
            principal = _authenticated(record, parent_key, credential, self._region(credential))
            caller = Caller(record, principal, key, parent_key)
            self.callers.add(scope, caller)
        if self.replays is not None and not credential.is_presigned:
            self.replays.check(credential, now=now, skew=self._skew(credential))
        return self._at_host(scope, caller, host) if host else caller

    def _at_host(self, scope: Scope, caller: Caller, host: str) -> Caller:
        """Return the caller with the signed host: the same object each time, since policies are cached by it."""
        scope = (*scope, host)
        cached = self.callers.get(scope, caller.record, caller.parent_key)
        if cached is None:
            credential = caller.principal.credential
            signed = None if credential is None else replace(credential, host=host)
            cached = replace(caller, principal=replace(caller.principal, credential=signed))
            self.callers.add(scope, cached)
        return cached

    def _signed_host(
        self, key: sigv4.Key, request: HttpRequest, credential: SigV4Credential, signed_hash: str
    ) -> str | None:
        """Return the public host that was signed before a proxy rewrote it, empty for the received one.

        None if the signature does not match with any host.
        """
        if sigv4.is_signed_with(key, request, credential, payload_hash=signed_hash):
            return ""
        for host in self.public_hosts:
            if sigv4.is_signed_with(key, request.at_host(host), credential, payload_hash=signed_hash):
                return host
        return None

    def _region(self, credential: SigV4Credential) -> str:
        """Return the region of a signature; for a region set, a region of the application that is in it."""
        if self.accepted is None or credential.algorithm != ASYMMETRIC:
            return credential.region
        return self.accepted.region_in(credential.region) or self.accepted.regions[0]

    def _signer(self, credential: SigV4Credential, now: datetime) -> _Signer:
        if credential.session_token is None:
            access_key = self.find_access_key(credential.access_key_id)
            is_long_term = not credential.access_key_id.startswith(TEMPORARY)
            return (access_key, None) if access_key is not None and access_key.active and is_long_term else _NO_SIGNER
        if self.open_session is None:
            raise InvalidClientTokenId(place="x-amz-security-token")
        session = self.open_session(credential.session_token)
        if session is None or not same(credential.access_key_id, session.access_key_id):
            return _NO_SIGNER
        if session.expires <= now:
            raise ExpiredToken()
        if not depends_on_parent_key(session):
            return session, None
        parent_key = self.find_access_key(session.parent_key_id or "")
        return (session, parent_key) if is_parent_key(parent_key, session) else _NO_SIGNER


def require_active(account: AccountRecord) -> None:
    """Raise `AccountNotActive` for the account of a verified credential, unless it accepts credentials.

    Raises `InvalidClientTokenId` for an account that does not exist (any more).
    """
    if not account.exists:
        raise InvalidClientTokenId()
    if not account.is_active:
        raise AccountNotActive(account.state)


def signed_service(credential: AnyCredential | None) -> str | None:
    """Return the service in a signature's scope; None for every other credential."""
    return credential.service if isinstance(credential, SigV4Credential) else None


_Signer: TypeAlias = tuple[AccessKey | Session | None, AccessKey | None]
"""The key or session whose secret verifies a signature, None if invalid; and the parent key of a user's session."""

_NO_SIGNER: _Signer = (None, None)


def _check_body(
    stated: str,
    payload_hash: Callable[[], str],
    chunks: ChunkedBody | None,
    credential: SigV4Credential,
    key: sigv4.Key,
) -> None:
    """Check the body against its stated hash, or start the verification of its chunks."""
    if chunks is not None and is_chunked(stated):
        chunks.begin(credential, partial(sigv4.is_signature, key))
    elif stated != UNSIGNED:
        check_payload(stated, payload_hash())


def _signing_key(record: AccessKey | Session | None, credential: SigV4Credential) -> sigv4.Key:
    secret = record.secret if record else _PLACEHOLDER_SECRET
    if credential.algorithm == ASYMMETRIC:
        return sigv4a.public_key(secret, credential.access_key_id)
    return sigv4.signing_key(secret, credential.date, credential.region, credential.service)


def _authenticated(
    record: AccessKey | Session, parent_key: AccessKey | None, signature: SigV4Credential, region: str
) -> Principal:
    """Return the principal of a key or session with its `credential` set."""
    credential = Credential("sigv4", signature.access_key_id, region, signature.service)
    principal = record.principal
    if isinstance(record, AccessKey):
        return replace(principal, credential=credential)
    issued = Issued(record.issued, record.expires, record.transitive_tag_keys, record.source_identity, record.mfa_at)
    if parent_key is not None:
        issued = replace(issued, parent_key_id=parent_key.id)
    credential = replace(credential, kind="sts", issued=issued)
    if parent_key is not None:  # the user may have been renamed since (S-33, P-10)
        match principal.type:
            case PrincipalType.USER:
                return replace(principal, arn=parent_key.principal.arn, credential=credential)
            case PrincipalType.FEDERATED_USER:
                return replace(principal, user_arn=parent_key.principal.arn, credential=credential)
    return replace(principal, credential=credential)


def _by_api_key(credential: ApiKeyCredential, api_key: ApiKey | None, now: datetime, callers: CallerCache) -> Caller:
    is_good = same(credential.digest, api_key.digest if api_key else _PLACEHOLDER_DIGEST)
    if api_key is None or not is_good or not api_key.active:
        raise InvalidClientTokenId()
    if api_key.expires is not None and api_key.expires <= now:
        raise ExpiredToken()
    scope = (credential.id,)
    caller = callers.get(scope, api_key)
    if caller is None:
        caller = Caller(api_key, replace(api_key.principal, credential=Credential("api-key", credential.id)))
        callers.add(scope, caller)
    return caller
