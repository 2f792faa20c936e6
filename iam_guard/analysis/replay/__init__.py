"""Recorded requests, decided again: with the policies of the record, or with others (issue F, replay).

`recorded_requests` reads what a record says of a request, `replayed_request` answers for its condition keys, `replayer`
decides it with a store, `comparison` tells what comes out otherwise; `shadow_results` gathers what records tell of a
candidate in the shadow. Nothing is written, noted or remembered: the stores are read only.
"""

from iam_guard.analysis.replay.comparison import Comparison, compare_decisions
from iam_guard.analysis.replay.outcome_changes import OutcomeChange
from iam_guard.analysis.replay.recorded_requests import RecordedDecision, read_decision
from iam_guard.analysis.replay.replayer import Redecided, Replayer
from iam_guard.analysis.replay.shadow_results import ShadowDifferences, shadow_differences

__all__ = [
    "Comparison",
    "OutcomeChange",
    "RecordedDecision",
    "Redecided",
    "Replayer",
    "ShadowDifferences",
    "compare_decisions",
    "read_decision",
    "shadow_differences",
]
