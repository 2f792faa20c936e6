"""What is remembered of callers changes no answer, and never outlives the record that it was made from."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.authn import api_key as keys_of
from iam_guard.authn.caller_cache import Caller, Callers
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

BEARER = b"Bearer " + API_TEXT.encode()
BEARING = Received(HttpRequest("GET", b"/", b"", ((b"authorization", BEARER),)))
SIGNED = send(sign())
BOB = Principal.from_arn("arn:aws:iam::123456789012:user/bob", userid="AIDABOB")


def knock(
    callers: Callers, *, access_key: AccessKey | None = ACCESS_KEY, api_key: ApiKey | None = API_KEY
) -> tuple[object, object]:
    """Ask for a signature and an API key; give each principal, or the code of the refusal."""
    return (
        outcome(SIGNED, callers, access_key=access_key),
        outcome(BEARING, callers, api_key=api_key),
    )


def outcome(received: Received, callers: Callers, **stored: AccessKey | ApiKey | None) -> object:
    try:
        return authenticated(received, callers=callers, **stored)  # type: ignore[arg-type]
    except CredentialError as error:
        return type(error), str(error)


def remembering() -> Callers:
    """Callers who remember the two of this file."""
    callers = Callers()
    assert knock(callers) == (ALICE, ALICE)
    assert len(callers) == 2
    return callers


# --- who is remembered -------------------------------------------------------------------------------------------


def test_a_signer_is_kept_only_once_a_signature_verified() -> None:
    """Strangers choose region and service freely and cannot fill the cache or push others out."""
    callers = Callers()
    for number in range(20):
        region = f"region-{number}"
        for access_key, secret in ((ACCESS_KEY, "guess"), (None, SECRET), (replace(ACCESS_KEY, active=False), SECRET)):
            with pytest.raises(CredentialError):
                authenticated(send(sign(region=region, secret=secret)), access_key=access_key, callers=callers)
    assert len(callers) == 0
    assert authenticated(SIGNED, callers=callers) == ALICE
    assert len(callers) == 1


def test_a_signer_whose_body_was_exchanged_is_not_kept() -> None:
    """A caller is kept when everything about the request was good."""
    callers = Callers()
    declared = send(sign("PUT", headers=[("X-Amz-Content-SHA256", hashlib.sha256(b"one").hexdigest())], body=b"one"))
    with pytest.raises(SignatureDoesNotMatch):
        authenticated(replace(declared, body=b"two"), callers=callers)
    assert len(callers) == 0


def test_the_owner_of_an_api_key_is_kept_only_once_it_verified() -> None:
    """Not for a wrong secret, an inactive or an expired key."""
    callers = Callers()
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


def test_the_same_caller_is_the_same_principal() -> None:
    """What a principal has worked out of itself is there for the next request."""
    callers = remembering()
    first, again = knock(callers), knock(callers)
    assert first[0] is again[0]
    assert first[1] is again[1]
    assert first[0] is not first[1]


def test_requests_that_differ_in_what_is_not_signed_have_the_same_caller() -> None:
    """Another time, path, body, set of signed headers or client is the same caller in the same scope."""
    callers = remembering()
    others = [
        with_header(SIGNED, b"user-agent", b"other"),
        with_header(SIGNED, b"cookie", b"a=b"),
        send(sign("PUT", "http://127.0.0.1:8000/other?a=b", headers=[("X-Custom", "a")], body=b"x")),
        send(sign(now=NOW + timedelta(seconds=10))),
    ]
    for other in others:
        assert authenticated(other, callers=callers) is knock(callers)[0]
    assert len(callers) == 2


# --- remembering changes no answer -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        replace(SIGNED, request=replace(SIGNED.request, raw_path=b"/documents/43")),
        replace(SIGNED, request=replace(SIGNED.request, query_string=b"a=b")),
        replace(SIGNED, request=replace(SIGNED.request, method="PUT")),
        replace(SIGNED, body=b"x"),
        with_header(SIGNED, b"host", b"other"),
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
def test_a_caller_who_is_remembered_is_verified_like_a_stranger(changed: Received) -> None:
    """Nothing of the earlier request is taken over but what it was signed with."""
    told = outcome(changed, Callers())
    assert isinstance(told, tuple)
    assert outcome(changed, remembering()) == told


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 400), st.sampled_from(list(b"0aA/=;,. \t\xff")), st.booleans())
def test_a_changed_credential_is_told_the_same_whether_it_is_remembered_or_not(
    at: int, byte: int, insert: bool
) -> None:
    """Cache on = cache off, to the letter."""
    [text] = SIGNED.request.values(b"authorization")
    changed = text[:at] + bytes([byte]) + text[at if insert else at + 1 :]
    received = with_header(SIGNED, b"authorization", changed)
    assert outcome(received, remembering()) == outcome(received, Callers())


def test_no_cache_changes_no_answer() -> None:
    """A size of 0 switches the cache off."""
    callers = Callers(0)
    assert knock(callers) == knock(callers) == (ALICE, ALICE)
    assert knock(callers, access_key=None, api_key=None) == knock(Callers(), access_key=None, api_key=None)
    assert len(callers) == 0


# --- it ends with the record -------------------------------------------------------------------------------------

BAD_KEY = (InvalidClientTokenId, str(InvalidClientTokenId()))
BAD_SIGNATURE = (SignatureDoesNotMatch, str(SignatureDoesNotMatch()))


@pytest.mark.parametrize(
    ("access_key", "api_key", "told"),
    [
        (None, None, (BAD_KEY, BAD_KEY)),
        (replace(ACCESS_KEY, active=False), replace(API_KEY, active=False), (BAD_KEY, BAD_KEY)),
        (replace(ACCESS_KEY, secret="rotated"), replace(API_KEY, digest=bytes(32)), (BAD_SIGNATURE, BAD_KEY)),
    ],
    ids=["deleted", "deactivated", "rotated"],
)
def test_a_change_of_the_key_takes_effect_at_once(
    access_key: AccessKey | None, api_key: ApiKey | None, told: tuple[object, object]
) -> None:
    """A signing key that worked a moment ago opens nothing, and the old key opens again when it is restored."""
    callers = remembering()
    for _ in range(2):
        assert knock(callers, access_key=access_key, api_key=api_key) == told
    assert knock(callers) == (ALICE, ALICE)


def test_an_api_key_that_is_remembered_expires() -> None:
    """The end is looked at for every request."""
    callers, expiring = Callers(), replace(API_KEY, expires=NOW)
    assert authenticated(BEARING, api_key=expiring, now=NOW - timedelta(seconds=1), callers=callers) == ALICE
    with pytest.raises(ExpiredToken):
        authenticated(BEARING, api_key=expiring, now=NOW, callers=callers)


def test_a_rotated_secret_signs_from_then_on() -> None:
    """The new secret is good at once, the old one is not, whatever is remembered of either."""
    callers, rotated = remembering(), replace(ACCESS_KEY, secret="rotated")
    for _ in range(2):
        assert authenticated(send(sign(secret="rotated")), access_key=rotated, callers=callers) == ALICE
        with pytest.raises(SignatureDoesNotMatch):
            authenticated(SIGNED, access_key=rotated, callers=callers)
    assert len(callers) == 2


def test_a_key_made_anew_has_its_new_owner() -> None:
    """The same id and secret in another's hands, or scoped down, is not the principal of before."""
    callers = remembering()
    scoped = replace(ALICE, session_policies=("{}",))
    for principal in (BOB, scoped, ALICE):
        found = knock(
            callers,
            access_key=replace(ACCESS_KEY, principal=principal),
            api_key=replace(API_KEY, principal=principal),
        )
        assert found == (principal, principal)
        assert [one.session_policies for one in found if isinstance(one, Principal)] == [principal.session_policies] * 2
    assert len(callers) == 2


