"""Decisions that come out otherwise, gathered by what they have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from iam_guard.analysis.replay.recorded_requests import RecordedDecision
from iam_guard.model.principal import PrincipalType


class ReportedOutcome(NamedTuple):
    """An outcome, and the statements that decided, in a few words each."""

    outcome: str
    reasons: tuple[str, ...]

    @classmethod
    def of_record(cls, recorded: RecordedDecision) -> ReportedOutcome:
        return cls(recorded.outcome.value, recorded.reasons)


class _Kind(NamedTuple):
    """What decisions that flip alike have in common."""

    principal: str
    action: str
    resource: str
    was: str
    becomes: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(slots=True)
class OutcomeChange:
    """Decisions that come out otherwise, for one reason: of one user or role, for one action, on like resources.

    `before` and `after` name the statements that decided. `event_id` is the first of the records.
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
    """Gathers them. What is denied before and after does not flip."""

    def __init__(self) -> None:
        self._found: dict[_Kind, OutcomeChange] = {}

    def note(self, recorded: RecordedDecision, before: ReportedOutcome, after: ReportedOutcome) -> bool:
        """Record a decision if it flips; tell whether it does."""
        if (before.outcome == "Allowed") == (after.outcome == "Allowed"):
            return False
        who, action, resource = _who(recorded), recorded.action, _pattern(recorded.resource)
        kind = _Kind(who, action, resource, before.outcome, after.outcome, before.reasons, after.reasons)
        when = recorded.time.isoformat().replace("+00:00", "Z")
        flip = self._found.setdefault(kind, OutcomeChange(*kind, event_id=recorded.event_id, first=when, last=when))
        flip.first, flip.last = min(flip.first, when), max(flip.last, when)
        flip.count += 1
        return True

    def in_order(self) -> list[OutcomeChange]:
        """Return what was gathered, the most frequent first."""
        return sorted(self._found.values(), key=lambda each: -each.count)


def _who(recorded: RecordedDecision) -> str:
    principal = recorded.principal
    is_session = principal.type is PrincipalType.ASSUMED_ROLE and principal.role_arn
    return principal.role_arn or "" if is_session else principal.arn


def _pattern(arn: str) -> str:
    """Return an ARN with `*` for the resource itself, behind its type."""
    head, slash, _ = arn.partition("/")
    if slash:
        return f"{head}/*"
    head, colon, _ = arn.rpartition(":")
    return f"{head}:*" if colon else arn
