"""The tutorial about signing in works as written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.reader import ROOT, SERVER, Reader
from tests.integrations.contract import needed

needed("fastapi", "iam_guard_fastapi")

PAGE = ROOT / "docs" / "tutorial" / "sign-in.md"


@pytest.mark.skipif(not shutil.which("curl"), reason="the page uses curl")
def test_tutorial_works_as_written(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow(PAGE.read_text(encoding="utf-8"))
    assert [command for command in reader.commands if command.startswith("python ")] == [
        "python first_passwords.py",
        "python sign_in.py",
    ]
    assert len([command for command in reader.commands if command.startswith(SERVER)]) == 2
    trail = (tmp_path / "audit.jsonl").read_text(encoding="utf-8")
    assert trail.count('"eventName":"MfaEnrolled"') == 1


def test_wrong_output_on_the_page_is_found(tmp_path: Path) -> None:
    page = "```console\n$ echo one; echo two\nt…o\n$ echo three\nthree\n```\n"
    Reader(tmp_path).follow(page)
    for wrong in (page.replace("\nt…o", "\nf…o"), page.replace("\nt…o", "\nt…w"), page.replace("echo three", "false")):
        with pytest.raises(AssertionError):
            Reader(tmp_path).follow(wrong)
