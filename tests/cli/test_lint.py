"""`iam-guard reference`, `lint`, `who-can` and `what-can`: output and exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from iam_guard.cli import main

APP = """
from starlette.applications import Starlette
from starlette.routing import Route

from iam_guard import Service, requires

docs = Service("docs", title="Documents")
hidden = Service("hidden")


@docs.requires("GetDocument", resource="document/{id}")
async def get_document(request):
    '''Read a document.'''


@requires("notes:GetNote", resource="note/{id}")
async def get_note(request):
    '''Read a note.'''


@requires("notes:PutNote", resource="note/{id}")
async def put_note(request):
    '''Write a note.'''


hidden.declare_action("Look")
app = Starlette(routes=[Route("/documents/{id}", get_document), Route("/notes/{id}", get_note),
                        Route("/put/{id}", put_note)])
"""
SEED = """
version: 1
accounts:
  - id: "111122223333"
    users:
      - name: ada
        inline:
          Read: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "docs:Get*", Resource: "*"}]}
      - name: office
        inline:
          Read:
            Version: "2012-10-17"
            Statement:
              - Effect: Allow
                Action: "docs:Get*"
                Resource: "*"
                Condition: {IpAddress: {"aws:SourceIp": "203.0.113.0/24"}}
"""
PLAN = "arn:aws:docs:us-east-1:111122223333:document/plan"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Run:
    """Run the command in a folder with an application, a seed and a policy."""
    module = f"app_of_{request.node.originalname}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"{module}.py").write_text(APP)
    (tmp_path / "iam.yaml").write_text(SEED)

    def invoke(*arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(main, [argument.replace("APP", module) for argument in arguments], input=stdin)

    return invoke


def policy(action: str, resource: str = "*") -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


# --- reference ---------------------------------------------------------------------------------------------------


def test_reference_of_application(run: Run, tmp_path: Path) -> None:
    """Services of its routes, with full names too, and those in variables of its module."""
    shown = run("reference", "APP:app")
    assert shown.exit_code == 0
    titles = [line for line in shown.output.splitlines() if line.startswith("# ")]
    assert titles == ["# Documents", "# hidden", "# notes"]
    assert "| `PutNote` | Write a note. | Write |" in shown.output
    assert run("reference", "APP:docs", "--format", "json", "-o", "docs.json").exit_code == 0
    assert json.loads((tmp_path / "docs.json").read_text())["Name"] == "docs"
    assert "<h1" in run("reference", "APP:app", "--format", "html", "--service", "notes").output


def test_reference_lists_features_of_iam(run: Run) -> None:
    written = run("reference", "APP:app", "--service", "docs", "--service", "iam", "--format", "features").output
    head, _, *rows = written.splitlines()
    assert head.startswith("| Service | Actions | Resource-level permissions | Resource-based policies | ABAC (tags) |")
    assert rows == [
        "| Documents (`docs`) | Yes | Yes | Yes | No | Yes | Yes |",
        "| AWS Identity and Access Management (`iam`) | Yes | Yes | Partial | Partial | Partial | No |",
    ]


def test_reference_of_iam_and_sts_needs_no_application(run: Run) -> None:
    """By their prefix."""
    assert json.loads(run("reference", "--service", "sts", "--format", "json").output)["Name"] == "sts"


@pytest.mark.parametrize(
    "arguments", [[], ["APP:app", "--service", "dogs"], ["APP:nothing"], ["nowhere"], ["APP:app", "--format", "pdf"]]
)
def test_missing_reference_is_an_error(run: Run, arguments: list[str]) -> None:
    """Exit code 2."""
    assert run("reference", *arguments).exit_code == 2


# --- lint --------------------------------------------------------------------------------------------------------


def test_lint_reports_findings(run: Run, tmp_path: Path) -> None:
    """Exit code 1 with findings, 0 without."""
    (tmp_path / "good.json").write_text(policy("docs:GetDocument", "arn:aws:docs:*:*:document/*"))
    (tmp_path / "bad.json").write_text(policy("docs:GetDocumnt"))
    good = run("lint", "good.json", "iam.yaml", "--app", "APP:app")
    assert (good.exit_code, good.output) == (0, "3 policies: no findings\n")
    bad = run("lint", "bad.json", "good.json", "--app", "APP:app")
    assert bad.exit_code == 1
    assert bad.output.startswith("bad.json:1:70: error INVALID_ACTION: the service `docs` has no action `GetDocumnt`")
    assert run("lint", "bad.json").exit_code == 0


MODELS = """
from sqlalchemy import Column, Integer, MetaData, String, Table

from iam_guard import Service

