"""Decisions with a changed outcome, grouped by what they have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from iam_guard.analysis.replay.recorded_requests import RecordedDecision
from iam_guard.model.principal import PrincipalType


class ReportedOutcome(NamedTuple):
    """An outcome, with short descriptions of the statements that decided."""

    outcome: str
    reasons: tuple[str, ...]

    @classmethod
    def of_record(cls, recorded: RecordedDecision) -> ReportedOutcome:
        return cls(recorded.outcome.value, recorded.reasons)


@dataclass(slots=True)
class OutcomeChange:
    """A group of decisions whose outcome changed, of one user or role, for one action, on similar resources.

    `before` and `after` name the statements that decided. `event_id` is the id of the first record.
    """

    principal: str
    action: str
    resource: str
    was: str
    becomes: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    event_id: str
    first: str
    last: str
    count: int = 0


class OutcomeChanges:
    """Groups changed decisions. A denial that remains a denial is no change."""

    def __init__(self) -> None:
        self._found: dict[tuple[object, ...], OutcomeChange] = {}

    def add(self, recorded: RecordedDecision, before: ReportedOutcome, after: ReportedOutcome) -> bool:
        """Add a decision if its outcome changed; return whether it did."""
        if (before.outcome == "Allowed") == (after.outcome == "Allowed"):
            return False
        principal, action, resource = _principal(recorded), recorded.action, _pattern(recorded.resource)
        common = (principal, action, resource, before.outcome, after.outcome, before.reasons, after.reasons)
        when = recorded.time.isoformat().replace("+00:00", "Z")
        change = self._found.setdefault(common, OutcomeChange(*common, recorded.event_id, first=when, last=when))
        change.first, change.last = min(change.first, when), max(change.last, when)
        change.count += 1
        return True

    def by_frequency(self) -> list[OutcomeChange]:
        """Return the groups, the most frequent first."""
        return sorted(self._found.values(), key=lambda change: -change.count)


def _principal(recorded: RecordedDecision) -> str:
    principal = recorded.principal
    is_session = principal.type is PrincipalType.ASSUMED_ROLE
    return principal.role_arn if is_session and principal.role_arn else principal.arn


def _pattern(arn: str) -> str:
    """Return the ARN with `*` after the resource type."""
    head, slash, _ = arn.partition("/")
    if slash:
        return f"{head}/*"
    head, colon, _ = arn.rpartition(":")
    return f"{head}:*" if colon else arn
