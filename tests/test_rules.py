"""Every rule that code, tests and pages cite is defined in `docs/explanation/rules`, once."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "docs" / "explanation" / "rules"
PREFIXES = "AA|[CEGIKMNPRSTVX]"
DEFINITION = re.compile(rf"^- \*\*((?:{PREFIXES})-[0-9]+)\*\*\{{ #([a-z0-9-]+) \}} \S", re.MULTILINE)
SECTION = re.compile(r"^## ([A-N]\.[0-9]+) ", re.MULTILINE)
SOURCES = re.compile(r"\[[^\]]*[A-Za-z][^\]]*\]")
CITATION = re.compile(rf"(?<![\w-])(?:{PREFIXES})-[0-9]{{1,3}}(?![\w-])")
CITED_SECTION = re.compile(r"(?<![\w.'\"-])[A-N]\.[0-9]{1,2}(?![\w.'\"(])")
NO_RULES = {"P-256", "P-384", "P-521"}
"""Elliptic curves."""


def pages() -> dict[str, str]:
    return {page.stem: page.read_text(encoding="utf-8") for page in sorted(RULES.glob("*.md"))}


@cache
def citing() -> dict[str, str]:
    """Return the text of each file that may cite rules, by name; of the pages of rules, without the definitions."""
    command = ["git", "ls-files", "*.py", "*.md", "tests/cases/*.jsonl"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, str] = {}
    for name in names.stdout.splitlines():
        path = ROOT / name
        if path.exists() and path != Path(__file__):
            text = path.read_text(encoding="utf-8")
            found[name] = DEFINITION.sub("", text) if path.parent == RULES else text
    return found


def cited(pattern: re.Pattern[str]) -> dict[str, str]:
    """Return each citation with a file that has it."""
    return {citation: name for name, text in citing().items() for citation in pattern.findall(text)}


def test_every_cited_rule_is_defined_once() -> None:
    """A rule that nothing cites is listed with `-rP`."""
    found = [match for text in pages().values() for match in DEFINITION.finditer(text)]
    defined = Counter(match[1] for match in found)
    assert [rule for rule, times in defined.items() if times > 1] == []
    assert [match[1] for match in found if match[2] != match[1].lower()] == []
    citations = cited(CITATION)
    unknown = {rule: name for rule, name in citations.items() if rule not in defined and rule not in NO_RULES}
    assert unknown == {}
    print("rules that nothing cites:", *sorted(defined.keys() - citations.keys()))


def test_every_cited_section_is_defined() -> None:
    """Such as F.2, a section of the page of evaluation."""
    defined = {section for text in pages().values() for section in SECTION.findall(text)}
    assert {section: name for section, name in cited(CITED_SECTION).items() if section not in defined} == {}


def test_every_rule_names_its_source() -> None:
    """And each page has the rules of one prefix, as the index says."""
    index = (RULES / "index.md").read_text(encoding="utf-8")
    for name, text in pages().items():
        lines = [line for line in text.splitlines() if DEFINITION.match(line)]
        assert [line for line in lines if not SOURCES.search(line.split("}", 1)[1])] == []
        prefixes = {line.split("**")[1].rpartition("-")[0] for line in lines}
        assert name == "index" or f"| {'|'.join(prefixes)} | [{text[2:].splitlines()[0]}]({name}.md) |" in index
