"""A decorated handler keeps its type: a real mypy reads `…handlers.py` and finds what is marked there, nothing else.

`handlers.py` is about the core; the others are about adapters, and need their frameworks.
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
    "fastapi_handlers.py": ("fastapi", "iam_guard_fastapi"),
    "litestar_handlers.py": ("litestar", "iam_guard_litestar"),
    "wsgi_handlers.py": ("flask", "iam_guard_flask", "django", "iam_guard_django"),
}
"""A file, and the modules that it needs."""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What mypy says of all files; reading what they import is most of its work."""
    command = [sys.executable, "-m", "mypy", "--strict", "--show-error-codes", "--no-error-summary", "--no-pretty"]
    options = ["--config-file", "", "--cache-dir", str(tmp_path_factory.mktemp("mypy")), "--python-version", "3.11"]
    options += ["--follow-imports=silent", "--disable-error-code=unused-coroutine", "--ignore-missing-imports"]
    files = [str(HERE / name) for name, modules in FILES.items() if all(map(importlib.util.find_spec, modules))]
    adapters = os.pathsep.join(str(each.parent) for each in ROOT.glob("integrations/*/pyproject.toml"))
    done = subprocess.run(
        [*command, *options, *files],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": adapters},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", FILES)
def test_mypy_finds_what_is_marked_and_nothing_else(name: str, said: str) -> None:
    """Every `assert_type` holds, and every wrong call is found, each by its code."""
    needed(*FILES[name])
    found = re.findall(rf"/{re.escape(name)}:(\d+): error: .*\[([a-z-]+)\]$", said, flags=re.MULTILINE)
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    marked = [(number, line) for number, line in enumerate(lines, 1) if "# E:" in line]
    assert sorted((int(number), code) for number, code in found) == [
        (number, line.rpartition("# E: ")[2]) for number, line in marked
    ], said
    assert len(marked) >= 8
