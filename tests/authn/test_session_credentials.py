"""Authentication with temporary credentials: signed by botocore, opened from their token, else refused (S-1).

The tokens here are plain names that a mapping opens; `tests/store/credentials/test_session_tokens.py` tests sealing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.authn import credential_verifier
from iam_guard.authn.caller_cache import CallerCache
from iam_guard.authn.credential import extract
from iam_guard.authn.presented_credentials import SigV4Credential
from iam_guard.authn.signatures import sigv4
from iam_guard.authn.tokens import temporary_credentials
from iam_guard.authn.tokens.temporary_credentials import SessionTokenCache
from iam_guard.errors import (
    CredentialError,
    ExpiredToken,
    IncompleteSignature,
    InvalidClientTokenId,
    SignatureDoesNotMatch,
)
from iam_guard.model.credential import AccessKey, Session
from iam_guard.model.principal import Credential, Issued, Principal
from tests.authn.signing import (
    ACCESS_KEY,
    ALICE,
    NOW,
    Received,
    active_account,
    authenticated,
    send,
    sign,
    with_header,
)
from tests.tables import table

ID = "ASIAIOSFODNN7EXAMPLE"
SECRET = "c2Vzc2lvbiBzZWNyZXQgc2Vzc2lvbiBzZWNyZXQx"
TOKEN = "token-of-the-role-session"
ISSUED = NOW - timedelta(minutes=10)
EXPIRES = NOW + timedelta(minutes=50)
ROLE = Principal.from_arn(
    "arn:aws:sts::123456789012:assumed-role/Auditor/ada",
    role_arn="arn:aws:iam::123456789012:role/audit/Auditor",
    userid="AROAEXAMPLE:ada",
    tags={"team": "blue"},
    session_policies=('{"Version":"2012-10-17","Statement":[]}',),
)
ROLE_SESSION = Session(
    ID, SECRET, ROLE, ISSUED, EXPIRES, transitive_tag_keys=("team",), source_identity="ada@example.com"
)
USER_SESSION = Session(ID, SECRET, ALICE, ISSUED, EXPIRES, parent_key_id=ACCESS_KEY.id, mfa_at=ISSUED)
FEDERATED = replace(
    Principal.from_arn("arn:aws:sts::123456789012:federated-user/bob"), user_arn=ALICE.arn, session_policies=()
)
FEDERATED_SESSION = replace(USER_SESSION, principal=FEDERATED, parent_user_id=ALICE.userid, mfa_at=None)
ROOT = Principal.from_arn("arn:aws:iam::123456789012:root", userid="123456789012")
ROOT_KEY = replace(ACCESS_KEY, principal=ROOT)
ROOT_SESSION = replace(USER_SESSION, principal=ROOT)


def signed(secret: str = SECRET, token: str | None = TOKEN, key_id: str = ID, now: datetime = NOW) -> Received:
    return send(sign(key_id=key_id, secret=secret, token=token, now=now))


def opening(session: Session | None = ROLE_SESSION) -> Callable[[str], Session | None]:
    return lambda token: session if token == TOKEN else None


def authenticate(
    received: Received,
    session: Session | None = ROLE_SESSION,
    *,
    access_key: AccessKey | None = ACCESS_KEY,
    callers: CallerCache | None = None,
    now: datetime = NOW,
) -> Principal:
    return authenticated(received, access_key=access_key, callers=callers, now=now, open_session=opening(session))


# --- accepted sessions -------------------------------------------------------------------------------------------


def test_role_session_authenticates() -> None:
    """As its principal, with its terms; no long-term key is looked up, which it outlives (S-51)."""
    principal = authenticate(signed(), access_key=None)
    assert principal == ROLE
    issued = Issued(ISSUED, EXPIRES, ("team",), "ada@example.com")
    assert principal.credential == Credential("sts", ID, "eu-west-1", "docs", issued)
    assert principal.session_policies == ROLE.session_policies


@table(
    ("session", "access_key"),
    [(USER_SESSION, ACCESS_KEY), (FEDERATED_SESSION, ACCESS_KEY), (ROOT_SESSION, ROOT_KEY)],
    ids=["user", "federated", "root"],
)
def test_user_session_authenticates_while_its_key_is_valid(session: Session, access_key: AccessKey) -> None:
    """S-51: the parent key exists, is active, and is its owner's."""
    assert authenticate(signed(), session, access_key=access_key) == session.principal


def test_unsigned_session_token_is_accepted() -> None:
    """Some clients add it after signing; the token is authenticated by itself."""
    assert authenticate(with_header(signed(token=None), b"x-amz-security-token", TOKEN.encode())) == ROLE


