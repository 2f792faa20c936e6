"""Files of policy tests: abbreviations, outcomes, and the places of mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from iam_guard.cli import main
from iam_guard.errors import InvalidInput
from iam_guard.testing.policy_tests import PolicyTest, PolicyTests, expand_entry, failure_of, read_policy_tests

RITA = "arn:aws:iam::111122223333:user/rita"
READER = """{
  "Version": "2012-10-17",
  "Statement": [{"Sid": "Read", "Effect": "Allow", "Action": "docs:Get*", "Resource": "*"}]
}"""
CASES = f"""
- id: rita reads
  rule: ours-1
  why: she is a reader
  request:
    principal: {RITA}
    action: docs:GetDocument
    resource: arn:aws:docs:us-east-1:111122223333:document/7
  policies: {{identity: [{{file: reader.json}}]}}
  expected: Allowed
- id: rita does not write
  request:
    principal: {RITA}
    action: docs:PutDocument
    resource: arn:aws:docs:us-east-1:111122223333:document/7
  policies: {{identity: [{{file: reader.json}}], scps: [[{{file: reader.json}}]]}}
  expected: ImplicitlyDenied
"""
SEED = """
version: 1
accounts:
  - id: "111122223333"
    name: acme
    root: {email: root@acme.example}
    users: [{name: rita, inline: {Read: {file: reader.json}}}]
    roles:
      - name: dev
        path: /team/
        trust: {Version: 2012-10-17, Statement: [{Effect: Allow, Principal: {AWS: "*"}, Action: sts:AssumeRole}]}
        inline: {Read: {file: reader.json}}
"""


def of_seed(*cases: str) -> str:
    return "seed: iam.yaml\ncases:\n" + "".join(f"- {{{case}}}\n" for case in cases)


def asking(who: str = RITA, action: str = "docs:GetDocument", **more: Any) -> str:
    resource = "arn:aws:docs:us-east-1:111122223333:document/7"
    return "request: " + json.dumps({"principal": who, "action": action, "resource": resource, **more})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "reader.json").write_text(READER)
    (tmp_path / "iam.yaml").write_text(SEED)
    return tmp_path


def outcomes(path: Path) -> list[str | None]:
    with PolicyTests() as tests:
        return [
            failure_of(read_policy_test, tests.decide(read_policy_test.entry))
            for read_policy_test in read_policy_tests(path)
        ]


def write(folder: Path, text: str, name: str = "a.policy-test.yaml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_cases_run_with_policies_in_files(folder: Path) -> None:
    """A policy by its file, in a list and in a level; a principal by its ARN."""
    path = write(folder, CASES)
    assert outcomes(path) == [None, None]
    first, second = read_policy_tests(path)
    assert (first.id, first.line, first.rule, second.line) == ("rita reads", 2, "ours-1", 11)


def test_json_lines_have_their_line(folder: Path) -> None:
    """In a `.json` file as in a `.jsonl` one: editors jump to it."""
    lines = '{"id": "a", "expected": "Allowed"}\n\n{"id": "b", "expected": "Allowed"}\n'
    for name in ("a.policy-test.json", "a.policy-test.jsonl"):
        assert [test.line for test in read_policy_tests(write(folder, lines, name))] == [1, 3]


def test_failure_is_explained(folder: Path) -> None:
    """Expected, got, the author's reason, and the explanation with the line of the policy's file."""
    [failure, _] = outcomes(write(folder, CASES.replace("GetDocument", "DeleteDocument")))
    assert failure is not None
    assert failure.startswith("expected Allowed, got ImplicitlyDenied\nwhy it was expected: she is a reader\n\n")
    assert "✗ Allow Statement[0] `Read`, line 3: does not apply" in failure


def test_guard_on_seed_decides(folder: Path) -> None:
    """Cases then have no policies, and their context overrides that of the guard."""
    path = write(
        folder,
        of_seed(
            f"id: rita, {asking()}, expected: Allowed",
            f"id: role, {asking('arn:aws:iam::111122223333:role/team/dev')}, expected: Allowed",
            f"id: write, {asking(action='docs:Put')}, expected: ImplicitlyDenied",
            f"id: other, {asking(resource_account='444455556666')}, expected: ImplicitlyDenied",
            f"id: anonymous, {asking('anonymous')}, expected: ImplicitlyDenied",
        ),
    )
    assert outcomes(path) == [None] * 5


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (asking(RITA + "a"), "the principal does not exist"),
        (asking() + ", policies: {}", "expected no `policies`"),
        (asking() + ", resuest: {}", "unknown key `resuest`"),
        (asking("rita"), "expected an ARN"),
        (asking(action="Get"), "expected an action"),
    ],
)
def test_mistake_in_case_is_no_denial(folder: Path, case: str, words: str) -> None:
    """A denial not made by a policy is an error."""
    [failure] = outcomes(write(folder, of_seed(f"id: a, {case}, expected: ImplicitlyDenied")))
    assert failure is not None
    assert failure.startswith("expected ImplicitlyDenied, got error\nno decision could be made: ")
    assert words in failure


def test_missing_file_is_an_error_of_its_case(folder: Path) -> None:
    """A missing seed as well."""
    [failure, _] = outcomes(write(folder, CASES.replace("reader.json", "writer.json")))
    assert "cannot read the file `writer.json`: No such file" in str(failure)
    [failure] = outcomes(write(folder, of_seed(f"id: a, {asking()}, expected: Allowed").replace("iam.yaml", "x.yaml")))
    assert "x.yaml: cannot be read" in str(failure)


@pytest.mark.parametrize(
    ("name", "text", "place", "words"),
    [
        ("a.yaml", "- id: a\n  b: [\n", ":3:1", "not readable as YAML"),
        ("a.yaml", "id: a\n", ":1:1", "expected a list of cases"),
        ("a.yaml", "- {id: a, expected: Allowed}\n- 5\n", ":2:3", "expected a case as an object"),
        ("a.yaml", "- {expected: Allowed}\n", ":1:3", "expected a string as `id` of case 1"),
        ("a.yaml", "\n- {id: a, expected: Denied}\n", ":2:3", "expected one of Allowed"),
        ("a.yaml", "- {id: a}\n", ":1:3", "expected one of Allowed"),
        ("a.yaml", "- {id: a, expected: Allowed}\n- {id: a, expected: error}\n", ":2:1", "is also in line 1"),
        ("a.jsonl", '{"id": "a", "expected": "Allowed"}\n{"id": ]}\n', ":2:8", "expected a case as JSON object"),
    ],
)
def test_invalid_file_of_tests_names_place(folder: Path, name: str, text: str, place: str, words: str) -> None:
    """File, line and column."""
    path = write(folder, text, name)
    with pytest.raises(InvalidInput) as refused:
        read_policy_tests(path)
    assert words in refused.value.message
    assert refused.value.place == f"{path}{place}"


def test_case_may_be_a_json_file(folder: Path) -> None:
    """Over many lines, or one per line; both may name files."""
    case = {
        "id": "a",
        "expected": "Allowed",
        "policies": {"identity": [{"file": "reader.json"}]},
        "request": {"principal": RITA, "action": "docs:GetX", "resource": "arn:aws:docs:us-east-1:111122223333:x"},
    }
    assert outcomes(write(folder, json.dumps(case, indent=2), "a.json")) == [None]
    assert outcomes(write(folder, json.dumps(case) + "\n", "a.jsonl")) == [None]


def test_only_files_may_name_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream can't cause a file to be read; nor can the content of a policy."""
    monkeypatch.chdir(folder)
    case = {"id": "a", "request": {}, "policies": {"identity": [{"file": "reader.json"}]}}
    run = CliRunner().invoke(main, ["decide"], input=json.dumps(case))
    assert "error" in json.loads(run.output)
    [test] = read_policy_tests(
        write(folder, '- {id: a, expected: error, policies: {resource: {Statement: {file: "reader.json"}}}}')
    )
    assert isinstance(test, PolicyTest)
    assert expand_entry(test.entry) == test.entry


