"""Replayed signatures: refused while they are within the clock skew, in bounded memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from iam_guard.authn.signatures.signature_replays import SignatureReplays
from iam_guard.errors import CredentialError, DecisionUnavailable, SignatureDoesNotMatch
from tests.authn.signatures.test_signed_query import presigned
from tests.authn.signing import ALICE, NOW, Received, authenticated, send, sign


def at(second: int, path: str = "d") -> Received:
    """Return a request that was signed that many seconds later."""
    return send(sign(url=f"http://127.0.0.1:8000/{path}", now=NOW + timedelta(seconds=second)))


def test_replayed_signature_is_refused() -> None:
    """At once or at the end of the window; a new signature is accepted."""
    replays = SignatureReplays(10)
    assert authenticated(at(0), replays=replays) == ALICE
    for later in (0, 1, 299, 300):
        with pytest.raises(SignatureDoesNotMatch, match="used before"):
            authenticated(at(0), replays=replays, now=NOW + timedelta(seconds=later))
    assert authenticated(at(1), replays=replays) == ALICE
    assert authenticated(at(0, "other"), replays=replays) == ALICE


def test_equal_requests_of_one_second_are_replays() -> None:
    """SigV4 signs them alike; clients that repeat a request must wait a second."""
    replays = SignatureReplays(10)
    authenticated(at(0), replays=replays)
    with pytest.raises(SignatureDoesNotMatch, match="used before"):
        authenticated(at(0), replays=replays)


def test_old_signature_expires_and_is_refused_for_its_age() -> None:
    """There is no gap between the two."""
    replays = SignatureReplays(10)
    authenticated(at(0), replays=replays)
    for seconds in range(295, 310):
        with pytest.raises(SignatureDoesNotMatch, match=r"used before|Signature expired"):
            authenticated(at(0), replays=replays, now=NOW + timedelta(seconds=seconds))
    authenticated(at(310), replays=replays, now=NOW + timedelta(seconds=310))
    assert len(replays) == 1


def test_future_signature_is_recorded_until_it_is_old() -> None:
    """The window starts at its own time."""
    replays = SignatureReplays(10)
    authenticated(at(300), replays=replays)
    authenticated(at(301), replays=replays, now=NOW + timedelta(seconds=301))
    with pytest.raises(SignatureDoesNotMatch, match="used before"):
        authenticated(at(300), replays=replays, now=NOW + timedelta(seconds=600))


def test_full_replay_cache_refuses_requests() -> None:
    """An unrecorded signature could be replayed. Expired ones are removed."""
    replays = SignatureReplays(2)
    authenticated(at(0), replays=replays)
    authenticated(at(1), replays=replays)
    with pytest.raises(DecisionUnavailable):
        authenticated(at(2), replays=replays)
    assert len(replays) == 2
    assert authenticated(at(302), replays=replays, now=NOW + timedelta(seconds=302)) == ALICE


def test_refused_signature_is_not_recorded() -> None:
    """Unauthenticated clients cannot fill the cache."""
    replays = SignatureReplays(2)
    for second in range(5):
        with pytest.raises(CredentialError):
            authenticated(at(second), access_key=None, replays=replays)
    assert len(replays) == 0


def test_presigned_url_may_be_used_again() -> None:
    """Until it expires, as intended."""
    replays = SignatureReplays(1)
    for _ in range(3):
        assert authenticated(presigned(), replays=replays) == ALICE
    assert len(replays) == 0


def test_concurrent_replays_are_accepted_once() -> None:
    """Threads share the cache."""
    replays, one = SignatureReplays(10), at(0)

    def accepted(_: int) -> bool:
        try:
            return authenticated(one, replays=replays) == ALICE
        except SignatureDoesNotMatch:
            return False

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(accepted, range(64))) == 1
