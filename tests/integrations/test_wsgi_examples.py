"""The examples of the Flask and Django adapters run and show the expected results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.integrations.contract import needed
from tests.tables import table

needed("flask", "django", "iam_guard_flask", "iam_guard_django")

INTEGRATIONS = Path(__file__).parents[2] / "integrations"


def run(program: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-W", "error", str(INTEGRATIONS / program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout.splitlines()


@table("program", ["flask/example/flask_app.py", "django/example/project.py"])
def test_each_tenant_has_its_own_documents(program: str) -> None:
    """Ada writes and reads, Rita reads, Gus of another account writes his own; anonymous callers are rejected."""
    output = run(program)
    assert all(" docs:" in line or line.endswith("public") for line in output[:3])
    answers = [line for line in output if line.startswith(("ada", "rita", "gus", "anonymous"))]
    statuses = [next(word for word in line.split() if word in ("200", "401", "403")) for line in answers]
    assert statuses == ["200", "200", "403", "200", "200", "200", "401"]


def test_check_of_the_project_passes() -> None:
    """With `manage.py check`."""
    assert run("django/example/project.py", "check") == ["System check identified no issues (0 silenced)."]
