"""The time of a decision with documents designed to be slow, in milliseconds of CPU time.

The documents have IAM's maximum length (131,072 characters), some twenty times that of a managed policy.
Each has been compiled before; the last row is the slowest first decision, which compiles.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from statistics import median

from benchmarks.row import Row
from iam_guard.evaluation.authorizer import compile_policies
from tests.laws.worst import WORST

ROUNDS = 7
PEER = "json.loads of the document"


def measure() -> Iterator[Row]:
    """Compare a warm decision with each document to parsing the document as JSON."""
    slowest = Row("", 0.0, "ms", 0.0, "")
    for name, worst in WORST.items():
        read = median(_seconds_of(json.loads, worst.text) for _ in range(ROUNDS))
        authorizer = compile_policies(identity=[worst.text])
        first = _seconds_of(authorizer.decide, worst.request())
        warm = median(_seconds_of(authorizer.decide, worst.request()) for _ in range(ROUNDS))
        yield Row(name, warm * 1e3, "ms", warm / read, PEER)
        if first * 1e3 > slowest.value:
            slowest = Row(f"slowest first decision: {name}", first * 1e3, "ms", first / read, PEER)
    yield slowest


def _seconds_of(call: Callable[..., object], *arguments: object) -> float:
    begun = time.process_time()
    call(*arguments)
    return time.process_time() - begun