# --- the command -------------------------------------------------------------------------------------------------


def run(folder: Path, *arguments: str) -> Any:
    return CliRunner().invoke(main, [*arguments])


def test_commands_run_policy_tests(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those with a seed; `explain` too."""
    monkeypatch.chdir(folder)
    write(folder, CASES, "a.yaml")
    write(folder, of_seed(f"id: rita, {asking()}, expected: Allowed"), "b.yaml")
    assert run(folder, "test", "a.yaml", "b.yaml").output == "3 passed, 0 failed\n"
    explained = run(folder, "explain", "b.yaml")
    assert (explained.exit_code, "user/rita/Read" in explained.output) == (0, True)
    assert run(folder, "explain", "a.yaml", "--id", "rita does not write").exit_code == 1


def test_test_command_measures_coverage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the named policies; low coverage fails."""
    monkeypatch.chdir(folder)
    write(folder, CASES, "a.yaml")
    covered = run(folder, "test", "a.yaml", "--cov", "--policies", "reader.json", "--min", "100", "--html", "h/c.html")
    assert (covered.exit_code, covered.output.splitlines()[-1]) == (0, "2 passed, 0 failed")
    assert "<h1>Policy coverage: 100%</h1>" in (folder / "h/c.html").read_text()
    write(folder, CASES.replace("PutDocument", "GetDocument").replace("ImplicitlyDenied", "Allowed"), "a.yaml")
    missed = run(folder, "test", "a.yaml", "--cov", "--policies", "reader.json", "--min", "100")
    assert missed.exit_code == 1
    assert "reader.json:3:17: Allow Statement[0] `Read` was never false" in missed.output
    assert "policy coverage of 60.00% is below the minimum of 100%" in missed.output
    report = json.loads(run(folder, "test", "a.yaml", "--cov", "--policies", "reader.json", "--json").output)
    assert (report["passed"], report["coverage"]["percent"]) == (2, 60.0)


@pytest.mark.parametrize("options", [["--min", "90"], ["--policies", "reader.json"], ["--cov", "--min", "101"]])
def test_threshold_without_cov_is_wrong_usage(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    """It would always pass."""
    monkeypatch.chdir(folder)
    write(folder, CASES, "a.yaml")
    assert run(folder, "test", "a.yaml", *options).exit_code == 2
