"""What a user gets: what is importable, what importing costs, and what is in the wheel and in the source archive."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
LONGEST_IMPORT = 0.150
DRIVERS_AND_FRAMEWORKS = {
    "alembic",
    "anyio",
    "asyncio",
    "botocore",
    "click",
    "cryptography",
    "fastapi",
    "flask",
    "django",
    "litestar",
    "opentelemetry",
    "psycopg",
    "rich",
    "sqlalchemy",
    "sqlite3",
    "uvicorn",
    "yaml",
}


def in_fresh_interpreter(code: str, folder: Path) -> Any:
    """Run code that prints JSON, in another folder and with nothing of ours on the path but what is installed."""
    command = [sys.executable, "-I", "-c", f"import json\n{code}"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def project() -> dict[str, Any]:
    data: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return data


# --- importing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["integrations", "tests", "examples", "docs", "benchmarks", "tools"])
def test_nothing_else_is_importable(name: str, tmp_path: Path) -> None:
    """Installing iam_guard, editable or not, claims one name only."""
    found = in_fresh_interpreter(
        f"from importlib.util import find_spec\nspec = find_spec({name!r})\n"
        "print(json.dumps([spec.origin, *(spec.submodule_search_locations or [])] if spec else []))",
        tmp_path,
    )
    assert [place for place in found if str(place).startswith(str(ROOT))] == []


def test_importing_is_quick(tmp_path: Path) -> None:
    """`import iam_guard` takes less than 150 ms of the processor, at best of five."""
    code = "import time\nstart = time.process_time()\nimport iam_guard\nprint(json.dumps(time.process_time() - start))"
    assert min(in_fresh_interpreter(code, tmp_path) for _ in range(5)) < LONGEST_IMPORT


def test_importing_loads_no_driver_and_no_framework(tmp_path: Path) -> None:
    """`import iam_guard` loads nothing but itself and the standard library, and of starlette at most its types."""
    loaded = set(in_fresh_interpreter("import sys\nimport iam_guard\nprint(json.dumps(sorted(sys.modules)))", tmp_path))
    assert "iam_guard" in loaded
    assert DRIVERS_AND_FRAMEWORKS & {name.partition(".")[0] for name in loaded} == set()
    assert {name for name in loaded if name.startswith("starlette")} <= {"starlette", "starlette.types"}


PURE = "AccessRequest, Decision, Outcome, Principal, compile_policies"


def test_deciding_loads_no_driver_and_no_framework(tmp_path: Path) -> None:
    """Whoever only evaluates policies pays for no store, no framework and no telemetry."""
    code = f"import sys\nfrom iam_guard import {PURE}\nprint(json.dumps(sorted(sys.modules)))"
    loaded = {name.partition(".")[0] for name in in_fresh_interpreter(code, tmp_path)}
    assert (DRIVERS_AND_FRAMEWORKS | {"starlette"}) & loaded == set()


def test_every_public_name_is_there(tmp_path: Path) -> None:
    """Each name of the public face can be had, and no other."""
    code = (
        "import iam_guard\n"
        "names = iam_guard.__all__\n"
        "print(json.dumps({name: getattr(iam_guard, name) is not None for name in names}))"
    )
    names = in_fresh_interpreter(code, tmp_path)
    assert all(names.values())
    assert {"open_guard", "compile_policies", "GuardMiddleware", "Service", "AccessDenied"} <= set(names)
    assert in_fresh_interpreter("import iam_guard\nprint(json.dumps(hasattr(iam_guard, 'nothing')))", tmp_path) is False


def test_the_version_is_the_distribution_s(tmp_path: Path) -> None:
    """`iam_guard.__version__`, the installed metadata and pyproject.toml agree."""
    asked = in_fresh_interpreter("import iam_guard\nprint(json.dumps(iam_guard.__version__))", tmp_path)
    assert asked == importlib.metadata.version("iam-guard") == project()["version"]


def test_the_command_is_installed(tmp_path: Path) -> None:
    """`iam-guard` starts, from any folder."""
    command = [Path(sys.executable).with_name("iam-guard"), "--help"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "Usage:" in run.stdout


# --- archives ----------------------------------------------------------------------------------------------------


def build(target: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    [archive] = folder.iterdir()
    return archive


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    """Every module, `py.typed`, the migrations and the licence; no test, no example, no other top-level name."""
    wheel = zipfile.ZipFile(build("wheel", tmp_path))
    names = set(wheel.namelist())
    information = {name for name in names if name.partition("/")[0].endswith(".dist-info")}
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob("iam_guard/**/*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names - information == ours
    assert "iam_guard/py.typed" in ours
    assert any(name.startswith("iam_guard/store/migrations/") for name in ours)
    assert any(name.endswith("licenses/LICENSE") for name in information)
    [entry_points] = [name for name in information if name.endswith("entry_points.txt")]
    assert "iam-guard = iam_guard.cli:main" in wheel.read(entry_points).decode()


def test_the_source_archive_is_the_package_with_its_papers(tmp_path: Path) -> None:
    """What is needed to build the wheel again, and the papers a distributor looks for."""
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    papers = {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml"}
    assert papers <= names
    assert {name.partition("/")[0] for name in names} - papers <= {"iam_guard", "PKG-INFO", ".gitignore"}
    assert {path.relative_to(ROOT).as_posix() for path in ROOT.glob("iam_guard/**/*.py")} <= names


# --- pins --------------------------------------------------------------------------------------------------------


def test_every_pin_is_what_is_installed() -> None:
    """The suite runs on the versions of constraints.txt and on no other."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    rows = [Requirement(line) for line in lines if line and not line.startswith("#")]
    pins = {row.name: str(row.specifier).removeprefix("==") for row in rows if not row.marker or row.marker.evaluate()}
    installed = {
        distribution.metadata["Name"].lower(): distribution.version
        for distribution in importlib.metadata.distributions()
    }
    differing = {name: (pin, there) for name, pin in pins.items() if (there := installed.get(name.lower())) != pin}
    assert {name: both for name, both in differing.items() if both[1] is not None} == {}


def test_every_dependency_is_pinned() -> None:
    """Whatever `pyproject.toml` asks for by name has its pin."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = data["dependency-groups"]
    ours = [*data["project"]["dependencies"], *data["project"]["optional-dependencies"]["server"]]
    ours += [line for name, group in groups.items() if name != "clients" for line in group]
    for asked, file in ((ours, "constraints.txt"), (groups["clients"], "constraints-clients.txt")):
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
        pinned = {line.partition("==")[0].lower() for line in lines}
        names = {line.partition(">")[0].partition("=")[0].partition("[")[0].strip().lower() for line in asked}
        assert names - pinned == set()
