"""Check the landing page and the navigation: every how-to is reachable, and the quick start is that of the README."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOW_TOS = sorted((ROOT / "docs" / "how-to").glob("*.md"))


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_every_how_to_is_in_the_navigation() -> None:
    """Each page once; `not_in_nav` is for decisions only."""
    listed = re.findall(r"- (how-to/\S+\.md)$", text_of("mkdocs.yml"), re.MULTILINE)
    assert sorted(listed) == sorted(path.relative_to(ROOT / "docs").as_posix() for path in HOW_TOS)


def test_landing_page_links_every_how_to() -> None:
    assert [path.name for path in HOW_TOS if f"(how-to/{path.name})" not in text_of("docs/index.md")] == []


def test_landing_page_has_the_quick_start_of_the_readme() -> None:
    """Readers copy both, so they must not differ."""

    def blocks(text: str) -> list[str]:
        section = text.split("\n## Quick start\n")[1].split("\n## ")[0]
        return re.findall(r"^```.*?^```$", section, re.MULTILINE | re.DOTALL)

    ours = blocks(text_of("docs/index.md"))
    assert len(ours) == 3
    assert [block for block in blocks(text_of("README.md")) if block in ours] == ours
