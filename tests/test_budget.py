"""The bound for the processor time of a command."""

from __future__ import annotations

import sys

import pytest

from tests.tables import table
from tools.budget import main

BUSY = [sys.executable, "-c", "sum(range(3_000_000))"]


@table(
    ("recorded", "command", "code"),
    [(1e9, BUSY, 0), (1e-9, BUSY, 1), (1e9, [sys.executable, "-c", "exit(3)"], 3), (1e-9, ["false"], 1)],
)
def test_command_fails_above_its_budget(recorded: float, command: list[str], code: int) -> None:
    """The exit code of the command itself comes first."""
    assert main(recorded, command) == code


def test_ratio_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(1e-9, BUSY) == 1
    shown = capsys.readouterr()
    assert " × the fixed loop (recorded: 0)" in shown.out
    assert shown.err.startswith("expected at most 1.3 × the recorded ratio, got ")
