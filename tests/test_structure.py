"""The rules of the house itself: sizes, floors, circles, names, and what no tracked file may say.

What holds for the installed distribution is in `test_packaging.py`.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import spread
from tools.duplicates import ALLOWED, find

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted([*ROOT.glob("iam_guard/**/*.py"), *ROOT.glob("integrations/**/*.py")])
MAX_LINES_OF_A_FILE = 400
MAX_LINES_OF_A_FUNCTION = 60


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_there_is_a_house() -> None:
    """The tests below look at something."""
    assert len(MODULES) > 20


# --- sizes and docstrings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_fits_its_room(path: Path) -> None:
    """No file has more than 400 lines, no function more than 60."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    functions = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    sizes = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    assert lines <= MAX_LINES_OF_A_FILE
    assert {name: size for name, size in sizes.items() if size > MAX_LINES_OF_A_FUNCTION} == {}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_lives_in_it(path: Path) -> None:
    """Every module opens with a docstring; an empty `__init__` says nothing because it holds nothing."""
    tree = tree_of(path)
    assert ast.get_docstring(tree) or not tree.body


def test_no_module_guards_anything_by_an_assert() -> None:
    """`python -O` leaves assert statements out."""
    found = [name_of(path) for path in MODULES for node in ast.walk(tree_of(path)) if isinstance(node, ast.Assert)]
    assert [name for name in found if "/example" not in name] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_promises_nothing_for_later(path: Path) -> None:
    """No note of unfinished work, and nothing that is there in name only."""
    unfinished = re.findall(r"\b(?:TO[D]O|FIX[M]E|X[X]X|NotImplemente[d]Error)\b", path.read_text(encoding="utf-8"))
    assert unfinished == []


CLOCKS = {"datetime.now", "datetime.today", "datetime.utcnow", "date.today", "time.time", "time.time_ns", "time.gmtime"}


