"""Session tokens: a session is read as it was written, and nothing else opens (S-1, S-2, S-40, K-21)."""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from iam_guard.errors import StoreUnavailable
from iam_guard.model.credential import Session
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.credentials.session_tokens import (
    PACKED_LIMIT,
    PREFIX,
    TOKEN_LIMIT,
    packed_size,
    read_session,
    write_session,
)
from iam_guard.store.opening import create_store
from iam_guard.store.sealing import Sealer, new_key
from iam_guard.store.seed.seed_follower import FollowedSeedStore
from iam_guard.store.sql_store import SqlStore
from tests.tables import table

NOW = datetime(2026, 11, 24, 12, 30, 15, tzinfo=UTC)
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEYS = [new_key(), new_key()]
SEALER = Sealer(KEYS[:1])
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"docs:Get*","Resource":"*"}]}'
SESSION = Session(
    "ASIAIOSFODNN7EXAMPLE",
    SECRET,
    Principal(
        PrincipalType.ASSUMED_ROLE,
        "arn:aws:sts::111122223333:assumed-role/Auditor/ada",
        "111122223333",
        role_arn="arn:aws:iam::111122223333:role/audit/Auditor",
        userid="AROAEXAMPLE:ada",
        tags={"team": "blue"},
        session={"aws:FederatedProvider": "cognito-identity.amazonaws.com"},
        session_policies=(POLICY,),
    ),
    NOW,
    NOW + timedelta(hours=1),
    transitive_tag_keys=("team",),
    source_identity="ada@example.com",
)
USER_SESSION = Session(
    "ASIAUSERSEXAMPLE",
    SECRET,
    Principal.from_arn("arn:aws:iam::111122223333:user/ada", userid="AIDAEXAMPLE"),
    NOW,
    NOW + timedelta(hours=12),
    parent_key_id="AKIAADA",
    mfa_at=NOW - timedelta(seconds=3),
)
FEDERATED_SESSION = replace(
    USER_SESSION,
    principal=replace(
        Principal.from_arn("arn:aws:sts::111122223333:federated-user/bob"),
        user_arn="arn:aws:iam::111122223333:user/ada",
        session_policies=(POLICY,) * 20,
    ),
    parent_user_id="AIDAEXAMPLE",
)
TOKEN = write_session(SESSION, SEALER)
NOISE = base64.b64encode(Random(1).randbytes(2 * PACKED_LIMIT)).decode()

