"""Run a command, and print how much processor time it takes; fail if it is much more than was recorded.

`python -m tools.budget 1590 make test-all` divides the processor time of all its processes by that of a fixed loop, and
fails above 1.3 × 1590. The loop runs while the command does, every few seconds: so a slow or busy machine leaves the
ratio as it is. A change that needs more records more, with its reason.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

from benchmarks.clock import calibrate

RUNS: Final = 6_000
"""Runs of the loop in a sample: about ten milliseconds."""
UNIT: Final = 600_000
"""Runs of the loop to which the ratio refers: about a second on an idle machine."""
INTERVAL: Final = 5.0
"""Seconds between samples."""
TOLERANCE: Final = 1.3
"""Times the recorded ratio that a command may take: two machines differ by a tenth."""


class Samples(threading.Thread):
    """Measures the loop until it is ended."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._is_ended = threading.Event()
        self._seconds: list[float] = []

    def run(self) -> None:
        while True:
            begun = time.thread_time()
            for _ in range(RUNS):
                calibrate()
            self._seconds.append(time.thread_time() - begun)
            if self._is_ended.wait(INTERVAL):
                return

    def end(self) -> float:
        """Return the median of the seconds of processor time that `UNIT` runs have taken."""
        self._is_ended.set()
        self.join()
        return statistics.median(self._seconds) * UNIT / RUNS


def main(recorded: float, command: Sequence[str]) -> int:
    """Run a command, print its ratio, and return its exit code, or 1 if the ratio is too high."""
    samples = Samples()
    samples.start()
    code = subprocess.run(command, check=False).returncode
    unit, used = samples.end(), resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime
    ratio = seconds / unit
    print(f"processor time: {seconds:.0f} s, {ratio:.0f} × the fixed loop (recorded: {recorded:.0f})")
    if code == 0 and ratio > TOLERANCE * recorded:
        print(f"expected at most {TOLERANCE} × the recorded ratio, got {ratio / recorded:.2f} ×", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
