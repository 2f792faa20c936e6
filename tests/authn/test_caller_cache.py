"""The caller cache never changes a result, and no entry outlives the record that it was derived from."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.authn import api_key as keys_of
from iam_guard.authn.caller_cache import Caller, CallerCache
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import CredentialError, ExpiredToken, InvalidClientTokenId, SignatureDoesNotMatch
from iam_guard.model.credential import AccessKey, ApiKey
from iam_guard.model.principal import Credential, Principal
from tests.authn.signing import (
    ACCESS_KEY,
    ALICE,
    API_KEY,
    API_SECRET,
    API_TEXT,
    EMPTY_HASH,
    KEY_ID,
    NOW,
    SECRET,
    Received,
    authenticated,
    send,
    sign,
    with_header,
)
from tests.tables import table

BEARER = b"Bearer " + API_TEXT.encode()
BEARING = Received(HttpRequest("GET", b"/", b"", ((b"authorization", BEARER),)))
SIGNED = send(sign())
BOB = Principal.from_arn("arn:aws:iam::123456789012:user/bob", userid="AIDABOB")


def authenticate_both(
    callers: CallerCache, *, access_key: AccessKey | None = ACCESS_KEY, api_key: ApiKey | None = API_KEY
) -> tuple[object, object]:
    """Authenticate with a signature and an API key; return each principal, or the error code."""
    return (
        outcome(SIGNED, callers, access_key=access_key),
        outcome(BEARING, callers, api_key=api_key),
    )


def outcome(received: Received, callers: CallerCache, **stored: AccessKey | ApiKey | None) -> object:
    try:
        return authenticated(received, callers=callers, **stored)  # type: ignore[arg-type]
    except CredentialError as error:
        return type(error), str(error)


def filled_cache() -> CallerCache:
    """Return a cache with the two callers of this file."""
    callers = CallerCache()
    assert authenticate_both(callers) == (ALICE, ALICE)
    assert len(callers) == 2
    return callers


# --- which callers are cached ------------------------------------------------------------------------------------


def test_caller_is_cached_after_verified_signature_only() -> None:
    """Clients choose region and service, so unverified ones must not fill the cache."""
    callers = CallerCache()
    for number in range(20):
        region = f"region-{number}"
        for access_key, secret in ((ACCESS_KEY, "guess"), (None, SECRET), (replace(ACCESS_KEY, active=False), SECRET)):
            with pytest.raises(CredentialError):
                authenticated(send(sign(region=region, secret=secret)), access_key=access_key, callers=callers)
    assert len(callers) == 0
    assert authenticated(SIGNED, callers=callers) == ALICE
    assert len(callers) == 1


def test_caller_with_changed_body_is_not_cached() -> None:
    """Only callers of fully verified requests are cached."""
    callers = CallerCache()
    declared = send(sign("PUT", headers=[("X-Amz-Content-SHA256", hashlib.sha256(b"one").hexdigest())], body=b"one"))
    with pytest.raises(SignatureDoesNotMatch):
        authenticated(replace(declared, body=b"two"), callers=callers)
    assert len(callers) == 0


def test_api_key_owner_is_cached_after_verification_only() -> None:
    """Not for a wrong secret, an inactive or an expired key."""
    callers = CallerCache()
    for bad in (
        None,
        replace(API_KEY, digest=bytes(32)),
        replace(API_KEY, active=False),
        replace(API_KEY, expires=NOW),
    ):
        with pytest.raises(CredentialError):
            authenticated(BEARING, api_key=bad, callers=callers)
    assert len(callers) == 0
    assert authenticated(BEARING, api_key=API_KEY, callers=callers) == ALICE
    assert len(callers) == 1


def test_same_caller_has_identical_principal() -> None:
    """What a principal has computed is reused by the next request."""
    callers = filled_cache()
    first, again = authenticate_both(callers), authenticate_both(callers)
    assert first[0] is again[0]
    assert first[1] is again[1]
    assert first[0] is not first[1]


def test_same_scope_has_identical_principal() -> None:
    """Time, path, body, signed headers and client do not matter."""
    callers = filled_cache()
    variants = [
        with_header(SIGNED, b"user-agent", b"variant"),
        with_header(SIGNED, b"cookie", b"a=b"),
        send(sign("PUT", "http://127.0.0.1:8000/variant?a=b", headers=[("X-Custom", "a")], body=b"x")),
        send(sign(now=NOW + timedelta(seconds=10))),
    ]
    for variant in variants:
        assert authenticated(variant, callers=callers) is authenticate_both(callers)[0]
    assert len(callers) == 2


# --- caching does not change results -----------------------------------------------------------------------------


@table(
    "changed",
    [
        replace(SIGNED, request=replace(SIGNED.request, raw_path=b"/documents/43")),
        replace(SIGNED, request=replace(SIGNED.request, query_string=b"a=b")),
        replace(SIGNED, request=replace(SIGNED.request, method="PUT")),
        replace(SIGNED, body=b"x"),
        with_header(SIGNED, b"host", b"variant"),
        with_header(SIGNED, b"x-amz-date", b"20261124T123016Z"),
        with_header(SIGNED, b"x-amz-target", b"Docs.Delete"),
        with_header(SIGNED, b"x-amz-security-token", b"token"),
        with_header(SIGNED, b"x-amz-content-sha256", EMPTY_HASH.encode()),
        with_header(SIGNED, b"x-api-key", BEARER[7:]),
        send(sign(secret="guess")),
        send(sign(now=NOW - timedelta(hours=1))),
        send(sign(now=NOW + timedelta(hours=1))),
    ],
)
def test_cached_caller_is_verified_again(changed: Received) -> None:
    """Nothing of an earlier request counts but its signing key."""
    expected = outcome(changed, CallerCache())
    assert isinstance(expected, tuple)
    assert outcome(changed, filled_cache()) == expected


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 400), st.sampled_from(list(b"0aA/=;,. \t\xff")), st.booleans())
def test_changed_credential_has_same_error_with_cache(at: int, byte: int, insert: bool) -> None:
    """Cache on and cache off have identical results."""
    [text] = SIGNED.request.values(b"authorization")
    changed = text[:at] + bytes([byte]) + text[at if insert else at + 1 :]
    received = with_header(SIGNED, b"authorization", changed)
    assert outcome(received, filled_cache()) == outcome(received, CallerCache())


def test_cache_size_zero_has_same_results() -> None:
    """A size of 0 turns the cache off."""
    callers = CallerCache(0)
    assert authenticate_both(callers) == authenticate_both(callers) == (ALICE, ALICE)
    assert authenticate_both(callers, access_key=None, api_key=None) == authenticate_both(
        CallerCache(), access_key=None, api_key=None
    )
    assert len(callers) == 0


# --- it ends with the record -------------------------------------------------------------------------------------

BAD_KEY = (InvalidClientTokenId, str(InvalidClientTokenId()))
BAD_SIGNATURE = (SignatureDoesNotMatch, str(SignatureDoesNotMatch()))


@table(
    ("access_key", "api_key", "expected"),
    [
        (None, None, (BAD_KEY, BAD_KEY)),
        (replace(ACCESS_KEY, active=False), replace(API_KEY, active=False), (BAD_KEY, BAD_KEY)),
        (replace(ACCESS_KEY, secret="rotated"), replace(API_KEY, digest=bytes(32)), (BAD_SIGNATURE, BAD_KEY)),
    ],
    ids=["deleted", "deactivated", "rotated"],
)
def test_changed_key_takes_effect_immediately(
    access_key: AccessKey | None, api_key: ApiKey | None, expected: tuple[object, object]
) -> None:
    """A deactivated key is refused at once and accepted again when it is restored."""
    callers = filled_cache()
    for _ in range(2):
        assert authenticate_both(callers, access_key=access_key, api_key=api_key) == expected
    assert authenticate_both(callers) == (ALICE, ALICE)


def test_cached_api_key_expires() -> None:
    """The expiry is checked for every request."""
    callers, expiring = CallerCache(), replace(API_KEY, expires=NOW)
    assert authenticated(BEARING, api_key=expiring, now=NOW - timedelta(seconds=1), callers=callers) == ALICE
    with pytest.raises(ExpiredToken):
        authenticated(BEARING, api_key=expiring, now=NOW, callers=callers)


def test_rotated_secret_replaces_cached_key() -> None:
    """The new secret is valid at once, the old one is not, whatever is cached."""
    callers, rotated = filled_cache(), replace(ACCESS_KEY, secret="rotated")
    for _ in range(2):
        assert authenticated(send(sign(secret="rotated")), access_key=rotated, callers=callers) == ALICE
        with pytest.raises(SignatureDoesNotMatch):
            authenticated(SIGNED, access_key=rotated, callers=callers)
    assert len(callers) == 2


def test_recreated_key_has_its_new_owner() -> None:
    """The same id and secret with another owner or a restriction is another principal."""
    callers = filled_cache()
    scoped = replace(ALICE, session_policies=("{}",))
    for principal in (BOB, scoped, ALICE):
        found = authenticate_both(
            callers,
            access_key=replace(ACCESS_KEY, principal=principal),
            api_key=replace(API_KEY, principal=principal),
        )
        assert found == (principal, principal)
        assert [one.session_policies for one in found if isinstance(one, Principal)] == [principal.session_policies] * 2
    assert len(callers) == 2


def test_equal_record_misses_cache() -> None:
    """Records are compared by identity, never by equality."""
    callers = filled_cache()
    with_session = replace(ALICE, session={"aws:TokenIssueTime": "2026-11-24T12:00:00Z"})
    assert with_session == ALICE
    access_key, api_key = replace(ACCESS_KEY, principal=with_session), replace(API_KEY, principal=with_session)
    assert (access_key, api_key) == (ACCESS_KEY, API_KEY)
    for principal in authenticate_both(callers, access_key=access_key, api_key=api_key):
        assert isinstance(principal, Principal)
        assert principal.session == with_session.session
    for principal in authenticate_both(callers):
        assert isinstance(principal, Principal)
        assert principal.session == {}


# --- callers are not confused ------------------------------------------------------------------------------------


def test_each_scope_has_its_own_credential() -> None:
    """The audit trail gets the region and service of this signature, not of an earlier one."""
    callers = CallerCache()
    scopes = [("eu-west-1", "docs"), ("us-east-1", "docs"), ("eu-west-1", "iam"), ("eu-west-1", "docs")]
    for region, service in scopes:
        principal = authenticated(send(sign(region=region, service=service)), callers=callers)
        assert principal.credential == Credential("sigv4", KEY_ID, region, service)
    tomorrow = NOW + timedelta(days=1)
    assert authenticated(send(sign(now=tomorrow)), now=tomorrow, callers=callers) == ALICE
    assert len(callers) == 4


def test_cached_key_of_one_scope_is_refused_in_another() -> None:
    """Also if both scopes are cached."""
    callers = filled_cache()
    variant = send(sign(region="us-east-1"))
    assert authenticated(variant, callers=callers) == ALICE
    [text] = SIGNED.request.values(b"authorization")
    with pytest.raises(SignatureDoesNotMatch):
        authenticated(with_header(SIGNED, b"authorization", text.replace(b"eu-west-1", b"us-east-1")), callers=callers)


def test_two_keys_of_one_owner_have_own_credentials() -> None:
    """Each principal names its own key, though the owner is the same object."""
    callers = filled_cache()
    variant = replace(ACCESS_KEY, id="AKIAOTHEREXAMPLE")
    found = authenticated(send(sign(key_id=variant.id)), access_key=variant, callers=callers)
    assert found.credential == Credential("sigv4", variant.id, "eu-west-1", "docs")
    assert len(callers) == 3
    for principal, kind, id in zip(authenticate_both(callers), ("sigv4", "api-key"), (KEY_ID, API_KEY.id), strict=True):
        assert isinstance(principal, Principal)
        assert principal.credential is not None
        assert (principal.credential.kind, principal.credential.id) == (kind, id)


def test_access_key_and_api_key_with_one_id_differ() -> None:
    """Ids of the two kinds are independent and may coincide."""
    callers, named_alike = CallerCache(), replace(ACCESS_KEY, id=API_KEY.id, principal=BOB)
    for _ in range(2):
        assert authenticated(BEARING, api_key=API_KEY, callers=callers) == ALICE
        assert authenticated(send(sign(key_id=API_KEY.id)), access_key=named_alike, callers=callers) == BOB
    assert len(callers) == 2


def test_each_api_key_has_its_own_owner() -> None:
    """Cached keys do not affect each variant."""
    callers = filled_cache()
    variant = ApiKey("K7Q2OTHER", keys_of.digest_of(API_SECRET), active=True, principal=BOB)
    text = keys_of.format_api_key(variant.id, API_SECRET).encode()
    for _ in range(2):
        assert (
            authenticated(with_header(BEARING, b"authorization", b"Bearer " + text), api_key=variant, callers=callers)
            == BOB
        )
        assert authenticated(BEARING, api_key=API_KEY, callers=callers) == ALICE
    assert len(callers) == 3


# --- the cache ---------------------------------------------------------------------------------------------------


def test_caller_cache_is_bounded() -> None:
    """The least recently used caller is evicted."""
    callers = CallerCache(2)
    caller = Caller(ACCESS_KEY, ALICE)
    scopes = [("AKID", "20261124", f"region-{number}", "docs") for number in range(3)]
    callers.add(scopes[0], caller)
    callers.add(scopes[1], caller)
    assert callers.get(scopes[0], ACCESS_KEY) is caller
    callers.add(scopes[2], caller)
    assert [callers.get(scope, ACCESS_KEY) for scope in scopes] == [caller, None, caller]
    assert len(callers) == 2


def test_caller_cache_is_thread_safe() -> None:
    """Threads that evict each variant's callers neither fail nor mix them up."""
    callers = CallerCache(3)
    stored = [Caller(replace(ACCESS_KEY, id=f"AKID{number}"), ALICE) for number in range(7)]

    def hammer(number: int) -> bool:
        caller = stored[number % 7]
        callers.add((caller.record.id,), caller)
        return callers.get((caller.record.id,), caller.record) in {None, caller}

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(hammer, range(5000)))
    assert len(callers) <= 3


def test_cached_caller_repr_hides_secrets() -> None:
    """A caller can be logged: its repr has no secrets."""
    caller = Caller(ACCESS_KEY, ALICE, b"derived key")
    assert KEY_ID in repr(caller)
    assert "derived key" not in repr(caller)
    assert SECRET not in repr(caller)