def test_session_of_renamed_user_has_current_name() -> None:
    """S-33, P-10: the user is identified by the unique id, cached or not."""
    callers = CallerCache()
    assert authenticate(signed(), USER_SESSION, callers=callers).arn == ALICE.arn
    renamed = replace(ACCESS_KEY, principal=replace(ALICE, arn="arn:aws:iam::123456789012:user/team/alicia"))
    assert authenticate(signed(), USER_SESSION, access_key=renamed, callers=callers).arn == renamed.principal.arn


def test_federated_user_survives_rename_of_its_user() -> None:
    """S-51, P-6: identified by unique id; a new user of the old name is another one."""
    renamed = replace(ACCESS_KEY, principal=replace(ALICE, arn="arn:aws:iam::123456789012:user/team/alicia"))
    callers = CallerCache()
    assert authenticate(signed(), FEDERATED_SESSION, callers=callers).user_arn == ALICE.arn
    caller = authenticate(signed(), FEDERATED_SESSION, access_key=renamed, callers=callers)
    assert (caller.arn, caller.user_arn) == (FEDERATED.arn, renamed.principal.arn)
    newcomer = replace(ACCESS_KEY, principal=replace(ALICE, userid="AIDANEWCOMER"))
    for session in (FEDERATED_SESSION, replace(FEDERATED_SESSION, parent_user_id=None)):
        with pytest.raises(InvalidClientTokenId):
            authenticate(signed(), session, access_key=newcomer, callers=callers)


# --- the principal of a session ----------------------------------------------------------------------------------


@table(
    ("session", "access_key", "mfa", "source_identity"),
    [
        (ROLE_SESSION, None, None, "ada@example.com"),
        (replace(ROLE_SESSION, mfa_at=ISSUED), None, "true", "ada@example.com"),
        (USER_SESSION, ACCESS_KEY, "true", None),
        (replace(USER_SESSION, mfa_at=None), ACCESS_KEY, "false", None),
        (ROOT_SESSION, ROOT_KEY, "true", None),
        (FEDERATED_SESSION, ACCESS_KEY, None, None),
        (replace(FEDERATED_SESSION, mfa_at=ISSUED), ACCESS_KEY, None, None),
    ],
)
def test_session_has_its_condition_keys(
    session: Session, access_key: AccessKey | None, mfa: str | None, source_identity: str | None
) -> None:
    """E.2: always the issue time; the source identity if set; MFA for users, and if a role session recorded it."""
    principal = authenticate(signed(), session, access_key=access_key)
    assert principal.key("aws:tokenissuetime") == "2026-11-24T12:20:15Z"
    assert principal.key("aws:multifactorauthpresent") == mfa
    assert principal.key("aws:sourceidentity") == source_identity
    assert principal.mfa_at == (ISSUED if mfa == "true" else None)


def test_long_term_key_has_no_session_keys() -> None:
    """K-20: absent, not false."""
    principal = authenticated(send(sign()), open_session=opening())
    keys = ("aws:tokenissuetime", "aws:multifactorauthpresent", "aws:sourceidentity")
    assert [principal.key(key) for key in keys] == [None, None, None]
    assert principal.credential is not None
    assert principal.credential.issued is None


def test_stored_keys_cannot_override_issue_time() -> None:
    """The issue time is that of the token."""
    session = replace(ROLE_SESSION, principal=replace(ROLE, session={"aws:TokenIssueTime": "2030-01-01T00:00:00Z"}))
    assert authenticate(signed(), session).key("aws:tokenissuetime") == "2026-11-24T12:20:15Z"


# --- what is refused ---------------------------------------------------------------------------------------------

GONE = replace(ACCESS_KEY, active=False)
OF_BOB = replace(ACCESS_KEY, principal=Principal.from_arn("arn:aws:iam::123456789012:user/bob", userid="AIDABOB"))
MADE_ANEW = replace(ACCESS_KEY, principal=replace(ALICE, userid="AIDAANEW"))
ELSEWHERE = replace(ACCESS_KEY, principal=replace(ALICE, account="999999999999"))
ASIA_KEY = AccessKey(ID, SECRET, active=True, principal=ALICE)

