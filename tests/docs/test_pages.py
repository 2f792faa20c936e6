"""Check the documentation against the code: generated pages are current, every row is documented, links resolve."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path

from docs.generate import PAGES, error_family, outdated, write
from docs.policy_types import CALLERS
from docs.service_references import OWN_REFERENCES
from docs.settings_reference import field_docstrings
from iam_guard.analysis.lint.lint_codes import HINTS
from iam_guard.api.access_analyzer.operation_table import ACCESS_ANALYZER
from iam_guard.api.iam.unsupported_operations import NOT_SUPPORTED as IAM_NOT_SUPPORTED
from iam_guard.api.protocol.dispatch import service_of
from iam_guard.api.signin.tool_operations import SIGNIN
from iam_guard.api.sts.operations import STS
from iam_guard.cli.group import COMMANDS
from iam_guard.evaluation.matching.condition_keys import KEYS
from iam_guard.evaluation.matching.operators import OPERATORS
from iam_guard.model.decision import PolicyType
from iam_guard.model.own_services import SERVED
from iam_guard.model.principal import PrincipalType
from iam_guard.policy.grammar import DOCUMENT_ELEMENTS, STATEMENT_ELEMENTS
from iam_guard.settings import Settings
from tests.tables import table

ROOT = Path(__file__).resolve().parents[2]
PAPERS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


# --- the reference -----------------------------------------------------------------------------------------------


def test_generated_pages_are_fresh() -> None:
    """The committed pages match the code; `make docs` writes them."""
    assert outdated() == []


def test_stale_page_is_reported(tmp_path: Path) -> None:
    """An edited or missing page is out of date."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for folder in {Path(name).parent for name in PAGES}:
        (docs / folder).mkdir(parents=True, exist_ok=True)
    write(docs)
    assert outdated(docs) == []
    (docs / "reference/errors.md").write_text("edited")
    (docs / "reference/settings.md").unlink()
    assert sorted(outdated(docs)) == ["reference/errors.md", "reference/settings.md"]


@table("name", [field.name for field in fields(Settings)])
def test_every_setting_is_documented(name: str) -> None:
    """A setting has a line with its meaning and its environment variable."""
    names = f"| `{name}`<br>`IAM_GUARD_{name.upper()}` |"
    [row] = [line for line in page("reference/settings.md").splitlines() if line.startswith(names)]
    assert len(row.split(" | ")[-1]) > len("too short |")


@table("error", error_family(), ids=lambda error: error.__name__)
def test_every_error_is_documented(error: type) -> None:
    """An error has a docstring, and a line with its code."""
    assert error.__doc__
    assert f"| `{error.__name__}` | `{error.code}` |" in page("reference/errors.md")  # type: ignore[attr-defined]


@table("name", OPERATORS)
def test_every_operator_is_documented(name: str) -> None:
    """A condition operator has its line."""
    assert f"| `{name}` |" in page("reference/condition-operators.md")


@table("name", [row.name for row in KEYS])
def test_every_context_key_is_documented(name: str) -> None:
    """A context key has its line."""
    assert f"| `{name}` |" in page("reference/context-keys.md")


def rows(name: str, title: str) -> list[list[str]]:
    """Return the table below a title: its cells, line by line, without header."""
    section = page(name).split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines[2:]]


UNSUPPORTED = {f"iam:{name}" for name in IAM_NOT_SUPPORTED} | {
    f"{service.prefix}:{name}" for service in (STS, ACCESS_ANALYZER, SIGNIN) for name in service.not_supported
}


def test_supported_operations_are_counted() -> None:
    """Each operation of AWS's models is supported, or listed with the reason; other services have none."""
    counts = {
        row[0].split("`")[1]: [int(cell) for cell in row[1:]] for row in rows("reference/api-support.md", "Services")
    }
    served = {prefix: service_of(prefix) for prefix in SERVED}
    assert {prefix: total for prefix, (total, supported, missing) in counts.items() if supported} == {
        prefix: len(service.operations) + len(service.not_supported) for prefix, service in served.items()
    }
    assert all(total == supported + missing for total, supported, missing in counts.values())
    listed = {row[0].strip("`") for row in rows("reference/api-support.md", "Unsupported operations")}
    assert listed == UNSUPPORTED
    assert sum(missing for prefix, (_, _, missing) in counts.items() if prefix in served) == len(listed)


def test_every_own_service_has_its_features() -> None:
    """A served service has a row on the page, and its service authorization reference."""
    assert OWN_REFERENCES.keys() == SERVED.keys()
    named = [row[0].split("`")[1] for row in rows("reference/service-features.md", "Services of iam_guard")]
    assert named == list(SERVED)
    assert [row[0] for row in rows("reference/service-features.md", "Services of applications")] == [
        "Documents (`docs`)"
    ]


