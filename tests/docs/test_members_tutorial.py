"""The tutorial about members works as written; `tests/console/browser` uses its pages in a browser."""

from __future__ import annotations

from pathlib import Path

from tests.docs.reader import ROOT, SERVER, Reader
from tests.integrations.contract import needed

needed("fastapi", "iam_guard_fastapi")


def test_tutorial_works_as_written(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow((ROOT / "docs" / "tutorial" / "members.md").read_text(encoding="utf-8"))
    run = [command for command in reader.commands if not command.startswith(("pip ", "iam-guard ", SERVER))]
    assert run == ["pytest -q test_team.py", "python changes.py"]
