"""Replay: decide recorded requests again, with the policies of the record or with changed ones.

`recorded_requests` parses records, `replayed_request` resolves condition keys, `replayer` decides with a store,
`comparison` compares the outcomes; `shadow_results` collects the outcomes of a candidate in shadow mode. The stores are
only read, and nothing is audited.
"""

from iam_guard.analysis.replay.comparison import Comparison, compare_decisions
from iam_guard.analysis.replay.outcome_changes import OutcomeChange
from iam_guard.analysis.replay.replayer import Replayer
from iam_guard.analysis.replay.shadow_results import ShadowDifferences, shadow_differences

__all__ = [
    "Comparison",
    "OutcomeChange",
    "Replayer",
    "ShadowDifferences",
    "compare_decisions",
    "shadow_differences",
]
