"""A decorated handler keeps its type: mypy reports exactly the marked lines of `…handlers.py`.

`handlers.py` is about the core; the others are about adapters, and need their frameworks. `sessions.py` is about what
gets a session.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integrations.contract import needed

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES: Mapping[str, tuple[str, ...]] = {
    "handlers.py": (),
    "sessions.py": (),
    "fastapi_handlers.py": ("fastapi", "iam_guard_fastapi"),
    "fastmcp_handlers.py": ("fastmcp", "iam_guard_fastmcp"),
    "aiohttp_handlers.py": ("aiohttp", "iam_guard_aiohttp"),
    "litestar_handlers.py": ("litestar", "iam_guard_litestar"),
    "wsgi_handlers.py": ("flask", "iam_guard_flask", "django", "iam_guard_django"),
}
"""The files, and the modules that each needs."""


@pytest.fixture(scope="module")
def mypy_output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return mypy's output for all files, which share the cost of checking their imports."""
    command = [sys.executable, "-m", "mypy", "--strict", "--show-error-codes", "--no-error-summary", "--no-pretty"]
    options = ["--config-file", "", "--cache-dir", str(tmp_path_factory.mktemp("mypy")), "--python-version", "3.11"]
    options += ["--follow-imports=silent", "--disable-error-code=unused-coroutine", "--ignore-missing-imports"]
    files = [str(HERE / name) for name, modules in FILES.items() if all(map(importlib.util.find_spec, modules))]
    adapters = os.pathsep.join(str(project.parent) for project in ROOT.glob("integrations/*/pyproject.toml"))
    completed = subprocess.run(
        [*command, *options, *files],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": adapters},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return completed.stdout + completed.stderr


@pytest.mark.parametrize("name", FILES)
def test_mypy_reports_exactly_the_marked_lines(name: str, mypy_output: str) -> None:
    """Every `assert_type` holds, and every wrong call is reported, each by its code."""
    needed(*FILES[name])
    found = re.findall(rf"/{re.escape(name)}:(\d+): error: .*\[([a-z-]+)\]$", mypy_output, flags=re.MULTILINE)
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    marked = [(number, line) for number, line in enumerate(lines, 1) if "# E:" in line]
    assert sorted((int(number), code) for number, code in found) == [
        (number, line.rpartition("# E: ")[2]) for number, line in marked
    ], mypy_output
    assert len(marked) >= 8
