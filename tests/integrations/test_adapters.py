"""Requirements for every adapter in `integrations/`: names, imports, and the content of the wheel."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.docs.test_examples import run
from tests.integrations.contract import needed
from tests.tables import table

ROOT = Path(__file__).resolve().parents[2]
ADAPTERS = sorted(each.parent for each in ROOT.glob("integrations/*/pyproject.toml"))
PUBLIC = {"iam_guard", "iam_guard.errors"}
FRAMEWORK_MODULES = {
    "iam_guard.web.asgi.bridge",
    "iam_guard.web.call_context",
    "iam_guard.web.endpoints",
    "iam_guard.web.route_maps.mapped_route",
    "iam_guard.web.refusal",
    "iam_guard.web.requirement",
    "iam_guard.model.principal",
    "iam_guard.web.wsgi.bridge",
    "iam_guard.web.wsgi.environ",
}
"""Modules for frameworks without ASGI, see `docs/how-to/add-an-adapter.md`."""


def project(adapter: Path) -> dict[str, Any]:
    data: dict[str, Any] = tomllib.loads((adapter / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return data


def test_there_are_adapters() -> None:
    assert len(ADAPTERS) >= 2


@table("adapter", ADAPTERS, ids=lambda path: path.name)
def test_adapter_is_named_after_its_framework(adapter: Path) -> None:
    """Distribution and import package; it depends on the core, and not vice versa."""
    framework = adapter.name
    assert project(adapter)["name"] == f"iam-guard-{framework}"
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"iam-guard>={version.rpartition('.')[0]}" in project(adapter)["dependencies"]
    assert (adapter / f"iam_guard_{framework}" / "py.typed").is_file()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    [forbidden] = [
        contract["forbidden_modules"] for contract in contracts if contract["name"] == "no module imports an adapter"
    ]
    assert f"iam_guard_{framework}" in forbidden


@table("adapter", ADAPTERS, ids=lambda path: path.name)
def test_dependencies_of_an_adapter_are_pinned(adapter: Path) -> None:
    """Like those of the core."""
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    names = {re.split(r"[><=\[;! ]", each)[0].lower() for each in project(adapter)["dependencies"]} - {"iam-guard"}
    assert names - pinned == set()


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda path: path.name)
def test_wheel_of_an_adapter_has_only_its_package(adapter: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=adapter, capture_output=True, text=True, check=True)
    [wheel] = tmp_path.iterdir()
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {f"iam_guard_{adapter.name}"}


MODULES_OF_LISTS = {"iam_guard.filters.list_condition", "iam_guard.model.request", "iam_guard.web.call_context"}


@table(
    ("framework", "files", "allowed"),
    [
        ("fastapi", 1, PUBLIC | {"iam_guard.filters.statement_filter", *MODULES_OF_LISTS}),
        # for the check at start-up
        (
            "litestar",
            1,
            PUBLIC | {"iam_guard.web.endpoints", "iam_guard.web.asgi.litestar_routes", "iam_guard.web.asgi.routes"},
        ),
        ("flask", 1, PUBLIC | FRAMEWORK_MODULES),
        # no requests and no responses: a message has a sealed principal, and a task is a call
        (
            "celery",
            1,
            PUBLIC
            | {f"iam_guard.web.{name}" for name in ("call_context", "endpoints", "requirement")}
            | {"iam_guard.administration.sealed_principals", "iam_guard.model.principal", "iam_guard.model.request"},
        ),
        ("aiohttp", 4, PUBLIC | FRAMEWORK_MODULES),
        # protocols of their own: what the bridges do for HTTP
        (
            "grpc",
            4,
            PUBLIC
            | FRAMEWORK_MODULES
            | {f"iam_guard.web.{name}" for name in ("guarded_request", "request_credentials", "response_guard")}
            | {"iam_guard.authn.presented_credentials"},
        ),
        (
            "fastmcp",
            6,
            PUBLIC
            | FRAMEWORK_MODULES
            | {"iam_guard.web.parameter_values", "iam_guard.web.response_guard", "iam_guard.model.request"}
            | {"iam_guard.audit.record.event_ids", "iam_guard.guard.step_up"},
        ),
        # Django needs `apps`, REST framework is optional, the guard may be opened in any thread
        (
            "django",
            11,
            PUBLIC
            | FRAMEWORK_MODULES
            | {"iam_guard.audit.writer.termination", *MODULES_OF_LISTS}
            | {f"iam_guard.filters{name}" for name in ("", ".mapped_resources", ".resource_type", ".verification")},
        ),
    ],
)
def test_adapter_is_small_and_uses_public_names(framework: str, files: int, allowed: set[str]) -> None:
    """Files under 250 lines that import only public and listed modules of iam_guard."""
    found = sorted((ROOT / "integrations" / framework / f"iam_guard_{framework}").glob("*.py"))
    assert len(found) == files
    for file in found:
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 250
        imports = {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
        assert {module for module in imports if module and module.partition(".")[0] == "iam_guard"} <= allowed


@pytest.mark.parametrize("framework", ["fastapi", "litestar", "flask", "aiohttp", "celery"])
def test_example_of_a_readme_runs(framework: str, tmp_path: Path) -> None:
    needed(framework, f"iam_guard_{framework}")
    readme = ROOT / "integrations" / framework / "README.md"
    done = run(readme.read_text(encoding="utf-8"), tmp_path, "readme.py")
    assert done.returncode == 0, done.stdout + done.stderr
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", readme.read_text(encoding="utf-8"))
    assert [link for link in links if not (readme.parent / link).exists()] == []
