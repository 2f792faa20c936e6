"""Known API keys: the result is that of the authenticator for every request, or None."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import IamGuardError
from iam_guard.model.credential import ApiKey
from tests.authn.known_records import KnownFirst, MemoryRecords, outcome
from tests.authn.signing import API_KEY, API_TEXT, NOW, Received
from tests.tables import table

KEY = API_TEXT.encode()
HOST, AGENT = (b"host", b"127.0.0.1:8000"), (b"user-agent", b"curl/8.5.0")
EXPIRING = replace(API_KEY, expires=NOW + timedelta(seconds=60))


def presenting(*headers: tuple[bytes, bytes], path: bytes = b"/documents/42", query: bytes = b"") -> Received:
    return Received(HttpRequest("GET", path, query, (HOST, *headers, AGENT)))


BEARING = presenting((b"authorization", b"Bearer " + KEY))
IN_HEADER = presenting((b"x-api-key", KEY))
BOTH = [BEARING, IN_HEADER]


def knowing(api_key: ApiKey = EXPIRING) -> KnownFirst:
    return KnownFirst(MemoryRecords(api_key))


@table("received", BOTH, ids=["bearer", "header"])
def test_repeated_key_has_identical_principal(received: Received) -> None:
    """Whatever it is used for."""
    verifier = knowing()
    principal = verifier.learn(received)
    others = [
        Received(HttpRequest("POST", b"/a:b/c", b"a=%20", received.request.headers), b"text"),
        Received(HttpRequest("GET", b"/", b"", (*received.request.headers[:-1], (b"user-agent", b"other")))),
    ]
    for other in others:
        assert verifier.attempt(other) is principal
        assert verifier.verify(other) is principal


def test_header_of_a_key_is_not_accepted_as_another() -> None:
    """The value of one header is invalid in the other, though it has the same hash."""
    verifier = knowing()
    for received in BOTH:
        verifier.learn(received)
    for received in (presenting((b"x-api-key", b"Bearer " + KEY)), presenting((b"authorization", KEY))):
        assert verifier.attempt(received) is None
        with pytest.raises(IamGuardError):
            verifier.verify(received)


@table("received", BOTH, ids=["bearer", "header"])
def test_known_key_expires(received: Received) -> None:
    """The expiry is checked for each request."""
    verifier = knowing()
    principal = verifier.learn(received)
    assert verifier.attempt(received, NOW + timedelta(seconds=59)) is principal
    assert verifier.attempt(received, NOW + timedelta(seconds=60)) is None


@table("record", [None, replace(API_KEY, active=False), replace(API_KEY, digest=bytes(32)), replace(API_KEY)])
def test_changed_record_ends_known_key(record: ApiKey | None) -> None:
    """A deleted, deactivated, rotated and recreated key."""
    records = MemoryRecords(API_KEY)
    verifier = KnownFirst(records)
    for received in BOTH:
        verifier.learn(received)
    records.change(API_KEY.id, record)
    assert [verifier.attempt(received) for received in BOTH] == [None, None]
    assert len(verifier.known.api_keys) == 0


def test_due_poll_leaves_key_to_authenticator() -> None:
    """The store's freshness is its own matter."""
    records = MemoryRecords(API_KEY)
    verifier = KnownFirst(records)
    verifier.learn(BEARING)
    records.is_due = True
    assert verifier.attempt(BEARING) is None


@table("received", BOTH, ids=["bearer", "header"])
def test_headers_over_the_limit_are_left_to_authenticator(received: Received) -> None:
    """The names count too."""
    size = sum(len(name) + len(value) for name, value in received.request.headers)
    longer = Received(
        replace(received.request, headers=(*received.request.headers[:-1], (b"user-agent", b"curl/8.5.00")))
    )
    verifier = KnownFirst(MemoryRecords(API_KEY), max_header=size)
    principal = verifier.learn(received)
    assert verifier.attempt(longer) is None
    assert verifier.attempt(received) is principal


def test_text_of_key_is_not_stored() -> None:
    """Neither in the name of an entry nor in its values."""
    verifier = knowing()
    verifier.learn(BEARING)
    [(name, entry)] = verifier.known.api_keys._known.items()
    values = [getattr(entry, slot) for slot in entry.__slots__]
    assert API_TEXT[10:40] not in repr((name, values))


def test_long_header_is_not_known_by_its_beginning() -> None:
    """Only the beginning of a long header is hashed."""
    verifier = knowing()
    verifier.learn(BEARING)
    long = presenting((b"authorization", b"Bearer " + KEY + b" " * 300))
    verifier.verify(long)
    assert verifier.attempt(long) is None
    assert verifier.attempt(presenting((b"authorization", b"Bearer " + KEY + b" " * 300 + b"x"))) is None


FURTHER = [
    (b"x-api-key", KEY),
    (b"X-Api-Key", KEY),
    (b"authorization", b"Bearer " + KEY),
    (b"Authorization", b""),
    (b"authorization", b"Bearer a.b.c"),
    (b"x-amz-security-token", b"token"),
    (b"X-Amz-Security-Token", b"token"),
    (b"x-free", b"anything"),
    (b"host", b"other"),
]
QUERIES = [b"", b"a=1", b"X-Amz-Signature=a", b"x-amz-%63redential=a", b"AWSAccessKeyId=a"]
PATHS = [b"/", b"/a%20b", b"/%ff", b"/\xff", b"/a%", b"/a?b"]


@settings(max_examples=500)
@given(
    st.sampled_from(BOTH),
    st.lists(st.sampled_from(FURTHER), max_size=2),
    st.sampled_from(QUERIES),
    st.sampled_from(PATHS),
    st.integers(0, len(KEY) + 8),
    st.sampled_from([None, None, b"", b"a", b" ", b"_", b"\xff"]),
    st.sampled_from([0, 60]),
)
def test_attempt_is_as_authenticator_or_none(
    known: Received,
    further: list[tuple[bytes, bytes]],
    query: bytes,
    path: bytes,
    at: int,
    byte: bytes | None,
    seconds: int,
) -> None:
    """Whatever was changed or added, and whenever it arrives."""
    verifier, now = knowing(), NOW + timedelta(seconds=seconds)
    for one in BOTH:
        verifier.learn(one)
    host, (name, value), agent = known.request.headers
    value = value if byte is None else value[:at] + byte + value[at + 1 :]
    received = Received(HttpRequest("GET", path, query, (host, *further, (name, value), agent)))
    in_full = outcome(lambda: knowing().verify(received, now))
    attempted = verifier.attempt(received, now)
    if attempted is not None:
        assert (attempted, attempted.credential) == in_full
    assert outcome(lambda: verifier.verify(received, now)) == in_full
    again = verifier.attempt(received, now)
    if again is not None:
        assert (again, again.credential) == in_full
