"""Check the page that lists the files of each kind of change: they have its examples, and no other file the first."""

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


def examples_of(section: str) -> list[str]:
    return re.findall(r"`(.+?)`", section.rpartition("Example: ")[2])


def files_with(word: str) -> set[str]:
    """Return the files of the product that contain a word."""
    command = ["git", "grep", "--untracked", "-lw", "--", word, "iam_guard", "integrations", "pyproject.toml"]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def test_page_covers_twelve_changes() -> None:
    assert len(SECTIONS) == 12


@table("change", SECTIONS)
def test_listed_files_have_an_example(change: str) -> None:
    """A listed file that has none is not the place of the change. Of a folder, one file is enough."""
    examples = examples_of(SECTIONS[change])
    for path in listed_in(SECTIONS[change]):
        place = ROOT / path
        files = [file for file in place.rglob("*") if file.is_file()] if path.endswith("/") else [place]
        texts = [file.read_text(encoding="utf-8", errors="ignore") for file in files]
        assert any(example in text for example in examples for text in texts), path


@table("change", SECTIONS)
def test_only_listed_files_have_the_example(change: str) -> None:
    """A file that is missing on the page would be forgotten in the next such change."""
    section = SECTIONS[change]
    listed = listed_in(section)
    found = files_with(examples_of(section)[0])
    assert found
    folders = tuple(path for path in listed if path.endswith("/"))
    assert {path for path in found if path not in listed and not path.startswith(folders or "\0")} == set()
