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
PUBLIC = {"iam_guard", "iam_guard.errors", "iam_guard.adapters", "iam_guard.filters"}


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


@table(
    ("framework", "files"),
    {"fastapi": 1, "litestar": 1, "flask": 1, "celery": 1, "aiohttp": 4, "grpc": 4, "fastmcp": 6, "django": 11}.items(),
)
def test_adapter_is_small_and_uses_public_names(framework: str, files: int) -> None:
    """Files under 260 lines that import public modules of iam_guard only."""
    found = sorted((ROOT / "integrations" / framework / f"iam_guard_{framework}").glob("*.py"))
    assert len(found) == files
    for file in found:
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 260
        imports = {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
        assert {module for module in imports if module and module.partition(".")[0] == "iam_guard"} <= PUBLIC


@pytest.mark.parametrize("framework", ["fastapi", "litestar", "flask", "aiohttp", "celery"])
def test_example_of_a_readme_runs(framework: str, tmp_path: Path) -> None:
    needed(framework, f"iam_guard_{framework}")
    readme = ROOT / "integrations" / framework / "README.md"
    done = run(readme.read_text(encoding="utf-8"), tmp_path, "readme.py")
    assert done.returncode == 0, done.stdout + done.stderr
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", readme.read_text(encoding="utf-8"))
    assert [link for link in links if not (readme.parent / link).exists()] == []
