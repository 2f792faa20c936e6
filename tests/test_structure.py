"""Structural rules: sizes, layers, import cycles, names, and text that no tracked file may contain.

The installed distribution is tested in `test_packaging.py`.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.tables import spread, table
from tools import words
from tools.duplicates import ALLOWED, find

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted([*ROOT.glob("iam_guard/**/*.py"), *ROOT.glob("integrations/**/*.py")])
MAX_LINES_OF_A_FILE = 400
MAX_LINES_OF_A_FUNCTION = 60


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_package_has_modules() -> None:
    """Otherwise the tests below would check nothing."""
    assert len(MODULES) > 20


# --- sizes and docstrings ----------------------------------------------------------------------------------------


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_modules_and_functions_are_short() -> None:
    """At most 400 lines for a file, 60 for a function."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [(path, node) for path in MODULES for node in ast.walk(tree_of(path)) if isinstance(node, kinds)]
    long_files = [path for path in MODULES if len(path.read_text(encoding="utf-8").splitlines()) > MAX_LINES_OF_A_FILE]
    assert [name_of(path) for path in long_files] == []
    assert [node.name for _, node in functions if lines_of(node) > MAX_LINES_OF_A_FUNCTION] == []


def test_every_module_has_a_docstring() -> None:
    """Except an empty `__init__`."""
    trees = {name_of(path): tree_of(path) for path in MODULES}
    assert [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []


def test_docstrings_begin_with_a_word_of_the_language() -> None:
    """Not with the name of a class, which a renaming of all occurrences of a word has put there."""
    trees = [tree_of(path) for path in MODULES]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    classes = {node.name for node in nodes if isinstance(node, ast.ClassDef) and not node.name.isupper()}
    described = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, described)]
    sentences = [text for text in texts if re.match(r"[A-Z][a-z]+[A-Z]\w* ", text)]
    assert [text for text in sentences if text.split()[0] in classes] == []


def test_package_is_small_at_the_top_and_its_names_tell_apart() -> None:
    """At most 25 entries, and at most two modules with the same basename, beside commands, which have their own."""
    entries = {path.relative_to(ROOT / "iam_guard").parts[0] for path in (ROOT / "iam_guard").glob("**/*.py")}
    modules = [path for path in (ROOT / "iam_guard").glob("**/*.py") if "cli" not in path.parts]
    basenames = Counter(path.stem for path in modules if path.stem != "__init__")
    assert len(entries) <= 25
    assert [name for name, count in basenames.items() if count > 2] == []


def test_package_has_no_assert_statements() -> None:
    """`python -O` removes them."""
    found = [name_of(path) for path in MODULES for node in ast.walk(tree_of(path)) if isinstance(node, ast.Assert)]
    assert [name for name in found if "/example" not in name] == []


def test_modules_have_no_unfinished_work() -> None:
    """No markers of unfinished work, and nothing that is there in name only."""
    unfinished = re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X|NotImplemente[d]Error)\b")
    assert [name_of(path) for path in MODULES if unfinished.search(path.read_text(encoding="utf-8"))] == []


CLOCKS = {"datetime.now", "datetime.today", "datetime.utcnow", "date.today", "time.time", "time.time_ns", "time.gmtime"}


def clocks_read_at_import(tree: ast.AST) -> Iterator[int]:
    """Return the lines that read the clock during import, outside of function bodies."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            defaults = [*node.args.defaults, *node.args.kw_defaults, *getattr(node, "decorator_list", ())]
            yield from clocks_read_at_import(ast.List([default for default in defaults if default is not None]))
            continue
        if isinstance(node, ast.Call) and ".".join(ast.unparse(node.func).split(".")[-2:]) in CLOCKS:
            yield node.lineno
        yield from clocks_read_at_import(node)


def test_test_modules_do_not_read_the_clock_at_import() -> None:
    """Such a time is hours old when the last test runs."""
    modules = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("examples/**/*.py")]
    found = {name_of(path): lines for path in modules if (lines := [*clocks_read_at_import(tree_of(path))])}
    assert found == {}
    sample = ast.parse(
        "import time\nA = [time.time()]\ndef f(now=datetime.now(UTC)): time.time()\nB = lambda: time.time()"
    )
    assert [*clocks_read_at_import(sample)] == [2, 3]


# --- layers and circles ------------------------------------------------------------------------------------------


def test_import_contracts_are_kept() -> None:
    """The contracts in pyproject.toml: layers, the pure core, third-party imports."""
    lint_imports = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def imports_of(path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    """Return our modules that a file imports, including imports for typing and inside functions."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield from (name for name in [submodule if submodule in modules else node.module] if name in modules)


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one node (Tarjan), and nodes with an edge to themselves."""
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


@table(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}, []),
        ({"a": {"a"}}, [["a"]]),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}, [["a", "b", "c"]]),
        ({"a": {"b"}, "b": {"a"}, "c": {"d"}, "d": {"c", "a"}}, [["a", "b"], ["c", "d"]]),
    ],
)
def test_import_cycles_are_found(graph: dict[str, set[str]], expected: list[list[str]]) -> None:
    """The finder of circles finds them."""
    assert circles(graph) == expected


def test_package_has_no_import_cycle() -> None:
    """Including imports for typing and inside functions."""
    dotted = {path: name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in MODULES}
    modules = {name: path for path, name in dotted.items()}
    graph = {name: set(imports_of(path, modules)) for name, path in modules.items()}
    assert sum(map(len, graph.values())) > len(modules)
    assert circles(graph) == []


def test_imports_are_absolute() -> None:
    """The cycle finder needs absolute names."""
    nodes = [(path, node) for path in MODULES for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom)]
    assert [f"{name_of(path)}:{node.lineno}" for path, node in nodes if node.level] == []


# --- names -------------------------------------------------------------------------------------------------------


def test_public_names_are_unique() -> None:
    """Functions and classes, except those allowed with a reason."""
    assert find(ROOT / "iam_guard", ALLOWED) == []
    assert all(ALLOWED.values())


def test_repeated_names_are_found(tmp_path: Path) -> None:
    """And unneeded exceptions."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "one.py").write_text("def parse(): ...\nclass _Private: ...\nclass Once: ...\n")
    (package / "two.py").write_text("async def parse(): ...\nclass _Private: ...\n")
    assert find(package, {}) == ["parse: package/one.py, package/two.py"]
    assert find(package, {"parse": "the verb of both"}) == []
    assert find(package, {"parse": "the verb of both", "Once": "?"}) == ["Once: allowed, but defined once at most"]