TABLE = Table("documents", MetaData(), Column("id", Integer, primary_key=True), Column("kind", String))
docs = Service("docs")
docs.resource_type("document", "document/{id}", model=TABLE, account="111122223333", keys={"docs:Kind": TABLE.c.kind})
docs.requires("GetDocument", resource="document/{id}")
docs.requires("GetFolder", resource="folder/{id}")
"""


def test_lint_says_how_many_statements_lists_can_have(run: Run, tmp_path: Path) -> None:
    """Also of ignored findings; not of actions on other resource types."""
    (tmp_path / "models.py").write_text(MODELS)
    statements = [
        {"Effect": "Allow", "Action": "docs:GetDocument", "Resource": "*", "Condition": {operator: {"docs:Kind": "a"}}}
        for operator in ("StringEquals", "StringEqualsIgnoreCase")
    ]
    folders = {"Effect": "Allow", "Action": "docs:GetFolder", "Resource": "arn:aws:docs:*:111122223333:folder/*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [*statements, folders]})
    (tmp_path / "policy.json").write_text(text)
    shown = run("lint", "policy.json", "--app", "models:docs")
    assert shown.exit_code == 1
    assert (
        "warning STATEMENT_NOT_FILTERABLE: lists of `docs document` cannot be filtered: `StringEquals" in shown.output
    )
    assert shown.output.endswith("1 policy: 1 warning\nfilterable: 1 of 2 statements\n")
    as_json = run("lint", "policy.json", "--app", "models:docs", "--json", "--ignore", "STATEMENT_NOT_FILTERABLE")
    assert as_json.exit_code == 0
    assert json.loads(as_json.output)["lists"] == {"statements": 2, "filterable": 1}


def test_lint_uses_references_from_files(run: Run, tmp_path: Path) -> None:
    """In the format of `iam-guard reference`."""
    run("reference", "APP:docs", "--format", "json", "-o", "docs.json")
    (tmp_path / "bad.json").write_text(policy("docs:GetDocumnt"))
    assert run("lint", "bad.json", "--reference", "docs.json").exit_code == 1
    (tmp_path / "broken.json").write_text("{")
    assert run("lint", "bad.json", "--reference", "broken.json").exit_code == 2


def test_lint_reads_standard_input(run: Run) -> None:
    """With `-`."""
    found = run("lint", "-", stdin=policy("iam:GetUsr"))
    assert found.exit_code == 1
    assert found.output.startswith("stdin:1:")
    assert run("lint", "-", stdin=b"\xff").exit_code == 2


def test_lint_has_machine_readable_formats(run: Run) -> None:
    """JSON, GitHub, SARIF."""
    text = policy("iam:GetUsr")
    assert json.loads(run("lint", "-", "--json", stdin=text).output)["findings"][0]["code"] == "INVALID_ACTION"
    assert run("lint", "-", "--format", "github", stdin=text).output.startswith("::error file=stdin,")
    assert json.loads(run("lint", "-", "--format", "sarif", stdin=text).output)["version"] == "2.1.0"


REDUNDANT = """{
  "Version": "2012-10-17",
  "Statement": {"Effect": "Allow", "Action": ["iam:GetUser", "iam:Get*"], "Resource": "*", "Condition": {}}
}
"""


def test_lint_writes_fixes(run: Run, tmp_path: Path) -> None:
    """`--fix` those that keep access; the rest of the text, and a byte order mark, stay as they are."""
    (tmp_path / "policy.json").write_bytes("\ufeff".encode() + REDUNDANT.replace("\n", "\r\n").encode())
    shown = run("lint", "policy.json", "--min-severity", "suggestion", "--fix")
    assert shown.exit_code == 0
    assert shown.stdout == "1 policy: no findings\n"
    assert shown.stderr.splitlines() == [
        'policy.json:3:105: fixed EMPTY_OBJECT_CONDITION: remove `, "Condition": {}`',
        'policy.json:3:47: fixed REDUNDANT_ACTION: remove `"iam:GetUser"`',
    ]
    expected = REDUNDANT.replace('"iam:GetUser", ', "").replace(', "Condition": {}', "")
    assert (tmp_path / "policy.json").read_bytes() == ("\ufeff" + expected.replace("\n", "\r\n")).encode()


def test_lint_changes_access_only_on_request(run: Run, tmp_path: Path) -> None:
    """`--unsafe-fixes`; findings of a lower severity, and ignored ones, are not fixed."""
    text = REDUNDANT.replace('"iam:GetUser", "iam:Get*"', '"iam:GetUsr"')
    (tmp_path / "policy.json").write_text(text)
    for options in (["--fix"], ["--unsafe-fixes", "--ignore", "INVALID_ACTION"]):
        run("lint", "policy.json", *options)
        assert (tmp_path / "policy.json").read_text() == text
    assert run("lint", "policy.json", "--unsafe-fixes").exit_code == 0
    assert (tmp_path / "policy.json").read_text() == text.replace("iam:GetUsr", "iam:GetUser")


def test_lint_fixes_policies_in_seeds_and_lines(run: Run, tmp_path: Path) -> None:
    """Policies in other JSON; a file of YAML, and standard input, stay as they are."""
    document = json.loads(REDUNDANT)
    users = [{"name": name, "inline": {"Read": document, "List": document}} for name in ("ada", "bob")]
    (tmp_path / "seed.json").write_text(json.dumps({"accounts": [{"id": "111122223333", "users": users}]}, indent=1))
    (tmp_path / "all.jsonl").write_text((json.dumps(document) + "\n") * 3)
    (tmp_path / "policy.yaml").write_text(json.dumps(document))
    arguments = ["--min-severity", "suggestion", "--fix"]
    assert run("lint", "seed.json", "all.jsonl", *arguments).exit_code == 0
    assert "iam:GetUser" not in (tmp_path / "seed.json").read_text() + (tmp_path / "all.jsonl").read_text()
    assert run("lint", "policy.yaml", *arguments).exit_code == 1
    assert json.loads((tmp_path / "policy.yaml").read_text()) == document
    refused = run("lint", "-", *arguments, stdin=REDUNDANT)
    assert refused.exit_code == 2
    assert "--fix" in refused.output


def test_lint_reports_file_that_cannot_be_written(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "policy.json").write_text(REDUNDANT)

    def refuse(path: Path, content: bytes) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    refused = run("lint", "policy.json", "--min-severity", "suggestion", "--fix")
    assert refused.exit_code == 2
    assert "cannot write the file: Permission denied" in refused.output


def test_lint_filters_findings(run: Run) -> None:
    """By severity, code and type."""
    text = policy("*")
    assert run("lint", "-", stdin=text).exit_code == 1
    assert run("lint", "-", "--min-severity", "error", stdin=text).exit_code == 0
    assert run("lint", "-", "--ignore", "ALLOW_EVERYTHING", stdin=text).exit_code == 0
    assert run("lint", "-", "--ignore", "ALLOW_EVERYTHING@stdin", stdin=text).exit_code == 0
    assert run("lint", "-", "--type", "scp", stdin=text).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["none.json"],
        ["iam.yaml", "--ignore", "NONE"],
        ["iam.yaml", "--app", "nowhere:app"],
        ["iam.yaml", "--type", "x"],
    ],
)
def test_lint_refuses_invalid_input(run: Run, arguments: list[str]) -> None:
    """Exit code 2."""
    assert run("lint", *arguments).exit_code == 2


# --- who can, what can ---------------------------------------------------------------------------------------------


def test_who_can_prints_table(run: Run) -> None:
    """Of allowed principals, and of the others on request."""
    shown = run("who-can", "docs:GetDocument", PLAN, "--store", "iam.yaml")
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert lines[0].split() == ["allowed", "arn:aws:iam::111122223333:root", "root"]
    assert "             depends on aws:SourceIp" in lines
    assert lines[-1] == "3 principals: 2 allowed, 1 allowed if, 0 not allowed"
    known = run(
        "who-can", "docs:GetDocument", PLAN, "--store", "iam.yaml", "--context", "aws:SourceIp=198.51.100.1", "--all"
    )
    assert known.output.splitlines()[-1] == "3 principals: 2 allowed, 0 allowed if, 1 not allowed"
    assert "not allowed" in known.output


def test_who_can_as_json(run: Run) -> None:
    """With the deciding statement."""
    shown = json.loads(run("who-can", "docs:GetDocument", PLAN, "--store", "iam.yaml", "--json").output)
    assert [(each["principal"].rpartition(":")[2], each["verdict"]) for each in shown] == [
        ("root", "allowed"),
        ("user/ada", "allowed"),
        ("user/office", "allowed if"),
    ]
    assert shown[1]["spoken"][0]["policy"] == "user/ada/Read"


def test_what_can_prints_actions_by_resource(run: Run) -> None:
    ada = "arn:aws:iam::111122223333:user/ada"
    shown = run("what-can", ada, "--store", "iam.yaml", "--app", "APP:app")
    assert shown.exit_code == 0
    assert shown.output.splitlines()[0].split() == ["allowed", "*", "docs:GetDocument"]
    one = json.loads(
        run("what-can", ada, "--store", "iam.yaml", "--app", "APP:app", "--resource", PLAN, "--json").output
    )
    assert [each["actions"] for each in one] == [["docs:GetDocument"]]
    note = "arn:aws:notes:us-east-1:111122223333:note/7"
    assert run("what-can", ada, "--store", "iam.yaml", "--app", "APP:app", "--resource", note).exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["who-can", "docs"],
        ["who-can", "docs:GetDocument", PLAN, "--context", "SourceIp"],
        ["who-can", "docs:GetDocument", "document/7"],
        ["what-can", "arn:aws:iam::111122223333:user/ghost"],
        ["what-can", "ada"],
    ],
)
def test_invalid_question_is_refused(run: Run, arguments: list[str]) -> None:
    """Exit code 2."""
    assert run(*arguments, "--store", "iam.yaml").exit_code == 2


def test_who_can_without_allowed_principal(run: Run) -> None:
    """Exit code 1, if not even the root user may."""
    other = "arn:aws:docs:us-east-1:999900000000:document/7"
    assert run("who-can", "docs:GetDocument", other, "--store", "iam.yaml").exit_code == 1
