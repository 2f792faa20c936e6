"""Recorded decisions beside those that come out now, and beside those that would with a change.

Without a change, the recorded outcome is compared with the store's. With one, the store's is compared with the changed
store's, so that nothing is laid to the change which happened before it. What could not be compared is counted with the
reason, never passed over. A request that was refused for want of its record was decided all the same, and is compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from iam_guard.analysis.replay.outcome_changes import OutcomeChange, OutcomeChanges, ReportedOutcome
from iam_guard.analysis.replay.recorded_requests import RecordedDecision, read_decision, reason_in_words
from iam_guard.analysis.replay.replayer import Replayer
from iam_guard.audit.record.record import describe_reason
from iam_guard.model.decision import Decision


@dataclass(slots=True)
class Comparison:
    """What came of it. Every record is counted in exactly one of `others`, `incomparable` and `compared`.

    `others` tell no decision. `recorded_policies` counts those of `compared` that the store decides with the very
    policies of the record; `contradictions` names those of them that come out otherwise all the same, of which there
    should be none. `drifted` counts those that the store decides otherwise than recorded, since policies changed.
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
        """How many decisions come out otherwise."""
        return sum(flip.count for flip in self.flips)


def compare_decisions(
    records: Iterable[Mapping[str, Any]], present: Replayer, changed: Replayer | None = None
) -> Comparison:
    """Decide the recorded requests again with the present store, and with the changed one where there is one."""
    return _Comparing(present, changed).result(records)


class _Comparing:
    def __init__(self, present: Replayer, changed: Replayer | None) -> None:
        self._present = present
        self._changed = changed
        self._result = Comparison()
        self._flips = OutcomeChanges()

    def result(self, records: Iterable[Mapping[str, Any]]) -> Comparison:
        for record in records:
            recorded = read_decision(record)
            if recorded is None:
                self._result.others += 1
                continue
            problem = recorded if isinstance(recorded, str) else self._compare(recorded)
            if problem is None:
                self._result.compared += 1
            else:
                self._result.incomparable[problem] += 1
        self._result.flips = self._flips.in_order()
        return self._result

    def _compare(self, recorded: RecordedDecision) -> str | None:
        """Compare one; give the reason where that is not possible."""
        present = self._present.decide(recorded)
        if present.decision is None or present.problem is not None:
            return present.problem
        if self._changed is None:
            self._check(recorded, present.decision)
            self._flips.note(recorded, ReportedOutcome.of_record(recorded), _told(present.decision))
            return None
        changed = self._changed.decide(recorded, before=present)
        if changed.decision is None or changed.problem is not None:
            return changed.problem
        self._check(recorded, present.decision)
        self._flips.note(recorded, _told(present.decision), _told(changed.decision))
        return None

    def _check(self, recorded: RecordedDecision, present: Decision) -> None:
        """See that the same policies decide as recorded."""
        result, differs = self._result, present.outcome is not recorded.outcome
        if present.policy_set == recorded.policies:
            result.recorded_policies += 1
            if differs:
                result.contradictions.append(recorded.event_id)
        elif differs:
            result.drifted += 1


def _told(decision: Decision) -> ReportedOutcome:
    reasons = tuple(reason_in_words(describe_reason(reason)) for reason in decision.reasons)
    return ReportedOutcome(decision.outcome.value, reasons)
