"""A decorated handler keeps its type: a real mypy reads these files and finds what is marked there, nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = {"handlers.py": (), "views.py": ("flask", "django")}
"""A file, and the adapters that it is about."""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What mypy says of all files; reading what they import is most of its work."""
    command = [sys.executable, "-m", "mypy", "--strict", "--show-error-codes", "--no-error-summary", "--no-pretty"]
    options = ["--config-file", "", "--cache-dir", str(tmp_path_factory.mktemp("mypy")), "--python-version", "3.11"]
    options += ["--follow-imports=silent", "--disable-error-code=unused-coroutine", "--ignore-missing-imports"]
    adapters = [str(ROOT / "integrations" / each) for needed in FILES.values() for each in needed]
    done = subprocess.run(
        [*command, *options, *(str(HERE / name) for name in FILES)],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": os.pathsep.join(adapters)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", FILES)
def test_mypy_finds_what_is_marked_and_nothing_else(name: str, said: str) -> None:
    """Every `assert_type` holds, and every wrong call is found, each by its code."""
    found = re.findall(rf"{re.escape(name)}:(\d+): error: .*\[([a-z-]+)\]$", said, flags=re.MULTILINE)
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    marked = [(number, line) for number, line in enumerate(lines, 1) if "# E:" in line]
    assert sorted((int(number), code) for number, code in found) == [
        (number, line.rpartition("# E: ")[2]) for number, line in marked
    ], said
    assert len(marked) >= 8
