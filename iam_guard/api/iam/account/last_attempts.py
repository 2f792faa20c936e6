"""The latest attempts of users and roles to use services, aggregated from stored uses (R-34)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from iam_guard.store.database.records import Row

TRACKING_SECONDS: Final = 400 * 24 * 60 * 60
"""Seconds for which an attempt is reported."""


class Attempt(NamedTuple):
    """One attempt: time, region, and the identity's unique id (or another key to aggregate by)."""

    at: int
    region: str
    who: str


class ActionAttempt(NamedTuple):
    """The latest attempt of an action, with the action's name as it was written."""

    action: str
    latest: Attempt


@dataclass(slots=True)
class Attempts:
    """The attempts to use one service."""

    latest: Attempt
    last: dict[str, int] = field(default_factory=dict)
    """The time of the last attempt, by identity."""
    actions: dict[str, ActionAttempt] = field(default_factory=dict)
    """By the action's name in lower case."""


def attempts_by_service(rows: Iterable[Row], *, since: int, who: str | None = None) -> dict[str, Attempts]:
    """Aggregate rows by service; `who` replaces the rows' own identities."""
    attempts: dict[str, Attempts] = {}
    for row in rows:
        if row["at"] >= since:
            attempt = Attempt(row["at"], row["region"], who or row["identity_id"])
            add_attempt(attempts, row["service"], row["action"], attempt)
    return attempts


def add_attempt(attempts: dict[str, Attempts], service: str, action: str, attempt: Attempt) -> None:
    """Add one attempt to the aggregate."""
    of_service = attempts.setdefault(service, Attempts(attempt))
    of_service.latest = max(of_service.latest, attempt)
    of_service.last[attempt.who] = max(of_service.last.get(attempt.who, 0), attempt.at)
    folded = action.lower()
    if folded not in of_service.actions or of_service.actions[folded].latest < attempt:
        of_service.actions[folded] = ActionAttempt(action, attempt)