INVALID = {
    "a token that does not open": (signed(token="other"), ROLE_SESSION, ACCESS_KEY),
    "an empty token": (with_header(signed(token=None), b"x-amz-security-token", b""), ROLE_SESSION, ACCESS_KEY),
    "another access key": (signed(key_id="ASIAOTHERKEYEXAMPLE"), ROLE_SESSION, ACCESS_KEY),
    "a prefix of the access key": (signed(key_id=ID[:-1]), ROLE_SESSION, ACCESS_KEY),
    "a token with a long-term key": (signed(ACCESS_KEY.secret, key_id=ACCESS_KEY.id), ROLE_SESSION, ACCESS_KEY),
    "no token": (signed(token=None), ROLE_SESSION, None),
    "no token, and a long-term key of that name": (signed(token=None), ROLE_SESSION, ASIA_KEY),
    "the parent key is deleted": (signed(), USER_SESSION, None),
    "the parent key is inactive": (signed(), USER_SESSION, GONE),
    "the parent key is another user's": (signed(), USER_SESSION, OF_BOB),
    "the parent key is of a recreated user": (signed(), USER_SESSION, MADE_ANEW),
    "the parent key is of another account": (signed(), USER_SESSION, ELSEWHERE),
    "the parent key is root's": (signed(), USER_SESSION, ROOT_KEY),
    "the parent key of root is a user's": (signed(), ROOT_SESSION, ACCESS_KEY),
    "the federating key is deleted": (signed(), FEDERATED_SESSION, None),
    "the federating key is inactive": (signed(), FEDERATED_SESSION, GONE),
    "the federating key is another user's": (signed(), FEDERATED_SESSION, OF_BOB),
    "a user session without parent key": (signed(), replace(USER_SESSION, parent_key_id=None), ACCESS_KEY),
    "a federated session without federating user": (
        signed(),
        replace(FEDERATED_SESSION, parent_user_id=None),
        ACCESS_KEY,
    ),
    "a federated session without parent key": (signed(), replace(FEDERATED_SESSION, parent_key_id=None), ACCESS_KEY),
    "the user has no unique id": (
        signed(),
        replace(USER_SESSION, principal=replace(ALICE, userid=None)),
        replace(ACCESS_KEY, principal=replace(ALICE, userid=None)),
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_session_credentials_have_same_error(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a signature with the placeholder secret, exactly as for an unknown key."""
    received, session, access_key = INVALID[case]
    computed: list[bytes] = []
    hashed: list[object] = []
    real = sigv4.signing_key
    monkeypatch.setattr(sigv4, "signing_key", lambda secret, *rest: computed.append(secret) or real(secret, *rest))
    monkeypatch.setattr(credential_verifier.sigv4, "is_signed_with", _counting(sigv4.is_signed_with, hashed))
    callers = CallerCache()
    with pytest.raises(InvalidClientTokenId) as caught:
        authenticate(received, session, access_key=access_key, callers=callers)
    assert str(caught.value) == "The security token included in the request is invalid."
    assert caught.value.wire_status == 403
    assert computed == ["0" * 40]
    assert len(hashed) == 1
    assert len(callers) == 0


def _counting(real: Callable[..., bool], calls: list[object]) -> Callable[..., bool]:
    def counted(*arguments: object, **named: object) -> bool:
        calls.append(named)
        return real(*arguments, **named)

    return counted


def test_session_expires() -> None:
    """At its expiry, cached or not; only its owner gets this error."""
    callers = CallerCache()
    before = EXPIRES - timedelta(seconds=1)
    assert authenticate(signed(now=before), now=before, callers=callers) == ROLE
    for secret in (SECRET, "another secret"):
        with pytest.raises(ExpiredToken) as caught:
            authenticate(signed(secret, now=EXPIRES), now=EXPIRES, callers=callers)
        assert (caught.value.code, caught.value.wire_status) == ("ExpiredToken", 403)
    with pytest.raises(InvalidClientTokenId):
        authenticate(signed(key_id="ASIAOTHERKEYEXAMPLE", now=EXPIRES), now=EXPIRES, callers=callers)


def test_session_with_wrong_secret_is_refused() -> None:
    """The token alone is no credential; cached or not."""
    callers = CallerCache()
    for _ in range(2):
        for secret in ("another secret", ACCESS_KEY.secret):
            with pytest.raises(SignatureDoesNotMatch):
                authenticate(signed(secret), callers=callers)
        assert authenticate(signed(), callers=callers) == ROLE


def test_two_session_tokens_are_refused() -> None:
    """Also equal ones."""
    received = with_header(signed(), b"x-amz-security-token", TOKEN.encode(), TOKEN.encode())
    with pytest.raises(IncompleteSignature, match="expected one header, got 2"):
        authenticate(received)


def test_session_token_without_signature_is_refused() -> None:
    """It is not anonymous."""
    received = with_header(signed(), b"authorization")
    with pytest.raises(IncompleteSignature, match="a signature with the session token"):
        authenticate(received)


def test_signed_session_token_cannot_be_replaced() -> None:
    """The signature does not match another valid token of the same key."""
    received = with_header(signed(), b"x-amz-security-token", b"twin")
    with pytest.raises(SignatureDoesNotMatch):
        authenticated(received, open_session=lambda token: ROLE_SESSION)


@given(st.data())
def test_signed_session_with_flipped_bit_is_refused(data: st.DataObject) -> None:
    """In the signature, the token, the time, the host or the path."""
    received = SIGNED
    name = data.draw(st.sampled_from([b"authorization", b"x-amz-security-token", b"x-amz-date", b"host"]))
    [value] = received.request.values(name)
    bit = data.draw(st.integers(0, len(value) * 8 - 1))
    altered = bytearray(value)
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CredentialError):
        authenticate(with_header(received, name, bytes(altered)))


SIGNED = signed()


def test_session_token_without_opener_is_refused() -> None:
    """A guard without sessions accepts none."""
    with pytest.raises(InvalidClientTokenId):
        authenticated(signed(), access_key=ASIA_KEY)


# --- caches ------------------------------------------------------------------------------------------------------


def test_same_session_has_identical_principal() -> None:
    """What a principal has computed is reused; each scope has its own."""
    callers = CallerCache()
    tokens = SessionTokenCache(opening())

    def principal_of(received: Received) -> Principal:
        return authenticated(received, callers=callers, open_session=tokens.session)

    assert principal_of(signed()) is principal_of(signed())
    other = principal_of(send(sign(key_id=ID, secret=SECRET, token=TOKEN, region="us-east-1")))
    assert other is not principal_of(signed())
    assert other.credential is not None
    assert other.credential.region == "us-east-1"


def test_cached_session_ends_with_parent_key() -> None:
    """S-51: at the next request after a change, and is valid again with the key."""
    callers = CallerCache()
    for _ in range(2):
        assert authenticate(signed(), USER_SESSION, callers=callers) == ALICE
        for access_key in (GONE, None, OF_BOB):
            with pytest.raises(InvalidClientTokenId):
                authenticate(signed(), USER_SESSION, access_key=access_key, callers=callers)


def test_session_token_is_opened_once() -> None:
    """A cached token is not decrypted again; an invalid one is not cached."""
    lookups: list[str] = []

    def open_session(token: str) -> Session | None:
        lookups.append(token)
        return opening()(token)

    tokens = SessionTokenCache(open_session)
    assert tokens.session(TOKEN) is tokens.session(TOKEN) is ROLE_SESSION
    assert [tokens.session(text) for text in ("other", "other", "\ud800")] == [None, None, None]
    assert lookups == [TOKEN, "other", "other", "\ud800"]
    assert len(tokens) == 1


def test_session_token_cache_is_bounded() -> None:
    """The oldest is evicted; size 0 caches none."""
    sessions = {f"token-{number}": replace(ROLE_SESSION) for number in range(5)}
    for size in (0, 2):
        tokens = SessionTokenCache(sessions.get, size)
        assert all(tokens.session(token) is session for token, session in sessions.items())
        assert len(tokens) == size


@table(
    ("received", "session", "needed"),
    [
        (send(sign()), None, ACCESS_KEY.id),
        (signed(token=None), None, ID),
        (signed(), ROLE_SESSION, None),
        (signed(), USER_SESSION, ACCESS_KEY.id),
        (signed(), FEDERATED_SESSION, ACCESS_KEY.id),
        (signed(token="other"), ROLE_SESSION, None),
    ],
)
def test_session_looks_up_parent_key_only(received: Received, session: Session | None, needed: str | None) -> None:
    """The token's content needs no lookup, so an event loop need not wait."""
    lookups: list[str] = []
    with pytest.raises(CredentialError):
        credential_verifier.Authenticator(
            find_access_key=lambda key_id: lookups.append(key_id),  # type: ignore[func-returns-value]
            find_api_key=lambda _: None,
            find_account=active_account,
            skew=300,
            callers=CallerCache(),
            open_session=opening(session),
        ).authenticate(
            received.request,
            payload_hash=lambda: hashlib.sha256(b"x").hexdigest(),
            now=NOW,
        )
    assert lookups == ([] if needed is None else [needed])


# --- secrets -----------------------------------------------------------------------------------------------------


def test_session_repr_hides_token_and_secret() -> None:
    """In the parsed credential, the principal and the caches."""
    credential = extract(signed().request, max_header=9999)
    assert isinstance(credential, SigV4Credential)
    assert credential.session_token == TOKEN
    callers = CallerCache()
    principal = authenticate(signed(), callers=callers)
    values = (credential, principal, ROLE_SESSION, signed().request, vars(callers), temporary_credentials)
    shown = " ".join(map(repr, values))
    assert TOKEN not in shown
    assert SECRET not in shown


def test_errors_do_not_quote_session_token() -> None:
    """For any error."""
    for received, session, access_key in INVALID.values():
        with pytest.raises(CredentialError) as caught:
            authenticate(received, session, access_key=access_key)
        assert TOKEN not in f"{caught.value} {caught.value!r}"
