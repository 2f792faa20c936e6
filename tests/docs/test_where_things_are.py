"""Check the page that lists the files of each kind of change: they exist, and no other file has the example."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.tables import table

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "where-things-are.md"
SECTIONS = {section.partition("\n")[0]: section for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]}


def listed_in(section: str) -> set[str]:
    """Return the paths in a section's bullets; a folder ends with `/`."""
    bullets = "\n".join(line for line in section.splitlines() if line.startswith("- "))
    return set(re.findall(r"`((?:[\w.-]+/)+(?:[\w.-]+)?|pyproject\.toml)`", bullets))


def files_with(word: str) -> set[str]:
    """Return the files of the product that contain a word."""
    command = ["git", "grep", "--untracked", "-lw", "--", word, "iam_guard", "integrations", "pyproject.toml"]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def test_page_covers_twelve_changes() -> None:
    assert len(SECTIONS) == 12


@table("change", SECTIONS)
def test_listed_files_exist(change: str) -> None:
    assert [path for path in listed_in(SECTIONS[change]) if not (ROOT / path).exists()] == []


@table("change", [change for change in SECTIONS if "Example: " in SECTIONS[change]])
def test_only_listed_files_have_the_example(change: str) -> None:
    """A file that is missing on the page would be forgotten in the next such change."""
    section = SECTIONS[change]
    listed = listed_in(section)
    found = files_with(section.partition("Example: `")[2].partition("`")[0])
    assert found
    folders = tuple(path for path in listed if path.endswith("/"))
    assert {path for path in found if path not in listed and not path.startswith(folders or "\0")} == set()
