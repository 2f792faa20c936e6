"""The CPU time until a command of `iam-guard` begins, compared with a Python that does nothing.

Each command is a process of its own. `--help` of a command imports all that it imports before it reads its first line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from benchmarks.clock import seconds_of_child
from benchmarks.row import Row

ROUNDS = 7
PEER = "python -c pass"
COMMANDS = ("--help", "decide", "lint --help", "audit verify --help", "who-can --help", "apply --help", "serve --help")
"""`decide` reads an empty input."""


def measure() -> Iterator[Row]:
    """Measure the commands in turn, several times; the least time of each counts."""
    calls = {f"iam-guard {command}": ["-m", "iam_guard", *command.split()] for command in COMMANDS}
    calls[PEER] = ["-c", "pass"]
    taken = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, arguments in calls.items():
            taken[name] = min(taken[name], seconds_of_child([sys.executable, *arguments], os.devnull))
    bare = taken.pop(PEER)
    for name, seconds in taken.items():
        yield Row(name, seconds * 1e3, "ms", seconds / bare, PEER)
