"""Recorded requests, decided again: with the policies of the record, or with others (issue F, replay).

`recorded` reads what a record says of a request, `request` answers for its condition keys, `replayer` decides it with a
store, `comparison` tells what comes out otherwise. Nothing is written, noted or remembered: the stores are read only.
"""

from iam_guard.replay.comparison import Comparison, Flip, compare_decisions
from iam_guard.replay.recorded import RecordedDecision, read_decision
from iam_guard.replay.replayer import Redecided, Replayer

__all__ = ["Comparison", "Flip", "RecordedDecision", "Redecided", "Replayer", "compare_decisions", "read_decision"]