def test_an_equal_record_is_another_record() -> None:
    """Two records are told apart by identity: what they compare, and what they do not, is never asked."""
    callers = remembering()
    with_session = replace(ALICE, session={"aws:TokenIssueTime": "2026-11-24T12:00:00Z"})
    assert with_session == ALICE
    access_key, api_key = replace(ACCESS_KEY, principal=with_session), replace(API_KEY, principal=with_session)
    assert (access_key, api_key) == (ACCESS_KEY, API_KEY)
    for principal in knock(callers, access_key=access_key, api_key=api_key):
        assert isinstance(principal, Principal)
        assert principal.session == with_session.session
    for principal in knock(callers):
        assert isinstance(principal, Principal)
        assert principal.session == {}


# --- nobody is taken for another ---------------------------------------------------------------------------------


def test_each_scope_has_its_own_credential() -> None:
    """The audit trail hears of the region and service of this signature, not of an earlier one."""
    callers = Callers()
    scopes = [("eu-west-1", "docs"), ("us-east-1", "docs"), ("eu-west-1", "iam"), ("eu-west-1", "docs")]
    for region, service in scopes:
        principal = authenticated(send(sign(region=region, service=service)), callers=callers)
        assert principal.credential == Credential("sigv4", KEY_ID, region, service)
    tomorrow = NOW + timedelta(days=1)
    assert authenticated(send(sign(now=tomorrow)), now=tomorrow, callers=callers) == ALICE
    assert len(callers) == 4


