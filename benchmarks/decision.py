"""The time of a small decision with warm caches, in microseconds of CPU time, compared with every peer's.

5 policies of 15 statements; an Allow has two conditions. Every request was decided before. `question built`: the
measured call includes building the request; `question ready`: the request exists already.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.clock import CALIBRATION, calibrate, least
from benchmarks.ours import built, compiled, ready
from benchmarks.peers.table import loaded
from benchmarks.row import Row
from benchmarks.world import Question, few, folder
from iam_guard.model.decision import Outcome

QUESTIONS = {
    "allow, 2 conditions": (Question("docs:Get40", f"{folder(40)}draft", allowed=True), Outcome.ALLOWED),
    "implicit deny": (Question("docs:Get40", f"{folder(41)}draft", allowed=False), Outcome.IMPLICITLY_DENIED),
    "explicit deny": (Question("docs:Delete37", f"{folder(37)}draft", allowed=False), Outcome.EXPLICITLY_DENIED),
}
OURS, READY = "question built", "question ready"


def measure() -> Iterator[Row]:
    """Measure each kind of outcome."""
    authorizer = compiled(few(), 15)
    peers = loaded(few())
    for name, (question, outcome) in QUESTIONS.items():
        calls = {
            OURS: built(authorizer, question, outcome),
            READY: ready(authorizer, question, outcome),
            CALIBRATION: calibrate,
            **{each.peer.name: each.call(question) for each in peers},
        }
        taken = least(calls)
        yield Row(f"{name}, {READY}", taken[READY] * 1e6, "us", taken[READY] / taken[CALIBRATION], CALIBRATION)
        for peer in list(calls)[2:]:
            yield Row(f"{name}, {OURS}", taken[OURS] * 1e6, "us", taken[OURS] / taken[peer], peer)
