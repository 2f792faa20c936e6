"""Signatures that come again: refused while they are within the window, in bounded memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from iam_guard.authn.signature_replays import SignatureReplays
from iam_guard.errors import CredentialError, DecisionUnavailable, SignatureDoesNotMatch
from tests.authn.signing import ALICE, NOW, Received, authenticated, send, sign
from tests.authn.test_signed_query import presigned


def at(second: int, path: str = "d") -> Received:
    """A request that was signed so many seconds later."""
    return send(sign(url=f"http://127.0.0.1:8000/{path}", now=NOW + timedelta(seconds=second)))


def test_a_signature_is_good_once() -> None:
    """Sent again, at once or at the end of the window, it is refused; signed anew it is another."""
    replays = SignatureReplays(10)
    assert authenticated(at(0), replays=replays) == ALICE
    for later in (0, 1, 299, 300):
        with pytest.raises(SignatureDoesNotMatch, match="used before"):
            authenticated(at(0), replays=replays, now=NOW + timedelta(seconds=later))
    assert authenticated(at(1), replays=replays) == ALICE
    assert authenticated(at(0, "other"), replays=replays) == ALICE


def test_two_equal_requests_of_one_second_are_one() -> None:
    """SigV4 signs them alike; a client that must repeat a request at once waits for the next second."""
    replays = SignatureReplays(10)
    authenticated(at(0), replays=replays)
    with pytest.raises(SignatureDoesNotMatch, match="used before"):
        authenticated(at(0), replays=replays)


def test_what_is_out_of_the_window_is_forgotten_and_refused_for_its_age() -> None:
    """There is no moment between the two."""
    replays = SignatureReplays(10)
    authenticated(at(0), replays=replays)
    for seconds in range(295, 310):
        with pytest.raises(SignatureDoesNotMatch, match=r"used before|Signature expired"):
            authenticated(at(0), replays=replays, now=NOW + timedelta(seconds=seconds))
    authenticated(at(310), replays=replays, now=NOW + timedelta(seconds=310))
    assert len(replays) == 1


def test_a_signature_from_the_future_is_remembered_until_it_is_old() -> None:
    """The window is counted from its own time."""
    replays = SignatureReplays(10)
    authenticated(at(300), replays=replays)
    authenticated(at(301), replays=replays, now=NOW + timedelta(seconds=301))
    with pytest.raises(SignatureDoesNotMatch, match="used before"):
        authenticated(at(300), replays=replays, now=NOW + timedelta(seconds=600))


def test_where_nothing_more_can_be_remembered_everything_is_refused() -> None:
    """What is not remembered could be sent again. Old ones make room."""
    replays = SignatureReplays(2)
    authenticated(at(0), replays=replays)
    authenticated(at(1), replays=replays)
    with pytest.raises(DecisionUnavailable):
        authenticated(at(2), replays=replays)
    assert len(replays) == 2
    assert authenticated(at(302), replays=replays, now=NOW + timedelta(seconds=302)) == ALICE


def test_a_refused_signature_takes_no_room() -> None:
    """Strangers cannot fill the memory."""
    replays = SignatureReplays(2)
    for second in range(5):
        with pytest.raises(CredentialError):
            authenticated(at(second), access_key=None, replays=replays)
    assert len(replays) == 0


def test_a_presigned_url_may_be_used_again() -> None:
    """That is what it is for; it ends with its time."""
    replays = SignatureReplays(1)
    for _ in range(3):
        assert authenticated(presigned(), replays=replays) == ALICE
    assert len(replays) == 0


def test_of_many_at_once_one_is_accepted() -> None:
    """Threads share it."""
    replays, one = SignatureReplays(10), at(0)

    def accepted(_: int) -> bool:
        try:
            return authenticated(one, replays=replays) == ALICE
        except SignatureDoesNotMatch:
            return False

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(accepted, range(64))) == 1
