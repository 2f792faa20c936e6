"""What a candidate in the shadow would have answered, gathered from the records that say so.

A record has `iamGuard.shadow` only where the candidate's outcome was another, or where it had none; nothing is decided
here again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from iam_guard.analysis.replay.outcome_changes import OutcomeChange, OutcomeChanges, ReportedOutcome
from iam_guard.analysis.replay.recorded_requests import RecordedDecision, read_decision, reason_in_words
from iam_guard.model.decision import Outcome


@dataclass(slots=True)
class ShadowDifferences:
    """What came of it. Every record is counted in exactly one of `others`, `unreadable` and `decisions`.

    `others` tell no decision; of `unreadable` the shadow's answer cannot be told, with the reason. `flips` are those
    that would be allowed instead of denied or the other way, `denied_otherwise` counts those that are denied by both,
    `errors` those for which the candidate had no answer, by the reason.
    """

    others: int = 0
    decisions: int = 0
    denied_otherwise: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    flips: list[OutcomeChange] = field(default_factory=list)

    @property
    def flipped(self) -> int:
        """How many decisions would come out otherwise."""
        return sum(flip.count for flip in self.flips)


def shadow_differences(records: Iterable[Mapping[str, Any]]) -> ShadowDifferences:
    """Gather what records say of a candidate in the shadow."""
    result, flips = ShadowDifferences(), OutcomeChanges()
    for record in records:
        shadow = _shadow_of(record)
        if shadow is None:
            result.others += not _is_decision(record)
            result.decisions += _is_decision(record)
            continue
        recorded = read_decision(record)
        if isinstance(recorded, RecordedDecision):
            result.decisions += 1
            _note(recorded, shadow, result, flips)
        else:
            result.unreadable[recorded or "the record tells no decision"] += 1
    result.flips = flips.in_order()
    return result


def _note(
    recorded: RecordedDecision, shadow: Mapping[str, Any], result: ShadowDifferences, flips: OutcomeChanges
) -> None:
    if shadow.get("error") is not None:
        result.errors[str(shadow["error"])] += 1
        return
    try:
        after = ReportedOutcome(Outcome(shadow["outcome"]).value, tuple(map(reason_in_words, shadow["reasons"])))
    except (KeyError, TypeError, ValueError, AttributeError):
        result.errors["the record is not whole"] += 1
        return
    if not flips.note(recorded, ReportedOutcome.of_record(recorded), after):
        result.denied_otherwise += 1


def _shadow_of(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    said = record.get("iamGuard")
    shadow = said.get("shadow") if isinstance(said, dict) else None
    return shadow if isinstance(shadow, dict) else None


def _is_decision(record: Mapping[str, Any]) -> bool:
    said = record.get("iamGuard")
    return isinstance(said, dict) and said.get("kind") == "decision"
