"""Limits for guessing: waits, an end at 100, and who can't lock out whom."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.person import Person
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.sql_store import SqlStore
from tests.tables import table

ADA = Person("111122223333", "arn:aws:iam::111122223333:user/ada", "AIDAADA", "ada")


@pytest.fixture(scope="module")
def store() -> Iterator[SqlStore]:
    opened = create_store("sqlite://", Settings())
    yield opened
    opened.close()


def try_at(store: SqlStore, subject: str, now: int) -> bool:
    with store.write_transaction() as records:
        return attempts.is_open(records, subject, now)


@table(
    ("failures", "seconds"),
    [(0, 0), (4, 0), (5, 30), (6, 60), (7, 120), (11, 1920), (12, 3600), (99, 3600), (10**6, 3600)],
)
def test_wait_grows_up_to_an_hour(failures: int, seconds: int) -> None:
    assert attempts.wait_after(failures) == seconds


def test_guesses_end_at_a_hundred(store: SqlStore) -> None:
    """However long a client waits between them."""
    subject = attempts.guess_subject(ADA, "", "password")
    hours = range(0, 300 * attempts.MAX_WAIT, attempts.MAX_WAIT)
    assert sum(try_at(store, subject, now) for now in hours) == attempts.MAX_FAILURES
    with store.write_transaction() as records:
        attempts.clear(records, subject)
    assert try_at(store, subject, hours[-1])


@given(st.lists(st.integers(0, 4000), max_size=40))
def test_attempt_in_a_wait_changes_nothing(pauses: list[int]) -> None:
    """It neither counts as a failure, nor makes the wait longer."""
    opened = create_store("sqlite://", Settings())
    now, failures, last = 0, 0, 0
    try:
        for pause in pauses:
            now += pause
            expected = now >= last + attempts.wait_after(failures)
            assert try_at(opened, "subject", now) is expected
            if expected:
                failures, last = failures + 1, now
    finally:
        opened.close()


def test_known_browser_has_a_counter_of_its_own() -> None:
    """Guesses of other clients are counted elsewhere; so are those of other secrets and other people."""
    bob = Person(ADA.account, "arn:aws:iam::111122223333:user/bob", "AIDABOB", "bob")
    root = Person(ADA.account, "arn:aws:iam::111122223333:root")
    subjects = [
        attempts.guess_subject(person, "", secret, browser)
        for person in (ADA, bob, root)
        for secret in ("password", "code", "recovery", "passkey")
        for browser in ("", attempts.SESSIONS, "0", "1")
    ]
    assert len(set(subjects)) == len(subjects)
    assert attempts.guess_subject(ADA, "ada", "password") == attempts.guess_subject(ADA, "ADA@example.com", "password")


def test_known_browsers_share_subjects() -> None:
    """So a client that once made many has a fixed number of guesses, and a new secret clears them all."""
    browsers = {attempts.known_browser(f"browser{number}") for number in range(2_000)}
    subjects = {attempts.guess_subject(ADA, "", "code", browser) for browser in browsers}
    assert len(subjects) == attempts.KNOWN_BROWSERS
    assert subjects < set(attempts.guess_subjects(ADA, "code")) < set(attempts.guess_subjects(ADA))


def test_unknown_names_share_subjects() -> None:
    """So made-up names take a fixed number of rows."""
    subjects = {attempts.guess_subject(None, f"name{number}", "password") for number in range(20_000)}
    assert 3_500 < len(subjects) <= 4_096


@table(
    ("address", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", None, True),
        ("a socket", "another", False),
    ],
)
def test_network_is_the_subject_of_an_address(address: str, other: str | None, is_same: bool) -> None:
    assert (attempts.network_subject(address, "reset") == attempts.network_subject(other, "reset")) is is_same


def test_networks_share_subjects() -> None:
    """So addresses take a fixed number of rows."""
    subjects = {attempts.network_subject(f"10.0.{number >> 8}.{number & 255}", "reset") for number in range(20_000)}
    assert 3_500 < len(subjects) <= 4_096


def test_uses_are_limited_in_a_window(store: SqlStore) -> None:
    """It begins with the first use; refused ones don't count; a clock that is set back begins another."""

    def use(now: int) -> bool:
        with store.write_transaction() as records:
            return attempts.is_within(records, "uses", 3, 60, now)

    assert [use(now) for now in (100, 110, 120, 130, 159)] == [True, True, True, False, False]
    assert [use(now) for now in (160, 161, 162, 163)] == [True, True, True, False]
    assert use(50)
