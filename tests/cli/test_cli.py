"""The command `iam-guard`: output, changes and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from iam_guard.cli import main
from iam_guard.cli.group import LazyGroup
from tests.tables import table

SEED = """
version: 1
accounts:
  - id: "111122223333"
    users:
      - {name: ada, tags: {team: blue}}
"""
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:*", "Resource": "*"}]}
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a temporary folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def invoke(*arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(main, list(arguments), input=stdin)

    return invoke


def case(id: str, expected: str | None = None, **changes: Any) -> dict[str, Any]:
    given = {
        "id": id,
        "request": {
            "principal": {"arn": "arn:aws:iam::111122223333:user/ada", "account": "111122223333", "type": "User"},
            "action": "docs:Get",
            "resource": "*",
        },
        "policies": {"identity": [ALLOW]},
        **changes,
    }
    return given if expected is None else {**given, "expected": expected}


def lines(*cases: object) -> str:
    return "".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in cases)


# --- the command itself ---


def test_help_lists_every_command(run: Run) -> None:
    for option in ("--help", "-h"):
        result = run(option)
        assert result.exit_code == 0
        assert all(f"\n  {name} " in result.output for name in ("init", "apply", "routes", "decide", "test", "explain"))


def rows_of(group: LazyGroup, *path: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path of each command of a group, and what the group says about it."""
    for name, about in group.rows.items():
        yield (*path, name), about
        command = group.get_command(click.Context(group), name)
        if isinstance(command, LazyGroup):
            yield from rows_of(command, *path, name)


@table(("path", "about"), list(rows_of(main)))
def test_command_is_listed_with_the_first_sentence_of_its_help(run: Run, path: tuple[str, ...], about: str) -> None:
    """The lists are written without importing the commands, so these sentences are duplicated."""
    result = run(*path, "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    usage, _, *shown = result.output.splitlines()
    assert usage.startswith(f"Usage: iam-guard {' '.join(path)} ")
    assert about
    assert " ".join(" ".join(shown).split()).startswith(about.removesuffix("."))


def test_version_is_the_distributions(run: Run) -> None:
    assert version("iam-guard") in run("--version").output


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("--nonsense",),
        ("apply",),
        ("apply", "missing.yaml"),
        ("apply", "."),
        ("test",),
        ("test", "missing.jsonl"),
        ("routes",),
        ("routes", "app"),
    ],
)
def test_wrong_usage_is_exit_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    """0 yes, 1 no, 2 usage or error."""
    assert run(*arguments).exit_code == 2


# --- what is loaded_packages ---