def test_private_words_are_found() -> None:
    """`make check` searches the whole project for them."""
    text = '"""Give it to {0}."""\n# {0} is {1}\nMOS{2}_X = 1\nfor each in ():\n    {3}_key = "{0} in data"\n'
    text = text.format("no" + "body", "at " + "hand", "T", "to" + "ld")
    found = {place.word for place in words.find_in("module.py", text)}
    assert found == {"Give", "no" + "body", "at " + "hand", "MOS" + "T_X", "for each in", "to" + "ld"}
    assert [place.line for place in words.find_in("page.md", "fine\nWho" + "ever asks\n")] == [2]


# --- forbidden text ----------------------------------------------------------------------------------------------

FORBIDDEN = {
    "a path of one machine": r"(?<![\w.*?}$:/-])/(?:(?:home|Users)/[\w.-]+/|(?:root|work)/[\w.])|/tmp/\w+_jobs",
    "a package registry": r"pyp[i]\.org|pythonhoste[d]\.org|npmj[s]\.(?:org|com)|proxy\.golan[g]\.org|crate[s]\.io",
}


def tracked_files() -> list[Path]:
    """Return the files that git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in run.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@table("what", FORBIDDEN)
def test_tracked_files_have_no_forbidden_text(what: str) -> None:
    """Nothing in the repository depends on the machine where it was written."""
    files = tracked_files()
    assert len(files) > len(MODULES) / 2
    found = []
    for path in files:
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [f"{name_of(path)}: {match[0]}" for match in re.finditer(FORBIDDEN[what], text)]
    assert found == []


@table(
    ("what", "text"),
    [
        ("a path of one machine", "/" + "home/someone/project"),
        ("a path of one machine", "see /" + "work/main"),
        ("a package registry", "https://pypi" + ".org/simple"),
    ],
)
def test_forbidden_text_is_found(what: str, text: str) -> None:
    """The patterns above match what they are meant for."""
    assert re.search(FORBIDDEN[what], text)


@table("text", ["arn:aws:s3:::bucket/home/ann/*", "/home/a", "o-1/r-root/", "documents/work/plan"])
def test_arns_are_not_reported_as_paths(text: str) -> None:
    """An ARN with a folder's usual name is no path."""
    assert not re.search(FORBIDDEN["a path of one machine"], text)


# --- the tests themselves ----------------------------------------------------------------------------------------


@table(
    ("wanted", "kept"), [(1, "a"), (2, "ak"), (3, "afk"), (10, "abcdeghijk"), (11, "abcdefghijk"), (12, "abcdefghijk")]
)
def test_sample_spans_all_cases(wanted: int, kept: str) -> None:
    """`--cases-of-each` takes that many, none twice, or all if there are fewer."""
    assert "".join(spread("abcdefghijk", wanted)) == kept


def test_long_tests_exist() -> None:
    """A line of a test that was renamed would have no effect."""
    lines = (ROOT / "tests" / "long_tests.txt").read_text().split()
    texts = {file: (ROOT / "tests" / file).read_text() for file in {line.partition("::")[0] for line in lines}}
    contract = (ROOT / "tests" / "integrations" / "contract.py").read_text()  # whose tests classes inherit
    missing = [
        line
        for line in lines
        if f"def {line.rpartition('::')[2]}(" not in texts[line.partition("::")[0]] + contract * line.count("::Test")
    ]
    assert lines == sorted(lines)
    assert missing == []
