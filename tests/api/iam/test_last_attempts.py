"""Attempts gathered by service (R-34; services/iam/attempts.py)."""

from __future__ import annotations

from typing import Any

from iam_guard.api.iam.last_attempts import ActionAttempt, Attempt, gathered


def use(who: str, service: str, action: str, at: int) -> Any:
    return {"identity_id": who, "service": service, "action": action, "at": at, "region": f"region-{at}"}


def test_the_latest_attempt_of_each_is_kept() -> None:
    """Of a service, of whoever attempted, of every action, which is one whatever its letters."""
    rows = [
        use("ada", "docs", "Get", 10),
        use("bob", "docs", "get", 30),
        use("ada", "docs", "Put", 20),
        use("ada", "docs", "Get", 5),
        use("ada", "iam", "GetUser", 1),
    ]
    found = gathered(rows, since=0)
    docs = found["docs"]
    assert docs.latest == Attempt(30, "region-30", "bob")
    assert docs.last == {"ada": 20, "bob": 30}
    assert docs.actions == {
        "get": ActionAttempt("get", Attempt(30, "region-30", "bob")),
        "put": ActionAttempt("Put", Attempt(20, "region-20", "ada")),
    }
    assert set(found) == {"docs", "iam"}


def test_what_is_too_long_ago_is_left_out() -> None:
    """R-33: 400 days are told."""
    rows = [use("ada", "docs", "Get", 9), use("ada", "docs", "Put", 10)]
    assert set(gathered(rows, since=10)["docs"].actions) == {"put"}
    assert gathered(rows, since=11) == {}


def test_somebody_may_stand_for_all() -> None:
    """An account for its users and roles."""
    found = gathered([use("ada", "docs", "Get", 1), use("bob", "docs", "Get", 2)], since=0, who="111122223333")
    assert found["docs"].last == {"111122223333": 2}
