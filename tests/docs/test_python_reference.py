"""The public names: each is documented, and README, pages, examples and adapters import no others."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_examples import PAGES
from tests.tables import table
from tools.blocks import program_of

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))
from python_reference import MODULES, PublicModule, reference_page  # noqa: E402

CLIENT_TYPES = "iam_guard.clients."
"""Modules of types, which exist for type checkers alone."""
PROGRAMS = {
    **{path.relative_to(ROOT).as_posix(): program_of(path.read_text(encoding="utf-8")) for path in PAGES},
    **{
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for folder in ("examples", "integrations")
        for path in sorted((ROOT / folder).rglob("*.py"))
    },
}


def private_imports(program: str) -> list[str]:
    """Return what a program imports from iam_guard that is not public."""
    public = {module.name: module.names for module in MODULES}
    found = []
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names if each.name.partition(".")[0] == "iam_guard"]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "iam_guard":
            module = str(node.module)
            names = [each.name for each in node.names if each.name not in public.get(module, ())]
            found += [f"{module}.{name}" for name in names if not module.startswith(CLIENT_TYPES)]
    return [name for name in found if name not in public]


def test_pages_examples_and_adapters_import_public_names() -> None:
    assert {name: found for name, program in PROGRAMS.items() if (found := private_imports(program))} == {}


@table(
    ("program", "found"),
    [
        ("from iam_guard.store.opening import open_store", ["iam_guard.store.opening.open_store"]),
        ("from iam_guard.settings import PREFIX", ["iam_guard.settings.PREFIX"]),
        ("import iam_guard.model.arn", ["iam_guard.model.arn"]),
        ("from iam_guard import Guard\nimport iam_guard", []),
    ],
)
def test_private_import_is_found(program: str, found: list[str]) -> None:
    assert private_imports(program) == found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_every_public_name_has_a_docstring(module: PublicModule) -> None:
    """On its page, text follows each signature."""
    lines = [line for line in reference_page(module).splitlines() if line]
    ends = [number for number, line in enumerate(lines) if line == "```" and number + 1 < len(lines)]
    undocumented = [lines[number - 1] for number in ends if lines[number + 1].startswith("#")]
    has_example = lines[ends[0] - 1] in undocumented
    assert undocumented[has_example:] == []


@pytest.mark.parametrize(
    "module", [each for each in MODULES if each.name != "iam_guard.errors"], ids=lambda each: each.name
)
def test_public_name_is_imported_on_first_use(module: PublicModule) -> None:
    """The package itself loads none of its modules, and knows no other name."""
    program = (
        f"import json, sys, {module.name} as it\n"
        "before = [name for name in sys.modules if name.startswith('iam_guard.')]\n"
        "listed = sorted({*dir(it)} & {*it.__all__}) == sorted({*it.__all__})\n"
        "print(json.dumps([before, listed, [hasattr(it, name) for name in it.__all__], hasattr(it, 'nothing')]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, listed, has, has_other = json.loads(done.stdout)
    assert set(before) <= {"iam_guard.imports", "iam_guard.errors", module.name}
    assert (listed, all(has), has_other) == (True, True, False)


def test_public_name_belongs_to_one_module() -> None:
    """So that there is one way to import it; only `errors` also has those of `iam_guard`."""
    modules = [each for each in MODULES if each.name != "iam_guard.errors"]
    names = [name for module in modules for name in module.names]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_stubs_have_the_same_names() -> None:
    """A type checker sees what is imported on first use."""
    for module in MODULES:
        imported = importlib.import_module(module.name)
        stub = Path(str(inspect.getsourcefile(imported))).with_suffix(".pyi")
        if stub.exists():
            tree = ast.parse(stub.read_text(encoding="utf-8"))
            names = [name.name for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names]
            assert sorted(names) == module.names
