"""What users and roles attempted: rows of uses as, for each service, the latest attempt of whom (rule R-34)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from iam_guard.store.records import Row

TRACKED: Final = 400 * 24 * 60 * 60
"""Seconds for which an attempt is told."""


class Attempt(NamedTuple):
    """One attempt: when, where, by whom. `who` is a unique id, or whatever the attempts are gathered by."""

    at: int
    region: str
    who: str


class ActionAttempt(NamedTuple):
    """The latest attempt of an action; its name is as it was written then."""

    action: str
    latest: Attempt


@dataclass(slots=True)
class Attempts:
    """The attempts to use one service."""

    latest: Attempt
    last: dict[str, int] = field(default_factory=dict)
    """Who attempted, and when last."""
    actions: dict[str, ActionAttempt] = field(default_factory=dict)
    """By the name of the action in lower case."""


def gathered(rows: Iterable[Row], *, since: int, who: str | None = None) -> dict[str, Attempts]:
    """Gather rows by service; `who` stands for all of them, else each is its own user's or role's."""
    found: dict[str, Attempts] = {}
    for row in rows:
        if row["at"] >= since:
            add(found, row["service"], row["action"], Attempt(row["at"], row["region"], who or row["identity_id"]))
    return found


def add(found: dict[str, Attempts], service: str, action: str, attempt: Attempt) -> None:
    """Add one attempt to those that are known."""
    known = found.setdefault(service, Attempts(attempt))
    known.latest = max(known.latest, attempt)
    known.last[attempt.who] = max(known.last.get(attempt.who, 0), attempt.at)
    folded = action.lower()
    if folded not in known.actions or known.actions[folded].latest < attempt:
        known.actions[folded] = ActionAttempt(action, attempt)
