"""Compare recorded decisions with those of the present store, or these with those of a changed store.

A change is compared with the decisions of the present store, so that earlier policy changes are not attributed to it.
Records that can't be compared are counted by reason. An allowed request that was rejected because its audit record
could not be written is compared as decided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from iam_guard.analysis.replay.outcome_changes import OutcomeChange, OutcomeChanges, ReportedOutcome
from iam_guard.analysis.replay.recorded_requests import RecordedDecision, describe_recorded_reason, read_decision
from iam_guard.analysis.replay.replayer import Replayer
from iam_guard.audit.record.record import describe_reason
from iam_guard.model.decision import Decision


@dataclass(slots=True)
class Comparison:
    """The result of a comparison. Every record counts in exactly one of `others`, `incomparable` and `compared`.

    `others` have no decision. `recorded_policies` counts the compared decisions whose policies are those of the record;
    `contradictions` are those of them with another outcome, which should not exist. `drifted` counts the decisions with
    another outcome than recorded because policies changed.
    """

    others: int = 0
    compared: int = 0
    recorded_policies: int = 0
    drifted: int = 0
    contradictions: list[str] = field(default_factory=list)
    incomparable: Counter[str] = field(default_factory=Counter)
    flips: list[OutcomeChange] = field(default_factory=list)

    @property
    def flipped(self) -> int:
        """The number of decisions with a changed outcome."""
        return sum(flip.count for flip in self.flips)


def compare_decisions(
    records: Iterable[Mapping[str, Any]], present: Replayer, changed: Replayer | None = None
) -> Comparison:
    """Decide the recorded requests with the present store, and with the changed one if there is one."""
    result, changes = Comparison(), OutcomeChanges()
    for record in records:
        recorded = read_decision(record)
        if recorded is None:
            result.others += 1
            continue
        problem = recorded if isinstance(recorded, str) else _compare(recorded, present, changed, result, changes)
        if problem is None:
            result.compared += 1
        else:
            result.incomparable[problem] += 1
    result.flips = changes.by_frequency()
    return result


def _compare(
    recorded: RecordedDecision, present: Replayer, changed: Replayer | None, result: Comparison, changes: OutcomeChanges
) -> str | None:
    """Compare one decision; return the reason if it can't be compared."""
    now = present.decide(recorded)
    if now.decision is None or now.problem is not None:
        return now.problem
    before, after = ReportedOutcome.of_record(recorded), _outcome(now.decision)
    if changed is not None:
        then = changed.decide(recorded, before=now)
        if then.decision is None or then.problem is not None:
            return then.problem
        before, after = after, _outcome(then.decision)
    _check(recorded, now.decision, result)
    changes.add(recorded, before, after)
    return None


def _check(recorded: RecordedDecision, present: Decision, result: Comparison) -> None:
    """Check that the recorded policies lead to the recorded outcome."""
    differs = present.outcome is not recorded.outcome
    if present.policy_set == recorded.policies:
        result.recorded_policies += 1
        if differs:
            result.contradictions.append(recorded.event_id)
    elif differs:
        result.drifted += 1


def _outcome(decision: Decision) -> ReportedOutcome:
    reasons = tuple(describe_recorded_reason(describe_reason(reason)) for reason in decision.reasons)
    return ReportedOutcome(decision.outcome.value, reasons)
