"""The documentation says what the code says: generated pages are fresh, every row is documented, links resolve."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from docs.generate import CALLERS, PAGES, error_family, field_docstrings, outdated, write
from iam_guard.analysis.lint.lint_codes import HINTS
from iam_guard.cli.group import COMMANDS
from iam_guard.evaluation.matching.condition_keys import KEYS
from iam_guard.evaluation.matching.operators import OPERATORS
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import PrincipalType
from iam_guard.policy.grammar import DOCUMENT_ELEMENTS, STATEMENT_ELEMENTS
from iam_guard.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAPERS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


# --- the reference -----------------------------------------------------------------------------------------------


def test_generated_pages_are_fresh() -> None:
    """The committed pages are what the code says now; `make docs` makes them."""
    assert outdated() == []


def test_a_stale_page_is_noticed(tmp_path: Path) -> None:
    """A page that was edited by hand, or is missing, is out of date."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for folder in {Path(name).parent for name in PAGES}:
        (docs / folder).mkdir(parents=True, exist_ok=True)
    write(docs)
    assert outdated(docs) == []
    (docs / "reference/errors.md").write_text("edited")
    (docs / "reference/settings.md").unlink()
    assert sorted(outdated(docs)) == ["reference/errors.md", "reference/settings.md"]


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_every_setting_is_documented(name: str) -> None:
    """A setting has a line that says what it means and by which variable it is set."""
    [row] = [line for line in page("reference/settings.md").splitlines() if line.startswith(f"| `{name}` |")]
    assert f"`IAM_GUARD_{name.upper()}`" in row
    assert len(row.split(" | ")[-1]) > len("too short |")


@pytest.mark.parametrize("error", error_family(), ids=lambda error: error.__name__)
def test_every_error_is_documented(error: type) -> None:
    """An error has a docstring of its own, and a line with its code."""
    assert error.__doc__
    assert f"| `{error.__name__}` | `{error.code}` |" in page("reference/errors.md")  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_is_documented(name: str) -> None:
    """A condition operator has its line."""
    assert f"| `{name}` |" in page("reference/condition-operators.md")


@pytest.mark.parametrize("name", [row.name for row in KEYS])
def test_every_context_key_is_documented(name: str) -> None:
    """A context key has its line."""
    assert f"| `{name}` |" in page("reference/context-keys.md")


def rows(name: str, title: str) -> list[list[str]]:
    """Return the table below a title: its cells, line by line, without head."""
    section = page(name).split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines[2:]]


def test_every_policy_type_is_documented() -> None:
    """X-3, E-14: each type has its line; those that grant are told apart from those that only limit."""
    told = {row[0]: len(row) > 1 and row[1] == "yes" for row in rows("reference/policy-types.md", "The types")}
    assert list(told) == list(PolicyType)
    assert {type for type, grants in told.items() if grants} == {
        *(PolicyType.IDENTITY, PolicyType.RESOURCE, PolicyType.TRUST)
    }


def test_every_element_of_a_policy_is_documented() -> None:
    """A.3: a line for each element, and a cell in it for each type."""
    told = {row[0].strip("`"): row[1:] for row in rows("reference/policy-types.md", "Elements")}
    assert told.keys() == (DOCUMENT_ELEMENTS - {"Statement"}) | STATEMENT_ELEMENTS
    assert all(len(cells) == len(PolicyType) for cells in told.values())


# F.2: identity, resource, boundary, session, SCP, RCP, VPC endpoint, trust
CONCERNED = {
    "IAM user": "yes yes yes yes yes yes yes required",
    "Role session": "yes yes yes yes yes yes yes required",
    "Session of a service-linked role": "yes yes yes yes no no yes required",
    "Federated user": "yes yes yes required yes yes yes required",
    "Root user": "no yes no no yes yes yes required",
    "Service principal": "no required no no no yes yes required",
    "Caller of an identity provider": "no required no no no yes yes required",
    "Anonymous caller": "no required no no no yes yes required",
}


def test_the_page_tells_whom_a_policy_type_concerns() -> None:
    """F.2, E-10, E-11, E-40, E-60, E-62: what the evaluator answers is the table of the rules."""
    assert {row[0]: " ".join(row[1:]) for row in rows("reference/policy-types.md", "Callers")} == CONCERNED
    assert {caller.type for caller in CALLERS.values()} == set(PrincipalType)


def test_the_page_tells_what_is_reported_first() -> None:
    """E-90."""
    told = rows("reference/policy-types.md", "Order of reporting")
    explicit, implicit = [row[1] for row in told], [row[2] for row in told]
    rest = ["resource-based policy", "identity-based policy", "permissions boundary", "session policy"]
    assert explicit == ["service control policy", "resource control policy", *rest, "VPC endpoint policy"]
    assert implicit == ["resource control policy", "service control policy", *rest, "VPC endpoint policy"]


def test_field_docstrings_are_read() -> None:
    """The string below a field is its documentation; a field without one has none."""
    source = (
        'class Settings:\n    a: int = 1\n    """What\n    a is."""\n    b: int = 2\n    c: str = ""\n    """c."""\n'
    )
    assert field_docstrings(source, "Settings") == {"a": "What a is.", "c": "c."}


# --- papers and links --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.name)
def test_the_links_of_a_paper_resolve(path: Path) -> None:
    """A relative link in the papers at the root leads to a file. (Links inside docs/: `mkdocs build --strict`.)"""
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_changelog_has_a_place_for_the_next_line() -> None:
    """Keep a Changelog: newest first, with an Unreleased section."""
    titles = re.findall(r"^## (.+)$", page("../CHANGELOG.md"), re.MULTILINE)
    assert titles[0] == "[Unreleased]"


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_readme_names_its_commands(command: str) -> None:
    """What CI runs is what the README tells people to run."""
    assert command in page("../README.md")
    assert command in page("../.ci/run")


# --- the threat model --------------------------------------------------------------------------------------------


def test_every_attack_has_its_test() -> None:
    """Each row of the threat model names a test that is there."""
    rows = [line for line in page("explanation/threats.md").splitlines() if line.startswith("| ") and "::" in line]
    named = [re.findall(r"`([\w/]+\.py)::(test_\w+)`", row) for row in rows]
    assert len(rows) > 50
    assert all(named)
    for file, test in {pair for each in named for pair in each}:
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"^(?:async )?def {test}\(", text, re.MULTILINE), f"{file}::{test}"


@pytest.mark.parametrize("code", HINTS)
def test_every_code_of_the_linter_is_documented(code: str) -> None:
    """A code has its line, with what to do."""
    assert f"| `{code}` |" in page("reference/lint-codes.md")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    """A command has its line."""
    assert f"`iam-guard {command} " in page("reference/command-line.md").replace("decide`", "decide `")
