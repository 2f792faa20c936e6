"""The door of this room: a request in, the principal behind it out, or a refusal.

Pure: keys are looked up by the functions given, the time and the body's hash are arguments. An absent credential is the
anonymous principal; a bad one is an error with AWS's code, never anonymous. The order of checks: exactly one
credential; its form; its time and coverage; its key; its signature; its body. Nobody learns whether a key exists but is
inactive, or an API key exists but has another secret: unknown, inactive and mismatched say the same, after the same
work. So do a session token that does not open, one with another access key, one whose user's key is gone, and temporary
credentials without their token: each leaves a signature to be checked for nobody (S-1, S-51).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TypeAlias

from iam_guard.authn import sigv4, sigv4a
from iam_guard.authn.accepted_scope import AcceptedScope, wrong_service
from iam_guard.authn.caller_cache import Caller, Callers, Scope
from iam_guard.authn.canonical import refuse_dot_segments
from iam_guard.authn.chunked import ChunkedBody
from iam_guard.authn.constant_time import same
from iam_guard.authn.credential import credential_of, extract
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.payload_hash import UNSIGNED, check_payload, is_chunked, is_unsigned, stated_payload
from iam_guard.authn.presented_credentials import (
    ASYMMETRIC,
    AnyCredential,
    ApiKeyCredential,
    CertificateCredential,
    Claim,
    NoCredential,
    SigV4Credential,
    TokenCredential,
    claim_of,
)
from iam_guard.authn.signature_replays import SignatureReplays
from iam_guard.authn.temporary_credentials import OpenedTokens, ends_with_a_key, is_key_behind
from iam_guard.errors import (
    ExpiredToken,
    InvalidClientTokenId,
    InvalidIdentityToken,
    SignatureDoesNotMatch,
    UntrustedCertificate,
)
from iam_guard.model.credential import TEMPORARY, AccessKey, ApiKey, Session
from iam_guard.model.principal import Credential, Issued, Principal, PrincipalType
from iam_guard.model.request import Call

__all__ = [
    "AcceptedScope",
    "AnyCredential",
    "Authenticator",
    "Callers",
    "CertificateCredential",
    "ChunkedBody",
    "Claim",
    "HttpRequest",
    "OpenedTokens",
    "SigV4Credential",
    "SignatureReplays",
    "TokenCredential",
    "check_payload",
    "claim_of",
    "credential_of",
    "extract",
    "is_chunked",
    "is_unsigned",
    "refuse_dot_segments",
    "signed_service",
    "stated_payload",
    "wrong_service",
]

_ANONYMOUS = replace(Principal.anonymous(), credential=Credential("none"))
_NO_SECRET = "0" * 40  # stands in for the secret of an unknown key, so that refusing it takes as long
_NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """Whom a request is let in as, by what is the same for all requests.

    `skew` is in seconds. `callers` remembers who signed in from one request to the next, and changes no answer.
    `open_session` gives what a session token says, None for one that is not ours; without it no token is good.
    `admit_token` gives the role session of a token of an OIDC provider, or refuses it; `find_certificate_session` does
    so for a client certificate; without them none is accepted. `accepted` has the regions and services that signatures
    must be for, None for any. `replays` refuses a signature that was seen before.
    """

    find_access_key: Callable[[str], AccessKey | None]
    find_api_key: Callable[[str], ApiKey | None]
    callers: Callers
    skew: float
    public_hosts: Sequence[str] = ()
    max_header: int = 64 * 1024
    open_session: Callable[[str], Session | None] | None = None
    admit_token: Callable[[TokenCredential, HttpRequest, Call | None, datetime], Principal] | None = None
    find_certificate_session: Callable[[CertificateCredential, Call | None], Principal] | None = None
    accepted: AcceptedScope | None = None
    replays: SignatureReplays | None = None

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
        """Find out who sent the request; the principal says with what in its `credential`.

        `payload_hash` gives the SHA-256 of the body in lower-case hexadecimal; it is called only for a signature, and
        at most once. `now` carries a time zone. `credential` is what `extract` read of this very request, where it was
        asked already. `unsigned_payload` accepts a body that the signature does not cover; `chunks` is the decoder of a
        body in chunks, which begins with the signature that has verified, and without one such bodies are refused.
        `any_scope` accepts a signature for any region and service; the caller of this method checks both.
        Raises `CredentialError`, `RequestTooLarge`, and whatever the functions raise.
        """
        if credential is None:
            credential = extract(request, max_header=self.max_header)
        if isinstance(credential, SigV4Credential):
            self._check_form(request, credential, now)
            if self.accepted is not None and not any_scope:
                self.accepted.check(credential)
            stated = stated_payload(request, credential, unsigned=unsigned_payload, chunked=chunks is not None)
            return self._by_signature(request, credential, stated, payload_hash, now, chunks)
        if isinstance(credential, ApiKeyCredential):
            return _by_api_key(credential, self.find_api_key(credential.id), now, self.callers)
        if isinstance(credential, NoCredential):
            return _ANONYMOUS
        if isinstance(credential, TokenCredential):
            if self.admit_token is None:
                raise InvalidIdentityToken("tokens of OIDC providers are not accepted here")
            return self.admit_token(credential, request, call, now)
        if self.find_certificate_session is None:
            raise UntrustedCertificate("client certificates are not accepted")
        return self.find_certificate_session(credential, call)

    def recognise(
        self, request: HttpRequest, credential: SigV4Credential, stated: str | None, *, now: datetime
    ) -> None:
        """Raise what `authenticate` would as far as no body is needed: form, time, key, and a signature over `stated`.

        `stated` is the hash that the request states of its body, None where it states none. Of a request that passes
        nothing is proved yet.
        """
        self._check_form(request, credential, now)
        record, _ = self._signer(credential, now)
        if stated is not None or record is None:
            signed_hash = stated or _NO_SECRET
            key = _signing_key(record, credential)
            is_good = _is_signed_with(key, request, credential, signed_hash)
            public = None if is_good else self._public_host(key, request, credential, signed_hash)
            if record is None:
                raise InvalidClientTokenId()
            if not is_good and public is None:
                raise SignatureDoesNotMatch()

    def _check_form(self, request: HttpRequest, credential: SigV4Credential, now: datetime) -> None:
        """Refuse what no key could make good, before one is looked up."""
        if credential.session_token is not None and self.open_session is None:
            raise InvalidClientTokenId(place="x-amz-security-token")
        sigv4.check_time(credential, now=now, skew=self.skew)
        sigv4.check_coverage(request, credential)

    def _by_signature(
        self,
        request: HttpRequest,
        credential: SigV4Credential,
        stated: str | None,
        payload_hash: Callable[[], str],
        now: datetime,
        chunks: ChunkedBody | None,
    ) -> Principal:
        record, behind = self._signer(credential, now)
        signed_hash = stated or payload_hash()
        scope = _scope(credential)
        known = self.callers.get(scope, record, behind)
        key = (known.signing_key if known else None) or _signing_key(record, credential)
        is_good = _is_signed_with(key, request, credential, signed_hash)
        public = None if is_good else self._public_host(key, request, credential, signed_hash)
        if known and not is_good and public is None:
            _signing_key(record, credential)  # so that the refusal takes as long as that of an unknown key
        if record is None:
            raise InvalidClientTokenId()
        if not is_good and public is None:
            raise SignatureDoesNotMatch()
        if stated is not None:
            _check_body(stated, payload_hash, chunks, credential, key)
        if known is None:
            known = Caller(record, _signed_in(record, behind, credential, self._region(credential)), key, behind)
            self.callers.keep(scope, known)
        if self.replays is not None and not credential.is_presigned:
            self.replays.refuse_again(credential, now=now, skew=self.skew)
        return known.principal if public is None else self._at_host(scope, known, public)

    def _at_host(self, scope: Scope, known: Caller, host: str) -> Principal:
        """Return the caller with the host that was signed: the same object each time, by which policies are cached."""
        scope = (*scope, host)
        caller = self.callers.get(scope, known.record, known.behind)
        if caller is None:
            credential = known.principal.credential
            signed = None if credential is None else replace(credential, host=host)
            caller = replace(known, principal=replace(known.principal, credential=signed))
            self.callers.keep(scope, caller)
        return caller.principal

    def _public_host(
        self, key: _Key, request: HttpRequest, credential: SigV4Credential, signed_hash: str
    ) -> str | None:
        """Return the public name that was signed where a proxy has rewritten the host; None where none was."""
        for host in self.public_hosts:
            if _is_signed_with(key, request.at_host(host), credential, signed_hash):
                return host
        return None

    def _region(self, credential: SigV4Credential) -> str:
        """Return the region that a signature counts for; of a set, one of the application's."""
        if self.accepted is None or credential.algorithm != ASYMMETRIC:
            return credential.region
        return self.accepted.region_of(credential) or self.accepted.regions[0]

    def _signer(self, credential: SigV4Credential, now: datetime) -> _Signer:
        if credential.session_token is None:
            access_key = self.find_access_key(credential.access_key_id)
            is_long_term = not credential.access_key_id.startswith(TEMPORARY)
            return (access_key, None) if access_key is not None and access_key.active and is_long_term else _NOBODY
        session = self.open_session(credential.session_token) if self.open_session else None
        if session is None or not same(credential.access_key_id, session.access_key_id):
            return _NOBODY
        if session.expires <= now:
            raise ExpiredToken()
        if not ends_with_a_key(session):
            return session, None
        behind = self.find_access_key(session.parent_key_id or "")
        return (session, behind) if is_key_behind(behind, session) else _NOBODY