def clocks_read_at_import(tree: ast.AST) -> Iterator[int]:
    """Return the lines that read the clock while the module is imported; the bodies of functions run later."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            defaults = [*node.args.defaults, *node.args.kw_defaults, *getattr(node, "decorator_list", ())]
            yield from clocks_read_at_import(ast.List([default for default in defaults if default is not None]))
            continue
        if isinstance(node, ast.Call) and ".".join(ast.unparse(node.func).split(".")[-2:]) in CLOCKS:
            yield node.lineno
        yield from clocks_read_at_import(node)


def test_no_test_module_reads_the_clock_at_import() -> None:
    """A time that was taken at import is hours old when the last test runs."""
    modules = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("examples/**/*.py")]
    found = {name_of(path): lines for path in modules if (lines := [*clocks_read_at_import(tree_of(path))])}
    assert found == {}
    sample = ast.parse(
        "import time\nA = [time.time()]\ndef f(now=datetime.now(UTC)): time.time()\nB = lambda: time.time()"
    )
    assert [*clocks_read_at_import(sample)] == [2, 3]


# --- floors and circles ------------------------------------------------------------------------------------------


def test_imports_run_one_way_only() -> None:
    """The contracts in pyproject.toml are kept: floors, the pure core, the addresses of third parties."""
    lint_imports = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def imports_of(path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    """Name every module of ours that a file imports, be it for typing alone or inside a function."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield from (name for name in [submodule if submodule in modules else node.module] if name in modules)


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """List the strongly connected components of more than one node (Tarjan), and nodes that point at themselves."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for target in sorted(graph[node]):
            if target not in order:
                visit(target)
            if target in stack:
                low[node] = min(low[node], low[target])
        if low[node] == order[node]:
            start = stack.index(node)
            component = stack[start:]
            del stack[start:]
            if len(component) > 1 or node in graph[node]:
                found.append(sorted(component))

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return found


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}, []),
        ({"a": {"a"}}, [["a"]]),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}, [["a", "b", "c"]]),
        ({"a": {"b"}, "b": {"a"}, "c": {"d"}, "d": {"c", "a"}}, [["a", "b"], ["c", "d"]]),
    ],
)
def test_circles_are_found(graph: dict[str, set[str]], expected: list[list[str]]) -> None:
    """The finder of circles finds them."""
    assert circles(graph) == expected


def test_no_import_goes_in_a_circle() -> None:
    """No circle of modules, counting imports for typing alone and imports inside functions."""
    dotted = {path: name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in MODULES}
    modules = {name: path for path, name in dotted.items()}
    graph = {name: set(imports_of(path, modules)) for name, path in modules.items()}
    assert sum(map(len, graph.values())) > len(modules)
    assert circles(graph) == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_our_imports_are_absolute(path: Path) -> None:
    """No relative import: the circle finder reads absolute names, and so do people."""
    assert [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom) and node.level] == []


# --- names -------------------------------------------------------------------------------------------------------


def test_a_public_name_is_defined_once() -> None:
    """No two modules define the same public function or class, but those that are allowed to, with a reason."""
    assert find(ROOT / "iam_guard", ALLOWED) == []
    assert all(ALLOWED.values())


def test_a_repeated_name_is_found(tmp_path: Path) -> None:
    """The finder of repeated names finds them, and exceptions that nobody needs."""
    package = tmp_path / "house"
    package.mkdir()
    (package / "one.py").write_text("def parse(): ...\nclass _Private: ...\nclass Once: ...\n")
    (package / "two.py").write_text("async def parse(): ...\nclass _Private: ...\n")
    assert find(package, {}) == ["parse: house/one.py, house/two.py"]
    assert find(package, {"parse": "the verb of both"}) == []
    assert find(package, {"parse": "the verb of both", "Once": "?"}) == ["Once: allowed, but defined once at most"]


# --- what no tracked file says -----------------------------------------------------------------------------------

FORBIDDEN = {
    "a path of somebody's machine": r"(?<![\w.*?}$:/-])/(?:(?:home|Users)/[\w.-]+/|(?:root|work)/[\w.])|/tmp/\w+_jobs",
    "a package registry": r"pyp[i]\.org|pythonhoste[d]\.org|npmj[s]\.(?:org|com)|proxy\.golan[g]\.org|crate[s]\.io",
}


def tracked_files() -> list[Path]:
    """List what git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in run.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_names(what: str) -> None:
    """Nothing in the repository depends on the machine where it was written."""
    files = tracked_files()
    assert len(files) > len(MODULES) / 2
    found = []
    for path in files:
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [f"{name_of(path)}: {match[0]}" for match in re.finditer(FORBIDDEN[what], text)]
    assert found == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a path of somebody's machine", "/" + "home/someone/project"),
        ("a path of somebody's machine", "see /" + "work/main"),
        ("a package registry", "https://pypi" + ".org/simple"),
    ],
)
def test_forbidden_words_are_found(what: str, text: str) -> None:
    """The patterns above match what they are meant for."""
    assert re.search(FORBIDDEN[what], text)


@pytest.mark.parametrize("text", ["arn:aws:s3:::bucket/home/ann/*", "/home/a", "o-1/r-root/", "documents/work/plan"])
def test_resources_are_not_paths(text: str) -> None:
    """An ARN that contains a folder's usual name is no path of a machine."""
    assert not re.search(FORBIDDEN["a path of somebody's machine"], text)


# --- the tests themselves ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "kept"), [(1, "a"), (2, "ak"), (3, "afk"), (10, "abcdeghijk"), (11, "abcdefghijk"), (12, "abcdefghijk")]
)
def test_a_sample_goes_from_the_first_case_to_the_last(wanted: int, kept: str) -> None:
    """`--cases-of-each` takes that many, none twice, and all where there are no more."""
    assert "".join(spread("abcdefghijk", wanted)) == kept
