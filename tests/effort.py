"""The cost of a call, independent of machine and load: processor time in runs of a fixed loop."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.clock import calibrate

RUNS = 600
"""Runs of the calibration loop that take about a millisecond on an idle machine."""


def effort(call: Callable[[], object], rounds: int = 5) -> float:
    """Return the minimum processor time of a call in units of the loop's minimum, about milliseconds on a fast machine.

    All threads of the process count. A limit needs no margin for slow machines.
    """
    taken: list[float] = []
    units: list[float] = []
    for _ in range(rounds):
        units.append(_seconds(_loop))
        taken.append(_seconds(call))
        units.append(_seconds(_loop))
    return min(taken) / min(units)


def _seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def _loop() -> None:
    for _ in range(RUNS):
        calibrate()
