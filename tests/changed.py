"""The tests that a change affects: `make test ARGS=--changed`.

A change is what differs from `main`, uncommitted files included. It affects a test that imports a changed module, or a
module of the package that imports it; a test in the folder of a changed `conftest.py`; and the test of a page, an
example or an adapter. The whole suite still runs in CI: what code reaches by other ways is not followed.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ALWAYS = (Path("tests/test_structure.py"),)
FOLDERS = {
    "docs": "tests/docs",
    "examples": "tests/examples",
    "integrations": "tests/integrations",
    "tools": "tests/docs",
}
"""Top folder of a changed file -> the tests that read it without importing it."""
EVERYTHING = ("pyproject.toml", "constraints.txt", "Makefile")


def changed_files(branch: str = "main") -> set[Path]:
    """Return the files that differ from where the branch began, relative to the repository."""
    base = _git("merge-base", "HEAD", branch).strip() or "HEAD"
    listed = _git("diff", "--name-only", base) + _git("ls-files", "--others", "--exclude-standard")
    return {Path(line) for line in listed.splitlines()}


def affected_tests(changed: Iterable[Path]) -> set[Path]:
    """Return the test files that changed files affect, relative to the repository."""
    changed = set(changed)
    tests = {path.relative_to(ROOT) for path in ROOT.glob("tests/**/test_*.py")}
    if any(path.as_posix() in EVERYTHING for path in changed):
        return tests
    names = {_module(path) for path in changed if path.suffix == ".py"}
    package = [path.relative_to(ROOT) for path in ROOT.glob("iam_guard/**/*.py")]
    names |= {_module(path) for path in package if _imports(path) & names}
    helpers = {path.relative_to(ROOT) for path in ROOT.glob("tests/**/*.py")} - tests
    names |= {_module(path) for path in helpers if _imports(path) & names}
    folders = [path.parent for path in changed if path.name == "conftest.py"]
    folders += [Path(FOLDERS[path.parts[0]]) for path in changed if path.parts[0] in FOLDERS]
    return {
        path
        for path in tests
        if path in changed or path in ALWAYS or _imports(path) & names or any(map(path.is_relative_to, folders))
    }


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@cache
def _imports(path: Path) -> frozenset[str]:
    """Return the modules that a file imports, and the modules of imported names."""
    return frozenset(_imported(ast.parse((ROOT / path).read_text(encoding="utf-8"))))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout
