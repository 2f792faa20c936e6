"""A decorated handler keeps its type: a real mypy reads `…handlers.py` and finds what is marked there, nothing else.

`handlers.py` is about the core; the others are about an adapter each, and need its framework.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integrations.contract import needed

HERE = Path(__file__).parent
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("handlers.py", ()),
        ("fastapi_handlers.py", ("fastapi", "iam_guard_fastapi")),
        ("litestar_handlers.py", ("litestar", "iam_guard_litestar")),
    ],
)
def test_mypy_finds_what_is_marked_and_nothing_else(tmp_path: Path, name: str, modules: tuple[str, ...]) -> None:
    """Every `assert_type` holds, and every wrong call is found, each by its code."""
    needed(*modules)
    command = [sys.executable, "-m", "mypy", "--strict", "--show-error-codes", "--no-error-summary", "--no-pretty"]
    options = ["--config-file", "", "--cache-dir", str(tmp_path), "--python-version", "3.11", "--follow-imports=silent"]
    options += ["--disable-error-code=unused-coroutine", "--ignore-missing-imports"]
    adapters = os.pathsep.join(str(each.parent) for each in ROOT.glob("integrations/*/pyproject.toml"))
    done = subprocess.run(
        [*command, *options, str(HERE / name)],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": adapters},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    found = re.findall(re.escape(name) + r":(\d+): error: .*\[([a-z-]+)\]$", done.stdout, flags=re.MULTILINE)
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    marked = [(number, line) for number, line in enumerate(lines, 1) if "# E:" in line]
    assert sorted((int(number), code) for number, code in found) == [
        (number, line.rpartition("# E: ")[2]) for number, line in marked
    ], done.stdout + done.stderr
    assert len(marked) >= 8