texts = st.text(max_size=30)
instants = st.integers(946_684_800, 4_102_444_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
principals = st.builds(
    Principal,
    st.sampled_from([PrincipalType.ASSUMED_ROLE, PrincipalType.USER, PrincipalType.FEDERATED_USER, PrincipalType.ROOT]),
    texts.map(lambda text: f"arn:aws:sts::111122223333:{text}"),
    st.none() | texts,
    role_arn=st.none() | texts,
    user_arn=st.none() | texts,
    userid=st.none() | texts,
    tags=st.dictionaries(texts, texts, max_size=5),
    session=st.dictionaries(texts, texts | st.lists(texts, max_size=3).map(tuple), max_size=3),
    session_policies=st.none() | st.lists(st.text(max_size=600), max_size=3).map(tuple),
)
sessions = st.builds(
    Session,
    texts,
    texts,
    principals,
    instants,
    instants,
    st.none() | texts,
    st.none() | texts,
    st.lists(texts, max_size=3).map(tuple),
    st.none() | texts,
    st.none() | instants,
)


def sealed_in(token: str) -> bytes:
    """Return the sealed bytes of a token."""
    text = token.removeprefix(PREFIX)
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encoded(sealed: bytes | bytearray) -> str:
    """Encode bytes as a token."""
    return PREFIX + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


@given(sessions, st.integers(-5, 4096))
def test_session_is_read_as_it_was_written(session: Session, at_least: int) -> None:
    """Every part, with any text; the session keys too, which equality leaves out."""
    token = write_session(session, SEALER, at_least=at_least)
    assert len(token) >= at_least
    opened = read_session(token, SEALER)
    assert opened == session
    assert opened is not None
    assert dict(opened.principal.session) == dict(session.principal.session)


def test_unusual_characters_are_preserved() -> None:
    """A lone surrogate, NUL and everything that JSON escapes."""
    session = replace(SESSION, source_identity='\ud800 \0 " \\ \u2028')
    assert read_session(write_session(session, SEALER), SEALER) == session


def test_session_keys_are_fixed_as_strings() -> None:
    """K-21: the value of a key is fixed when the session is created; an absent one stays absent."""
    session_keys: dict[str, Any] = {"a:b": True, "a:n": 7, "a:d": NOW, "a:i": [IPv4Address("10.0.0.1")], "a:x": None}
    session = replace(SESSION, principal=replace(SESSION.principal, session=session_keys))
    opened = read_session(write_session(session, SEALER), SEALER)
    assert opened is not None
    assert opened.principal.session == {"a:b": "true", "a:n": "7", "a:d": "2026-11-24T12:30:15Z", "a:i": ("10.0.0.1",)}


def test_fractions_of_a_second_are_truncated() -> None:
    """So that no session starts or ends later, or has a later MFA time, than it should."""
    instants = {"issued": NOW, "expires": NOW + timedelta(hours=1), "mfa_at": NOW}
    later: dict[str, Any] = {name: moment + timedelta(microseconds=999_999) for name, moment in instants.items()}
    opened = read_session(write_session(replace(SESSION, **later), SEALER), SEALER)
    assert {name: getattr(opened, name) for name in instants} == instants


# --- nothing else opens ------------------------------------------------------------------------------------------


def is_refused(token: str, sealer: Sealer) -> bool:
    """Return whether a token is none, or as if it was sealed with an unknown key."""
    try:
        return read_session(token, sealer) is None
    except StoreUnavailable:
        return True


@given(st.integers(min_value=0), st.sampled_from([SESSION, USER_SESSION, FEDERATED_SESSION]))
def test_token_with_one_altered_bit_is_refused(place: int, session: Session) -> None:
    """In the sealed bytes, including format, key name and nonce."""
    token = write_session(session, SEALER)
    sealed = bytearray(sealed_in(token))
    place %= len(sealed) * 8
    sealed[place // 8] ^= 1 << place % 8
    assert is_refused(encoded(sealed), SEALER)


@given(st.integers(min_value=0), st.integers(0, 7))
def test_token_with_one_altered_character_is_refused(place: int, bit: int) -> None:
    """In any character, also where base64 ignores bits."""
    altered = bytearray(TOKEN.encode())
    altered[place % len(altered)] ^= 1 << bit
    assert is_refused(altered.decode("latin-1"), SEALER)


def test_token_has_one_encoding() -> None:
    """For each length, only the right last character opens; no padding, white space or other alphabet."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/= \n"
    for length in range(4):
        token = write_session(replace(SESSION, source_identity="x" * length), SEALER)
        assert [char for char in alphabet if read_session(token[:-1] + char, SEALER)] == [token[-1]]
        for other in (f"{token}=", f"{token}==", f" {token}", f"{token}\n", f"{token[:9]}\n{token[9:]}", f"{token}A"):
            assert read_session(other, SEALER) is None
        swapped = token.replace("-", "+").replace("_", "/")
        assert swapped == token or read_session(swapped, SEALER) is None


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,200}", fullmatch=True))
def test_any_other_text_is_no_token(text: str) -> None:
    """An unknown token is None, never an error."""
    assert read_session(text, SEALER) is None


@given(st.integers(0, len(TOKEN) - 1))
def test_truncated_token_is_refused(length: int) -> None:
    """At any position."""
    assert read_session(TOKEN[:length], SEALER) is None


def test_token_of_other_keys_is_refused() -> None:
    """Other keys don't open it, which is an outage: the key may be new."""
    with pytest.raises(StoreUnavailable, match="a key that is not among the sealing keys"):
        read_session(TOKEN, Sealer([new_key()]))


def test_tokens_survive_key_rotation() -> None:
    """A new first key seals, the old one still opens; after its removal, its tokens are refused."""
    rotated = Sealer([KEYS[1], KEYS[0]])
    assert read_session(TOKEN, rotated) == SESSION
    fresh = write_session(SESSION, rotated)
    assert is_refused(fresh, Sealer(KEYS[:1]))
    assert read_session(fresh, Sealer(KEYS[1:])) == SESSION
    assert is_refused(TOKEN, Sealer(KEYS[1:]))


@table("context", [b"", b"session-token:0", b"session-token:2", b"access-key:ASIAIOSFODNN7EXAMPLE"])
def test_value_sealed_in_other_context_is_refused(context: bytes) -> None:
    """Another format or another place: a leaked stored secret is no token."""
    content = SEALER.open(sealed_in(TOKEN), b"session-token:1")
    assert read_session(encoded(SEALER.seal(content, b"session-token:1")), SEALER) == SESSION
    assert read_session(encoded(SEALER.seal(content, context)), SEALER) is None


def test_two_tokens_of_one_session_differ() -> None:
    """A nonce is never used twice, and a token does not reveal its owner."""
    assert write_session(SESSION, SEALER) != write_session(SESSION, SEALER)
    sealed = sealed_in(TOKEN)
    for part in (SESSION.access_key_id, SECRET, "Auditor", "111122223333", "blue"):
        assert part.encode() not in sealed


# --- sizes -------------------------------------------------------------------------------------------------------


def test_long_policies_are_compressed() -> None:
    """Ten policies at their quota make a token that fits into a header."""
    long = json.dumps({"Statement": [{"Sid": f"S{n}", "Effect": "Allow", "Action": "docs:Get"} for n in range(100)]})
    session = replace(SESSION, principal=replace(SESSION.principal, session_policies=(long,) * 10))
    token = write_session(session, SEALER)
    assert read_session(token, SEALER) == session
    assert len(token) < len(long)


def test_packed_size_depends_on_policies_and_tags_only() -> None:
    """S-40: not on the caller or the time; without policies and tags it is 0."""
    assert packed_size(USER_SESSION) == 0
    size = packed_size(SESSION)
    assert 0 < size < 10
    other = replace(SESSION, access_key_id="ASIAOTHER", secret="x", issued=NOW + timedelta(1), parent_key_id="AKIA")
    assert packed_size(other) == size
    assert packed_size(replace(SESSION, source_identity=NOISE[:100])) > size


def test_largest_session_fits_into_token_limit() -> None:
    """100 percent of incompressible text is a token under 8 KiB, and a little more is over 100."""

    def sized(length: int) -> Session:
        return replace(SESSION, principal=replace(SESSION.principal, tags={}, session_policies=(NOISE[:length],)))

    length = next(length for length in range(3000, len(NOISE), 10) if packed_size(sized(length)) > 100)
    assert packed_size(sized(length - 10)) <= 100
    assert len(write_session(sized(length - 10), SEALER)) < TOKEN_LIMIT


@table("session", [SESSION, USER_SESSION, FEDERATED_SESSION])
def test_token_has_requested_length(session: Session) -> None:
    """S-17: at least the requested length, and at most three more; compressed or not."""
    usual = len(write_session(session, SEALER))
    for at_least in (0, usual, *range(usual + 1, usual + 9), 4096):
        token = write_session(session, SEALER, at_least=at_least)
        assert max(usual, at_least) <= len(token) < max(usual, at_least) + 4
        assert read_session(token, SEALER) == session


def test_token_starts_with_its_prefix() -> None:
    """Redaction and secret scanners match it, and the same bytes without it are no token."""
    assert TOKEN.startswith("igst_")
    for other in (TOKEN.removeprefix(PREFIX), TOKEN.replace("igst_", "IGST_"), PREFIX + TOKEN, PREFIX, ""):
        assert read_session(other, SEALER) is None


# --- the stores --------------------------------------------------------------------------------------------------


def test_repr_shows_no_secret() -> None:
    """Not of the session, nor of the sealer."""
    assert SECRET not in repr(SESSION)
    assert SECRET not in repr(read_session(TOKEN, SEALER))


def test_sealing_a_session_needs_no_query(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In every kind of store; no statement is executed and nothing is logged."""
    caplog.set_level(logging.DEBUG, "iam_guard")
    seed = tmp_path / "iam.json"
    seed.write_text('{"version": 1, "accounts": [{"id": "111122223333"}]}')
    inner = create_store("sqlite://", Settings())
    followed = FollowedSeedStore(seed, Settings())
    statements: list[object] = []
    for store in (inner, CachedStore(inner, Settings()), followed, CachedStore(followed, Settings())):
        listener = lambda *arguments: statements.append(arguments[2])  # noqa: E731
        event.listen(Engine, "before_cursor_execute", listener)
        token = store.seal_session(SESSION)
        assert store.open_session(token) == SESSION
        with pytest.raises(StoreUnavailable):
            store.open_session(TOKEN)
        event.remove(Engine, "before_cursor_execute", listener)
        assert SECRET not in caplog.text
        assert token not in caplog.text
    assert statements == []
    inner.close()
    followed.close()


def test_store_with_same_keys_opens_token() -> None:
    """Any process with the same keys can open a token."""
    engine = create_store("sqlite://", Settings())
    with_keys = [SqlStore(engine.engine, Sealer(KEYS)), SqlStore(engine.engine, Sealer(KEYS[::-1]))]
    assert with_keys[0].open_session(with_keys[1].seal_session(SESSION)) == SESSION
    engine.close()
