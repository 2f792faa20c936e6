"""The door of this room: a request in, the principal behind it out, or a refusal.

Pure: keys are looked up by the functions given, the time and the body's hash are arguments. An absent credential is
the anonymous principal; a bad one is an error with AWS's code, never anonymous. The order of checks: exactly one
credential; its form; its time and coverage; its key; its signature; its body. Nobody learns whether a key exists but
is inactive, or an API key exists but has another secret: unknown, inactive and mismatched say the same, after the same
work.

Must not live here: what the principal may do (`evaluation`), and its tags, groups and policies (`store`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from iam_guard.authn import sigv4
from iam_guard.authn.callers import Caller, Callers
from iam_guard.authn.compare import same
from iam_guard.authn.credential import (
    AnyCredential,
    ApiKeyCredential,
    Claim,
    NoCredential,
    SigV4Credential,
    claim_of,
    credential_of,
    extract,
)
from iam_guard.authn.http import HttpRequest
from iam_guard.errors import ExpiredToken, InvalidClientTokenId, SignatureDoesNotMatch
from iam_guard.model.credential import AccessKey, ApiKey
from iam_guard.model.principal import Credential, Principal

__all__ = [
    "AnyCredential",
    "Callers",
    "Claim",
    "HttpRequest",
    "authenticate",
    "claim_of",
    "credential_of",
    "extract",
    "signed_service",
]

_ANONYMOUS = replace(Principal.anonymous(), credential=Credential("none"))
_NO_SECRET = "0" * 40  # stands in for the secret of an unknown key, so that refusing it takes as long
_NO_DIGEST = bytes(32)


def authenticate(
    request: HttpRequest,
    *,
    find_access_key: Callable[[str], AccessKey | None],
    find_api_key: Callable[[str], ApiKey | None],
    payload_hash: Callable[[], str],
    now: datetime,
    skew: float,
    callers: Callers,
    public_hosts: Sequence[str] = (),
    max_header: int = 64 * 1024,
    credential: AnyCredential | None = None,
) -> Principal:
    """Find out who sent the request; the principal says with what in its `credential`.

    `payload_hash` gives the SHA-256 of the body in lower-case hexadecimal; it is called only for a
    signature, and at most once. `now` carries a time zone, `skew` is in seconds. `callers` remembers who signed in from
    one request to the next, and changes no answer. `credential` is what `extract` read of this very request, where it
    was asked already. Raises `CredentialError`, `RequestTooLarge`, and whatever the functions raise.
    """
    if credential is None:
        credential = extract(request, max_header=max_header)
    match credential:
        case NoCredential():
            return _ANONYMOUS
        case ApiKeyCredential():
            return _by_api_key(credential, find_api_key(credential.id), now, callers)
        case SigV4Credential():
            if credential.has_session_token:  # none are issued, so none is good; long-term keys have none
                raise InvalidClientTokenId(place="x-amz-security-token")
            sigv4.check_time(credential, now=now, skew=skew)
            sigv4.check_coverage(request, credential)
            return _by_signature(request, credential, find_access_key, payload_hash, callers, public_hosts)


def signed_service(credential: AnyCredential | None) -> str | None:
    """Give the service that a signature is scoped to; None for every other credential."""
    return credential.service if isinstance(credential, SigV4Credential) else None


def _by_signature(
    request: HttpRequest,
    credential: SigV4Credential,
    find_access_key: Callable[[str], AccessKey | None],
    payload_hash: Callable[[], str],
    callers: Callers,
    public_hosts: Sequence[str],
) -> Principal:
    declared = sigv4.declared_payload_hash(request)
    signed_hash = declared or payload_hash()
    access_key = find_access_key(credential.access_key_id)
    if access_key is not None and not access_key.active:
        access_key = None
    scope = credential.access_key_id, credential.date, credential.region, credential.service
    known = callers.get(scope, access_key)
    key = known.signing_key if known else _signing_key(access_key, credential)
    is_good = sigv4.is_signed_with(key, request, credential, payload_hash=signed_hash, public_hosts=public_hosts)
    if known and not is_good:
        _signing_key(access_key, credential)  # so that the refusal takes as long as that of an unknown key
    if access_key is None:
        raise InvalidClientTokenId()
    if not is_good:
        raise SignatureDoesNotMatch()
    if declared is not None:
        sigv4.check_payload(declared, payload_hash())
    if known is None:
        signed_in = Credential("sigv4", credential.access_key_id, credential.region, credential.service)
        known = Caller(access_key, replace(access_key.principal, credential=signed_in), key)
        callers.keep(scope, known)
    return known.principal


def _signing_key(access_key: AccessKey | None, credential: SigV4Credential) -> bytes:
    secret = access_key.secret if access_key else _NO_SECRET
    return sigv4.signing_key(secret, credential.date, credential.region, credential.service)


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