LOADING = """
import runpy, sys
sys.argv[0] = "iam-guard"
try:
    runpy.run_module("iam_guard", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
OF_OTHER_COMMANDS = {"sqlalchemy", "alembic", "starlette", "anyio", "asyncio", "cryptography", "opentelemetry"}


def loaded_packages(*arguments: str, stdin: str = "") -> set[str]:
    """Run the command in a new interpreter, and return the packages that it has imported at the end."""
    command = [sys.executable, "-c", LOADING, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True, timeout=300)
    return set(done.stderr.split())


@pytest.mark.parametrize("name", ["decide", "test", "explain"])
def test_cases_load_neither_store_nor_web(name: str, tmp_path: Path) -> None:
    """Trying a policy must not wait for a database library or a framework."""
    (tmp_path / "cases.jsonl").write_text(lines(case("a", "Allowed")))
    files = [] if name == "decide" else [str(tmp_path / "cases.jsonl")]
    found = loaded_packages(name, *files, stdin=lines(case("a")))
    assert {"iam_guard", "click"} <= found
    assert OF_OTHER_COMMANDS & found == set()


@table("option", ["--help", "--version"])
def test_help_loads_no_command(option: str) -> None:
    """Of third-party packages, only click is imported."""
    found = loaded_packages(option)
    assert {"iam_guard", "click"} <= found
    assert (OF_OTHER_COMMANDS | {"yaml", "cachetools"}) & found == set()


def test_command_with_store_loads_database_library() -> None:
    """A counter-example for the tests above."""
    assert {"sqlalchemy", "cryptography"} <= loaded_packages("init", "--help")


# --- init, apply ---


def test_init_creates_store_once(run: Run, tmp_path: Path) -> None:
    first, second = run("init"), run("init")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "ready at epoch" in first.output
    created = "its secrets are encrypted with the key in iam-guard.db.key: back it up\n"
    assert (created in first.output, created in second.output) == (True, False)
    assert (tmp_path / "iam-guard.db").stat().st_mode & 0o077 == 0
    assert json.loads(run("init", "--json").output)["changes"]


def test_second_apply_changes_nothing(run: Run, tmp_path: Path) -> None:
    """Idempotent; afterwards the store contains what the file declares."""
    (tmp_path / "iam.yaml").write_text(SEED)
    first = run("apply", "iam.yaml", "--store", "sqlite:///other.db")
    assert first.exit_code == 0
    assert "user/ada" in first.output
    second = run("apply", "iam.yaml", "--store", "sqlite:///other.db")
    assert (second.exit_code, second.output) == (0, "no changes\n")
    assert json.loads(run("apply", "iam.yaml", "--store", "sqlite:///other.db", "--json").output) == {"changes": []}
    (tmp_path / "iam.yaml").write_text(SEED.replace("blue", "red"))
    assert "tags" in run("apply", "iam.yaml", "--store", "sqlite:///other.db").output


def test_store_comes_from_environment(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IAM_GUARD_STORE", "sqlite:///named.db")
    assert run("init").exit_code == 0
    assert (tmp_path / "named.db").exists()


def test_prune_removes_undeclared_entities(run: Run, tmp_path: Path) -> None:
    (tmp_path / "iam.yaml").write_text(SEED + "      - {name: eve}\n")
    run("apply", "iam.yaml")
    (tmp_path / "iam.yaml").write_text(SEED)
    assert run("apply", "iam.yaml").output == "no changes\n"
    assert "user/eve" in run("apply", "iam.yaml", "--prune").output


def test_invalid_seed_changes_nothing_and_names_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "iam.yaml").write_text(SEED)
    run("apply", "iam.yaml")
    (tmp_path / "bad.yaml").write_text(SEED + "      - {name: eve}\n      - {nmae: bob}\n")
    refused = run("apply", "bad.yaml")
    assert refused.exit_code == 2
    assert "bad.yaml:8: unknown key `nmae`" in refused.stderr
    assert refused.stdout == ""
    assert run("apply", "iam.yaml", "--prune").output == "no changes\n"


def test_unknown_command_suggests_a_similar_one(run: Run) -> None:
    """Of its own group: `audit` has commands that `iam-guard` doesn't have."""
    for arguments, hint in (
        (["whocan"], ", did you mean `who-can`?"),
        (["xyzzy"], ""),
        (["audit", "verfy"], ", did you mean `verify`?"),
    ):
        refused = run(*arguments)
        assert refused.exit_code == 2
        assert refused.stderr.splitlines()[-1] == f"Error: no command `{arguments[-1]}`{hint}"


def test_unknown_action_is_refused(run: Run, tmp_path: Path) -> None:
    """By who-can, with the references that it is given, and by matrix."""
    (tmp_path / "iam.yaml").write_text(SEED)
    reference = {"Name": "docs", "Actions": [{"Name": "GetDocument"}], "Resources": [], "ConditionKeys": []}
    (tmp_path / "docs.json").write_text(json.dumps(reference))
    (tmp_path / "matrix.yaml").write_text("seed: iam.yaml\nprincipals: [anonymous]\nactions: [iam:CreatUser]\n")
    given = ("--store", "iam.yaml", "--reference", "docs.json")
    assert run("who-can", "docs:GetDocument", *given).exit_code == 0
    for arguments, hint in (
        (("who-can", "docs:GetDocumnt", *given), "did you mean `docs:GetDocument`?"),
        (("who-can", "iam:CreatUser", "--store", "iam.yaml"), "did you mean `iam:CreateUser`?"),
        (("matrix", "matrix.yaml"), "did you mean `iam:CreateUser`?"),
    ):
        refused = run(*arguments)
        assert refused.exit_code == 2
        assert hint in refused.stderr
    (tmp_path / "matrix.yaml").write_text("sed: iam.yaml\n")
    assert "unknown key `sed`, did you mean `seed`?" in run("matrix", "matrix.yaml").stderr