def signed_service(credential: AnyCredential | None) -> str | None:
    """Return the service that a signature is scoped to; None for every other credential."""
    return credential.service if isinstance(credential, SigV4Credential) else None


_Key: TypeAlias = sigv4.SigningKey | sigv4a.PublicKey
_Signer: TypeAlias = tuple[AccessKey | Session | None, AccessKey | None]
"""Whose secret a signature is checked with, None for nobody's; and the key that a user's session came from."""

_NOBODY: _Signer = (None, None)


def _check_body(
    stated: str,
    payload_hash: Callable[[], str],
    chunks: ChunkedBody | None,
    credential: SigV4Credential,
    key: _Key,
) -> None:
    """Check the body against what was stated of it, or let its chunks be checked as they come."""
    if chunks is not None and is_chunked(stated):
        chunks.begin(credential, partial(_is_signature, key))
    elif stated != UNSIGNED:
        check_payload(stated, payload_hash())


def _scope(credential: SigV4Credential) -> Scope:
    date = credential.algorithm if credential.algorithm == ASYMMETRIC else credential.date
    return credential.access_key_id, date, credential.region, credential.service


def _signing_key(record: AccessKey | Session | None, credential: SigV4Credential) -> _Key:
    secret = record.secret if record else _NO_SECRET
    if credential.algorithm == ASYMMETRIC:
        return sigv4a.public_key(secret, credential.access_key_id)
    return sigv4.signing_key(secret, credential.date, credential.region, credential.service)


