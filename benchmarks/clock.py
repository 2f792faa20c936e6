"""Measure calls: CPU time, alternating, the minimum of several rounds.

The calls of one figure alternate in short rounds, so that a disturbance of the machine affects all of them, and the
fastest round of each counts, since a disturbance only adds time. Objects from before are hidden from the garbage
collector, which still runs for objects of the calls. Neither pytest-benchmark nor pyperf alternates
calls, and both measure wall-clock time.
"""

from __future__ import annotations

import gc
import resource
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

Call = Callable[[], object]
Timer = Callable[[], float]

ROUNDS = 15
SECONDS_OF_A_ROUND = 0.02
MAX_SECONDS = 3.0
"""For one call, all rounds together; there are at least two rounds."""


def least(
    calls: Mapping[str, Call],
    rounds: int = ROUNDS,
    seconds: float = SECONDS_OF_A_ROUND,
    timer: Timer = time.process_time,
) -> dict[str, float]:
    """Return the seconds of CPU time that each of the calls takes, of all threads unless the timer is another one."""
    with undisturbed():
        counts = {name: _count(call, seconds) for name, call in calls.items()}
        found: dict[str, list[float]] = {name: [] for name in calls}
        spent = dict.fromkeys(calls, 0.0)
        for number in range(rounds):
            for name, call in calls.items():
                if number < 2 or spent[name] < MAX_SECONDS:
                    taken = seconds_of(call, counts[name], timer)
                    found[name].append(taken / counts[name])
                    spent[name] += taken
    return {name: min(each) for name, each in found.items()}


def seconds_of(call: Call, count: int = 1, timer: Timer = time.process_time) -> float:
    """Return the seconds of CPU time of so many calls, one after the other."""
    begun = timer()
    for _ in repeat(None, count):
        call()
    return timer() - begun


def seconds_of_child(command: Sequence[str], stdin: str | Path) -> float:
    """Return the seconds of CPU time, user and system, of a process that reads this file."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(stdin, "rb") as given:
        subprocess.run(command, stdin=given, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _count(call: Call, seconds: float) -> int:
    """Return the number of calls that fill a round; the first call warms the caches."""
    call()
    count = 1
    while True:
        taken = seconds_of(call, count)
        if taken >= seconds / 2:
            return max(1, round(count * seconds / taken))
        count = max(count * 2, int(count * seconds / max(taken, 1e-6)))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hide existing objects from the garbage collector."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


# --- the calibration loop ----------------------------------------------------------------------------------------

CALIBRATION = "calibration loop"
"""A peer that is always available: plain work, to compare figures of two machines."""

_PHONE_BOOK = {f"key{number}": number for number in range(100)}
_NAMES = tuple(f"key{number}" for number in range(0, 100, 5))


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    number: int


def calibrate() -> int:
    """Get 20 strings from a dictionary, create 5 small objects, call 5 functions."""
    total = 0
    for name in _NAMES:
        total += _PHONE_BOOK[name]
    for name in _NAMES[:5]:
        total += _number_of(_Entry(name, total))
    return total


def _number_of(entry: _Entry) -> int:
    return entry.number