def test_every_unsupported_feature_is_documented() -> None:
    """The API raises `NotSupported` only for what the page lists: operations, parameters, and two missing settings."""
    places = {
        f"{path.stem}.{function.name}"
        for path in (ROOT / "iam_guard" / "api").rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef) and "raise NotSupported(" in ast.unparse(function)
    }
    assert places == {
        "unsupported_operations._refuse",
        "operation.operation",
        "unsupported_features.refuse_parameters",
        "token_issuer.enable_issuer",
        "token_issuer.token_library",
    }
    parameters = rows("reference/api-support.md", "Unsupported parameters")
    assert [row[1] for row in parameters] == ["`ProvidedContexts`", "`ProviderId`"]
    assert "EnableOutboundWebIdentityFederation" in page("reference/api-support.md")


def test_no_page_promises_the_whole_api() -> None:
    """The API lacks operations, and the page above says which."""
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        assert not re.search(
            r"(?i)\b(complete|whole|entire|full) (IAM |STS |AWS )?API\b", path.read_text(encoding="utf-8")
        ), path
    assert "docs/reference/api-support.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_policy_type_is_documented() -> None:
    """X-3, E-14: each type has its line; a column shows whether it grants or only limits."""
    grants = {row[0]: len(row) > 1 and row[1] == "yes" for row in rows("reference/policy-types.md", "The types")}
    assert list(grants) == list(PolicyType)
    assert {type for type, granting in grants.items() if granting} == {
        *(PolicyType.IDENTITY, PolicyType.RESOURCE, PolicyType.TRUST)
    }


def test_every_policy_element_is_documented() -> None:
    """A.3: a line for each element, and a cell in it for each type."""
    elements = {row[0].strip("`"): row[1:] for row in rows("reference/policy-types.md", "Elements")}
    assert elements.keys() == (DOCUMENT_ELEMENTS - {"Statement"}) | STATEMENT_ELEMENTS
    assert all(len(cells) == len(PolicyType) for cells in elements.values())


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


def test_policy_types_page_has_the_rules_table_of_callers() -> None:
    """F.2, E-10, E-11, E-40, E-60, E-62: the evaluator's answers equal the table of the rules."""
    assert {row[0]: " ".join(row[1:]) for row in rows("reference/policy-types.md", "Callers")} == CONCERNED
    assert {caller.type for caller in CALLERS.values()} == set(PrincipalType)


def test_policy_types_page_has_the_order_of_reporting() -> None:
    """E-90."""
    order = rows("reference/policy-types.md", "Order of reporting")
    explicit, implicit = [row[1] for row in order], [row[2] for row in order]
    rest = ["resource-based policy", "identity-based policy", "permissions boundary", "session policy"]
    assert explicit == ["service control policy", "resource control policy", *rest, "VPC endpoint policy"]
    assert implicit == ["resource control policy", "service control policy", *rest, "VPC endpoint policy"]


def test_field_docstrings_are_read() -> None:
    """The string below a field is its documentation; a field without a string has none."""
    source = (
        'class Settings:\n    a: int = 1\n    """What\n    a is."""\n    b: int = 2\n    c: str = ""\n    """c."""\n'
    )
    assert field_docstrings(source, "Settings") == {"a": "What a is.", "c": "c."}


# --- root documents and links ------------------------------------------------------------------------------------


@table("path", PAPERS, ids=lambda path: path.name)
def test_root_document_links_resolve(path: Path) -> None:
    """A relative link in a document at the root leads to a file. (Links inside docs/: `mkdocs build --strict`.)"""
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_changelog_has_dated_versions() -> None:
    """Keep a Changelog: each version with its date, the newest first, below the unreleased changes if there are any."""
    titles = re.findall(r"^## (.+)$", page("../CHANGELOG.md"), re.MULTILINE)
    versions = [title for title in titles if title != "[Unreleased]"]
    assert titles in (versions, ["[Unreleased]", *versions])
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", title) for title in versions)
    assert versions == sorted(versions, key=lambda title: [*map(int, title.split()[0].split("."))], reverse=True)


@table("command", ["make demo", "make test"])
def test_readme_commands_run_in_ci(command: str) -> None:
    """CI runs the commands of the README."""
    assert command in page("../README.md")
    assert command in page("../.ci/run")


# --- the threat model --------------------------------------------------------------------------------------------


def test_every_attack_has_its_test() -> None:
    """Each row of the security testing page names an existing test."""
    rows = [line for line in page("explanation/threats.md").splitlines() if line.startswith("| ") and "::" in line]
    named = [re.findall(r"`([\w/]+\.py)::(test_\w+)`", row) for row in rows]
    assert len(rows) > 50
    assert all(named)
    for file, test in {pair for pairs in named for pair in pairs}:
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"^(?:async )?def {test}\(", text, re.MULTILINE), f"{file}::{test}"


@table("code", HINTS)
def test_every_lint_code_is_documented(code: str) -> None:
    """A code has its line, with a hint."""
    assert f"</a>`{code}` |" in page("reference/lint-codes.md")


@table("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    """A command has its section."""
    assert f"\n### iam-guard {command}\n" in page("reference/command-line.md")
