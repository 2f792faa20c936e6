"""Recorded requests, decided again: with the policies of the record, or with others (issue F, replay).

`recorded` reads what a record says of a request, `request` answers for its condition keys, `replayer` decides it with a
store, `comparison` tells what comes out otherwise; `shadowed` gathers what records tell of a candidate in the shadow.
Nothing is written, noted or remembered: the stores are read only.
"""

from iam_guard.replay.comparison import Comparison, compare_decisions
from iam_guard.replay.flips import Flip
from iam_guard.replay.recorded import RecordedDecision, read_decision
from iam_guard.replay.replayer import Redecided, Replayer
from iam_guard.replay.shadowed import ShadowDifferences, shadow_differences

__all__ = [
    "Comparison",
    "Flip",
    "RecordedDecision",
    "Redecided",
    "Replayer",
    "ShadowDifferences",
    "compare_decisions",
    "read_decision",
    "shadow_differences",
]
