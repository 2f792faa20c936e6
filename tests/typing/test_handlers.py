"""A decorated handler keeps its type: a real mypy reads `handlers.py` and finds what is marked there, nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HANDLERS = Path(__file__).with_name("handlers.py")
ROOT = Path(__file__).resolve().parents[2]


def test_mypy_finds_what_is_marked_and_nothing_else(tmp_path: Path) -> None:
    """Every `assert_type` holds, and every wrong call is found, each by its code."""
    command = [sys.executable, "-m", "mypy", "--strict", "--show-error-codes", "--no-error-summary", "--no-pretty"]
    options = ["--config-file", "", "--cache-dir", str(tmp_path), "--python-version", "3.11", "--follow-imports=silent"]
    options += ["--disable-error-code=unused-coroutine", "--ignore-missing-imports"]
    done = subprocess.run(
        [*command, *options, str(HANDLERS)], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    found = re.findall(r"handlers\.py:(\d+): error: .*\[([a-z-]+)\]$", done.stdout, flags=re.MULTILINE)
    lines = HANDLERS.read_text(encoding="utf-8").splitlines()
    marked = [(number, line) for number, line in enumerate(lines, 1) if "# E:" in line]
    assert sorted((int(number), code) for number, code in found) == [
        (number, line.rpartition("# E: ")[2]) for number, line in marked
    ], done.stdout + done.stderr
    assert len(marked) >= 9
