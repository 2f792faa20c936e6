"""Check the landing page and the navigation: every how-to is reachable, and the quick start is that of the README."""

from __future__ import annotations

import re
from pathlib import Path

from tests.tables import table

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


def test_pages_name_a_clone_until_there_is_a_release() -> None:
    """The name may be another's at a registry."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "integrations").rglob("*.md")]
    pages = [path for path in pages if "decisions" not in path.parts]
    found = [(path.name, text) for path in pages for text in re.findall(r"pip install[^\n`]*", path.read_text("utf-8"))]
    assert found
    assert [row for row in found if re.search(r"(?<![/\w])'?iam[-_]guard", row[1])] == []


@table(
    ("words", "page", "title"),
    [
        ("invite member", "tutorial/members/", "Invite a member"),
        ("member", "tutorial/members/", "Members, roles and invitations on your own pages"),
        ("list users", "how-to/manage-identities-in-python/", "List users, invite members, change what they may do"),
    ],
)
def test_search_finds_what_builders_look_for(words: str, page: str, title: str) -> None:
    """By a heading with all the words, in whose place the search shows the page."""
    headings = re.findall(r"^#+ (.*)$", text_of(f"docs/{page.strip('/')}.md"), re.MULTILINE)
    assert title in headings
    assert all(word in title.lower() for word in words.split())