def test_every_problem_of_seed_is_printed(run: Run, tmp_path: Path) -> None:
    """One line each, so that all of them can be corrected at once."""
    (tmp_path / "bad.yaml").write_text(SEED + "      - {name: eve, tag: {}}\n      - {nmae: bob}\n")
    refused = run("apply", "bad.yaml")
    assert refused.exit_code == 2
    assert [line.split(": ")[:3] for line in refused.stderr.splitlines()] == [
        ["iam-guard", "bad.yaml:7", "unknown key `tag`, did you mean `tags`?"],
        ["iam-guard", "bad.yaml:8", "unknown key `nmae`, did you mean `name`?"],
        ["iam-guard", "bad.yaml:8", "expected the key `name` in a user"],
    ]


def test_invalid_seed_creates_no_store(run: Run, tmp_path: Path) -> None:
    """The seed is read before a store is created."""
    (tmp_path / "bad.yaml").write_text("version: 2\n")
    assert run("apply", "bad.yaml").exit_code == 2
    assert [each.name for each in tmp_path.iterdir()] == ["bad.yaml"]


def test_unopenable_store_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "iam.yaml").write_text(SEED)
    for store in ("nonsense", "sqlite:///no/such/folder/x.db", "nosuchdatabase://x"):
        refused = run("apply", "iam.yaml", "--store", store)
        assert refused.exit_code == 2, (store, refused.output, refused.exception)
        assert refused.stderr.startswith("iam-guard: ")


# --- routes ---

APP = """
from starlette.applications import Starlette
from starlette.routing import Route
from iam_guard import GuardMiddleware, Service, public
from iam_guard.errors import ConfigurationError

docs = Service("docs")

@docs.requires("Get", resource="document/{id}")
async def get(request): ...

@public
async def health(request): ...

async def forgotten(request): ...

good = Starlette(routes=[Route("/d/{id}", get), Route("/health", health)])
bad = Starlette(routes=[Route("/d/{id}", get), Route("/f", forgotten)])
wrapped = GuardMiddleware(bad, guard=type("G", (), {"settings": __import__("iam_guard.settings").settings.Settings()}))
def create(debug=False): return good
async def asgi(scope, receive, send): ...
def broken(): raise RuntimeError("no database")
def misconfigured(): raise ConfigurationError("no guard")
"""


