"""Collect from records what a candidate in shadow mode would have decided.

A record has `iamGuard.shadow` only if the candidate had another outcome or an error. Nothing is decided again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from iam_guard.analysis.replay.outcome_changes import OutcomeChange, OutcomeChanges, ReportedOutcome
from iam_guard.analysis.replay.recorded_requests import RecordedDecision, describe_recorded_reason, read_decision
from iam_guard.model.decision import Outcome


@dataclass(slots=True)
class ShadowDifferences:
    """The result. Every record counts in exactly one of `others`, `unreadable` and `decisions`.

    `others` have no decision; `unreadable` counts records whose shadow outcome can't be read, by reason. `flips` are
    decisions that change between allowed and denied, `denied_otherwise` counts those denied by both for different
    reasons, `errors` those that the candidate failed to decide, by reason.
    """

    others: int = 0
    decisions: int = 0
    denied_otherwise: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    flips: list[OutcomeChange] = field(default_factory=list)

    @property
    def flipped(self) -> int:
        """The number of decisions with a changed outcome."""
        return sum(flip.count for flip in self.flips)


def shadow_differences(records: Iterable[Mapping[str, Any]]) -> ShadowDifferences:
    """Collect the shadow outcomes of records."""
    result, changes = ShadowDifferences(), OutcomeChanges()
    for record in records:
        extension = record.get("iamGuard")
        members = extension if isinstance(extension, dict) else {}
        shadow = members.get("shadow")
        if not isinstance(shadow, dict):
            is_decision = members.get("kind") == "decision"
            result.decisions += is_decision
            result.others += not is_decision
            continue
        recorded = read_decision(record)
        if isinstance(recorded, RecordedDecision):
            result.decisions += 1
            _add(recorded, shadow, result, changes)
        else:
            result.unreadable[recorded or "the record has no decision"] += 1
    result.flips = changes.by_frequency()
    return result


def _add(
    recorded: RecordedDecision, shadow: Mapping[str, Any], result: ShadowDifferences, changes: OutcomeChanges
) -> None:
    if shadow.get("error") is not None:
        result.errors[str(shadow["error"])] += 1
        return
    try:
        after = ReportedOutcome(
            Outcome(shadow["outcome"]).value, tuple(map(describe_recorded_reason, shadow["reasons"]))
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        result.errors["the record is incomplete"] += 1
        return
    if not changes.add(recorded, ReportedOutcome.of_record(recorded), after):
        result.denied_otherwise += 1
