"""Attempts aggregated by service (R-34)."""

from __future__ import annotations

from typing import Any

from iam_guard.api.iam.account.last_attempts import ActionAttempt, Attempt, attempts_by_service


def use(who: str, service: str, action: str, at: int) -> Any:
    return {"identity_id": who, "service": service, "action": action, "at": at, "region": f"region-{at}"}


def test_latest_attempts_are_kept() -> None:
    """Per service, per identity and per action in any letter case."""
    rows = [
        use("ada", "docs", "Get", 10),
        use("bob", "docs", "get", 30),
        use("ada", "docs", "Put", 20),
        use("ada", "docs", "Get", 5),
        use("ada", "iam", "GetUser", 1),
    ]
    found = attempts_by_service(rows, since=0)
    docs = found["docs"]
    assert docs.latest == Attempt(30, "region-30", "bob")
    assert docs.last == {"ada": 20, "bob": 30}
    assert docs.actions == {
        "get": ActionAttempt("get", Attempt(30, "region-30", "bob")),
        "put": ActionAttempt("Put", Attempt(20, "region-20", "ada")),
    }
    assert set(found) == {"docs", "iam"}


def test_old_attempts_are_left_out() -> None:
    """R-33: older than 400 days."""
    rows = [use("ada", "docs", "Get", 9), use("ada", "docs", "Put", 10)]
    assert set(attempts_by_service(rows, since=10)["docs"].actions) == {"put"}
    assert attempts_by_service(rows, since=11) == {}


def test_attempts_are_aggregated_under_one_key() -> None:
    """An account, instead of its users and roles."""
    found = attempts_by_service(
        [use("ada", "docs", "Get", 1), use("bob", "docs", "Get", 2)], since=0, who="111122223333"
    )
    assert found["docs"].last == {"111122223333": 2}