@pytest.fixture
def app(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Write the module above under a new name."""
    name = f"app_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(APP)
    return name


@pytest.mark.parametrize(("attribute", "code"), [("good", 0), ("create", 0), ("bad", 1), ("wrapped", 1)])
def test_routes_lists_guards(run: Run, app: str, attribute: str, code: int) -> None:
    result = run("routes", f"{app}:{attribute}")
    assert result.exit_code == code, result.output
    assert "docs:Get on document/{id}" in result.output
    assert ("UNGUARDED" in result.output) is (code == 1)
    assert result.output.endswith(f"2 endpoints, {code} unguarded\n")


def test_routes_as_json(run: Run, app: str) -> None:
    result = run("routes", f"{app}:bad", "--json")
    assert result.exit_code == 1
    assert json.loads(result.output) == [
        {"path": "/d/{id}", "methods": ["GET", "HEAD"], "endpoint": "get", "guards": ["docs:Get on document/{id}"]},
        {"path": "/f", "methods": ["GET", "HEAD"], "endpoint": "forgotten", "guards": []},
    ]


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ("nothing", "nothing"),
        ("broken", "RuntimeError: no database"),
        ("misconfigured", "no guard"),
    ],
)
def test_unloadable_application_is_an_error(run: Run, app: str, attribute: str, words: str) -> None:
    """Neither yes nor no."""
    result = run("routes", f"{app}:{attribute}")
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize("text", ["def (", "import no_such_module", "1 / 0"])
def test_unimportable_module_is_an_error(run: Run, tmp_path: Path, text: str) -> None:
    name = f"broken_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    assert run("routes", f"{name}:app").exit_code == 2


# --- decide ---


def test_decide_answers_in_order_after_errors(run: Run) -> None:
    """4.3: `expected` is ignored; an undecidable case is reported in its place, an unreadable line by its number."""
    twice = json.dumps(case("twice")).replace('"id"', '"id": "once", "id"')
    refused = {**case("refused"), "policies": {"identity": [{"Statement": {"Effect": "Maybe"}}]}}
    given = lines(
        case("a", "ExplicitlyDenied"),
        case("b", policies={}),
        "{",
        "",
        twice,
        refused,
        "[]",
        "7",
        case("é"),
        "[" * 99999,
    )
    result = run("decide", stdin=given)
    assert result.exit_code == 2
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == [f"stdin:{n}" for n in (3, 5, 7, 8, 10)]
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == ["a", "b", None, None, "refused", None, None, "é", None]
    assert [answer.get("outcome") for answer in answers] == [
        "Allowed", "ImplicitlyDenied", None, None, None, None, None, "Allowed", None,
    ]  # fmt: skip
    assert all(("error" in answer) is ("outcome" not in answer) for answer in answers)
    assert "`id` is repeated" in answers[3]["error"]


def test_decide_names_the_unreadable_line(run: Run) -> None:
    """Exit code 2, as for every error; a refused policy is an answer, and no error."""
    result = run("decide", stdin=lines(case("a"), "7", case("b")))
    assert (result.exit_code, len(result.stdout.splitlines())) == (2, 3)
    assert result.stderr == "iam-guard: stdin:2: expected a case as JSON object\n"
    refused = run("decide", stdin=lines(case("a", policies={"identity": [{"Statement": {"Effect": "Maybe"}}]})))
    assert (refused.exit_code, refused.stderr) == (0, "")


def test_decide_of_no_case_prints_nothing(run: Run) -> None:
    result = run("decide", stdin="")
    assert (result.exit_code, result.output) == (0, "")


def test_decide_as_separate_process() -> None:
    """A line of invalid UTF-8 does not end the stream, in any locale."""
    given = lines(case("a")).encode() + b"\xff\xfe\n" + lines(case("ü")).encode()
    for encoding in ("utf-8:strict", "ascii:strict"):
        done = subprocess.run(
            [sys.executable, "-m", "iam_guard", "decide"],
            input=given, capture_output=True, check=False, env={"PYTHONIOENCODING": encoding}, timeout=300,
        )  # fmt: skip
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert [answer["id"] for answer in answers] == ["a", None, "ü"]
        assert (done.returncode, done.stderr) == (2, b"iam-guard: stdin:2: expected UTF-8\n")


# --- test ---


@pytest.mark.parametrize("name", ["cases.jsonl", "cases.yaml"])
def test_test_reports_failures_and_counts(run: Run, tmp_path: Path, name: str) -> None:
    """Failures first, each with its place; exit code 1 if there are any."""
    refused = {"id": "refused", "expected": "error"}
    cases = [case("good", "Allowed"), case("bad", "ImplicitlyDenied"), case("none"), refused, case("slip", "allowed")]
    known = "`expected` is one of Allowed, ImplicitlyDenied, ExplicitlyDenied, error"
    dash = "" if name.endswith("jsonl") else "- "
    (tmp_path / name).write_text("".join(dash + lines(each) for each in cases))
    result = run("test", name)
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"{name}:2: bad: expected ImplicitlyDenied, got Allowed",
        f"{name}:3: none: expected None, got Allowed; {known}",
        f"{name}:5: slip: expected allowed, got Allowed; {known}",
        "2 passed, 3 failed",
    ]
    as_json = [json.loads(line) for line in run("test", name, "--json").output.splitlines()]
    assert as_json[0] == {"place": f"{name}:2", "id": "bad", "outcome": "Allowed", "expected": "ImplicitlyDenied"}
    assert as_json[-1] == {"passed": 2, "failed": 3}


def test_test_of_passing_files(run: Run, tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text(lines(case("good", "Allowed")))
    result = run("test", "a.jsonl", "b.jsonl")
    assert (result.exit_code, result.output) == (0, "2 passed, 0 failed\n")


def test_unreadable_case_fails_and_unreadable_file_is_an_error(run: Run, tmp_path: Path) -> None:
    """An invalid line fails; a YAML file that is no list is an error."""
    (tmp_path / "a.jsonl").write_text("{\n")
    (tmp_path / "b.yaml").write_text("- {id: a, id: b}\n")
    (tmp_path / "c.yaml").write_text("id: a\n")
    assert run("test", "a.jsonl").output.endswith("0 passed, 1 failed\n")
    assert "`id` is repeated" in run("test", "b.yaml").output
    refused = run("test", "c.yaml")
    message = "iam-guard: expected a list of cases, or a mapping of `seed` and `cases` (at c.yaml:1:1)\n"
    assert (refused.exit_code, refused.stderr) == (2, message)