def _is_signed_with(
    key: _Key,
    request: HttpRequest,
    credential: SigV4Credential,
    signed_hash: str,
) -> bool:
    if isinstance(key, sigv4.SigningKey):
        return sigv4.is_signed_with(key, request, credential, payload_hash=signed_hash)
    return sigv4a.is_signed_by(key, request, credential, payload_hash=signed_hash)


def _is_signature(key: _Key, given: str, text: bytes) -> bool:
    """Return whether a chunk's signature is the signer's."""
    if isinstance(key, sigv4.SigningKey):
        return same(given, key.signature(text))
    return sigv4a.is_signature(key, given, text)


def _signed_in(
    record: AccessKey | Session, behind: AccessKey | None, credential: SigV4Credential, region: str
) -> Principal:
    """Return the caller, completed with what it signed in with."""
    signed_in = Credential("sigv4", credential.access_key_id, region, credential.service)
    caller = record.principal
    if isinstance(record, AccessKey):
        return replace(caller, credential=signed_in)
    issued = Issued(record.issued, record.expires, record.transitive_tag_keys, record.source_identity, record.mfa_at)
    signed_in = replace(signed_in, kind="sts", issued=issued)
    if behind is not None:  # the user may be renamed (S-33, P-10)
        match caller.type:
            case PrincipalType.USER:
                return replace(caller, arn=behind.principal.arn, credential=signed_in)
            case PrincipalType.FEDERATED_USER:
                return replace(caller, user_arn=behind.principal.arn, credential=signed_in)
    return replace(caller, credential=signed_in)


def _by_api_key(credential: ApiKeyCredential, api_key: ApiKey | None, now: datetime, callers: Callers) -> Principal:
    is_good = same(credential.digest, api_key.digest if api_key else _NO_DIGEST)
    if api_key is None or not is_good or not api_key.active:
        raise InvalidClientTokenId()
    if api_key.expires is not None and api_key.expires <= now:
        raise ExpiredToken()
    scope = (credential.id,)
    known = callers.get(scope, api_key)
    if known is None:
        signed_in = Credential("api-key", credential.id)
        known = Caller(api_key, replace(api_key.principal, credential=signed_in))
        callers.keep(scope, known)
    return known.principal