def test_a_key_of_one_scope_signs_for_no_other() -> None:
    """A signature made in one scope and sent with another's is refused, both remembered."""
    callers = remembering()
    other = send(sign(region="us-east-1"))
    assert authenticated(other, callers=callers) == ALICE
    [text] = SIGNED.request.values(b"authorization")
    with pytest.raises(SignatureDoesNotMatch):
        authenticated(with_header(SIGNED, b"authorization", text.replace(b"eu-west-1", b"us-east-1")), callers=callers)


def test_two_keys_of_one_owner_are_told_apart() -> None:
    """Each principal says what it signed in with, though the owner is one and the same object."""
    callers = remembering()
    other = replace(ACCESS_KEY, id="AKIAOTHEREXAMPLE")
    found = authenticated(send(sign(key_id=other.id)), access_key=other, callers=callers)
    assert found.credential == Credential("sigv4", other.id, "eu-west-1", "docs")
    assert len(callers) == 3
    for principal, kind, id in zip(knock(callers), ("sigv4", "api-key"), (KEY_ID, API_KEY.id), strict=True):
        assert isinstance(principal, Principal)
        assert principal.credential is not None
        assert (principal.credential.kind, principal.credential.id) == (kind, id)


def test_an_access_key_and_an_api_key_of_one_id_are_told_apart() -> None:
    """The ids of the two kinds are given out apart and may coincide."""
    callers, named_alike = Callers(), replace(ACCESS_KEY, id=API_KEY.id, principal=BOB)
    for _ in range(2):
        assert authenticated(BEARING, api_key=API_KEY, callers=callers) == ALICE
        assert authenticated(send(sign(key_id=API_KEY.id)), access_key=named_alike, callers=callers) == BOB
    assert len(callers) == 2


def test_each_api_key_has_its_own_owner() -> None:
    """Keys are remembered side by side."""
    callers = remembering()
    other = ApiKey("K7Q2OTHER", keys_of.digest_of(API_SECRET), active=True, principal=BOB)
    text = keys_of.format_key(other.id, API_SECRET).encode()
    for _ in range(2):
        assert (
            authenticated(with_header(BEARING, b"authorization", b"Bearer " + text), api_key=other, callers=callers)
            == BOB
        )
        assert authenticated(BEARING, api_key=API_KEY, callers=callers) == ALICE
    assert len(callers) == 3


# --- the cache ---------------------------------------------------------------------------------------------------


def test_the_cache_is_bounded() -> None:
    """The least recently used caller goes."""
    callers = Callers(2)
    caller = Caller(ACCESS_KEY, ALICE)
    scopes = [("AKID", "20261124", f"region-{number}", "docs") for number in range(3)]
    callers.keep(scopes[0], caller)
    callers.keep(scopes[1], caller)
    assert callers.get(scopes[0], ACCESS_KEY) is caller
    callers.keep(scopes[2], caller)
    assert [callers.get(scope, ACCESS_KEY) for scope in scopes] == [caller, None, caller]
    assert len(callers) == 2


def test_the_cache_may_be_shared_between_threads() -> None:
    """Many threads evicting each other's callers neither fail nor mix them up."""
    callers = Callers(3)
    stored = [Caller(replace(ACCESS_KEY, id=f"AKID{number}"), ALICE) for number in range(7)]

    def hammer(number: int) -> bool:
        caller = stored[number % 7]
        callers.keep((caller.record.id,), caller)
        return callers.get((caller.record.id,), caller.record) in {None, caller}

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(hammer, range(5000)))
    assert len(callers) <= 3


def test_no_secret_shows_in_a_repr() -> None:
    """A caller can be logged (design 5)."""
    caller = Caller(ACCESS_KEY, ALICE, b"derived key")
    assert KEY_ID in repr(caller)
    assert "derived key" not in repr(caller)
    assert SECRET not in repr(caller)
