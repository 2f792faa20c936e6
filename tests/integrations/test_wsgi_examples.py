"""The examples of the adapters for Flask and Django run, and say what they are there to show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integrations.contract import needed

needed("flask", "django", "iam_guard_flask", "iam_guard_django")

INTEGRATIONS = Path(__file__).parents[2] / "integrations"


def run(program: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-W", "error", str(INTEGRATIONS / program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout.splitlines()


@pytest.mark.parametrize("program", ["flask/example/flask_app.py", "django/example/project.py"])
def test_each_tenant_has_documents_of_its_own(program: str) -> None:
    """Ada writes and reads, Rita reads, Gus of another account writes his own; nobody else gets in."""
    said = run(program)
    assert all(" docs:" in line or line.endswith("public") for line in said[:3])
    answers = [line for line in said if line.startswith(("ada", "rita", "gus", "nobody"))]
    statuses = [next(word for word in line.split() if word in ("200", "401", "403")) for line in answers]
    assert statuses == ["200", "200", "403", "200", "200", "200", "401"]


def test_the_check_of_the_project_finds_nothing() -> None:
    """`manage.py check` is a gate."""
    assert run("django/example/project.py", "check") == ["System check identified no issues (0 silenced)."]
