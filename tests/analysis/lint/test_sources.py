"""Policies found in files, and the places of findings in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from iam_guard.analysis.lint.linter import Linter, LintFinding
from iam_guard.analysis.lint.sources import guess_type, read_sources, sources_of_text
from iam_guard.errors import InvalidInput
from iam_guard.model.decision import PolicyType
from tests.tables import table

SEED = """version: 1
organization:
  id: o-exampleorg1
  management_account: "999900000000"
  policies:
    - name: NoExports
      type: SCP
      document: {Version: "2012-10-17", Statement: [{Effect: Deny, Action: "iam:GetUsr", Resource: "*"}]}
    - name: Own
      type: RCP
      document: {Version: "2012-10-17", Statement: [{Effect: Deny, Principal: "*", Action: "sts:*", Resource: "*"}]}
accounts:
  - id: "111122223333"
    policies:
      - name: Reader
        document: |
          {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow",
                          "Action": "iam:GetUsr", "Resource": "*"}
          }
    users:
      - name: rita
        inline:
          Own:
            Version: "2012-10-17"
            Statement:
              - Sid: Own
                Effect: Allow
                Action: ["iam:GetUser", "iam:GetUsr"]
                Resource: "*"
        api_keys:
          - id: RITA
            session_policy: '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "x"}}'
    roles:
      - name: ops
        trust:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Principal: {AWS: "444455556666"}, Action: "sts:Asume"}]
    resources:
      - arn: arn:aws:docs:us-east-1:111122223333:document/7
        policy: {file: shared.json}
"""


def linted(text: str, name: str = "x.json", **more: PolicyType) -> list[LintFinding]:
    return [finding for file in sources_of_text(text, name, **more) for finding in Linter().lint(file)]


def places(findings: list[LintFinding]) -> list[tuple[int, int, str]]:
    return [(finding.line, finding.column, finding.code) for finding in findings]


def test_policies_of_seed_are_found_with_places(tmp_path: Path) -> None:
    """In YAML, in JSON text in a block, in quoted text, and in a separate file."""
    (tmp_path / "iam.yaml").write_text(SEED)
    (tmp_path / "shared.json").write_text('{"Version": "2012-10-17",\n "Statement": []}')
    files = read_sources(tmp_path / "iam.yaml")
    types = {policy.name: policy.type for file in files for policy in file.policies}
    assert types == {
        "organization/policies/NoExports/document": PolicyType.SCP,
        "organization/policies/Own/document": PolicyType.RCP,
        "accounts/111122223333/policies/Reader/document": PolicyType.IDENTITY,
        "accounts/111122223333/users/rita/inline/Own": PolicyType.IDENTITY,
        "accounts/111122223333/users/rita/api_keys/RITA/session_policy": PolicyType.SESSION,
        "accounts/111122223333/roles/ops/trust": PolicyType.TRUST,
        "": PolicyType.RESOURCE,
    }
    findings = [finding for file in files for finding in Linter().lint(file)]
    lines = SEED.split("\n")
    for finding in findings[:-1]:
        written = lines[finding.line - 1][finding.column - 1 :]
        assert written.startswith(('"iam:GetUsr"', '"sts:Asume"', "'{")), (finding, written)
    assert len(findings) == 7
    last = findings[-1]
    assert (last.file, last.line, last.column) == (str(tmp_path / "shared.json"), 2, 15)


def test_place_in_json_has_line_and_column() -> None:
    """Both count from 1."""
    text = '{\n  "Version": "2012-10-17",\n  "Statement": {"Effect": "Allow", "Action": "iam:Gt", "Resource": "*"}\n}'
    assert places(linted(text)) == [(3, 46, "INVALID_ACTION")]


def test_unstorable_character_is_found_at_its_place() -> None:
    """In a value or a name, in JSON and in YAML, whose offsets are unknown."""
    text = '{"Version": "2012-10-17",\n "Statement": {"Effect": "Allow", "Action": "iam:Get*", "Resource": "*",\n  '
    condition = '"Condition": {"StringEquals": {"docs:Kind": ["a", "例"]}}}}'
    assert places(linted(text + condition)) == [(3, 53, "JSON_SYNTAX_ERROR")]
    assert places(linted(text + condition.replace("docs:Kind", "docs:例"), "x.yaml"))[0] == (3, 34, "JSON_SYNTAX_ERROR")


def test_policy_may_be_yaml() -> None:
    """By its content, whatever its name."""
    text = "Version: 2012-10-17\nStatement:\n  - Effect: Allow\n    Action: iam:Gt\n    Resource: '*'\n"
    assert places(linted(text, "policy")) == [(4, 13, "INVALID_ACTION")]


def test_cases_are_read_from_yaml_and_lines() -> None:
    """All types of policies of a case."""
    one = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:Gt","Resource":"*"}}'
    case = (
        f'{{"id":"a","policies":{{"identity":[{one}],"scps":[[{one}]],"permissions_boundary":{one},"resource":null}}}}'
    )
    lines = linted(f"{case}\n\n{case}\n", "cases.jsonl")
    assert [(each.line, each.code) for each in lines] == [(1, "INVALID_ACTION")] * 3 + [(3, "INVALID_ACTION")] * 3
    assert {each.policy for each in lines} == {
        f"line {line} policies/{name}" for line in (1, 3) for name in ("identity/0", "scps/0/0", "permissions_boundary")
    }
    assert len(linted(f"- {case}\n- {case}\n", "cases.yaml")) == 6
    assert len(linted(f"[{one}, {one}]")) == 2


def test_policy_test_files_without_policies_are_valid() -> None:
    """Cases that a seed decides have no policies; those that must be refused are wrong on purpose."""
    by_seed = "seed: iam.yaml\ncases:\n  - {id: a, request: {action: iam:Gt}, expected: Allowed}\n"
    assert linted(by_seed, "x.yaml") == []
    wrong = '{"id": "a", "policies": {"identity": [{"Version": "1"}]}, "expected": "error"}'
    assert linted(wrong) == linted(f"[{wrong}]") == []
    assert linted(wrong.replace("error", "Allowed")) != []


@table(
    ("text", "name", "line"),
    [
        ('{"Version": "2012-10-17",\n "Statement": [}', "x.json", 2),
        ("", "x.json", 1),
        ("a: [", "x.yaml", 2),
        ("Version: 1\nVersion: 2\n", "x.yaml", 2),
        ("!!python/object:os.system {}", "x.yaml", 1),
        ('{"id": 1}\n{"id": \n', "x.jsonl", 2),
        ("7", "x.json", 1),
        ('"text"', "x.yaml", 1),
    ],
)
def test_unreadable_file_is_reported_with_place(text: str, name: str, line: int) -> None:
    """Never a traceback."""
    findings = linted(text, name)
    assert findings
    assert findings[-1].line == line
    assert all(finding.level == "ERROR" for finding in findings)


def test_list_without_policy_has_none() -> None:
    assert linted('[1, {"policies": 7}]') == []


def test_text_in_block_has_exact_places() -> None:
    """A fault in JSON text inside of YAML has the line and column of the file."""
    text = (
        "accounts:\n  - id: '1'\n    policies:\n      - name: R\n        document: |\n"
        '          {"Version": "2012-10-17",\n           "Statement":, 7}\n'
    )
    assert places(linted(text, "x.yaml")) == [(7, 24, "JSON_SYNTAX_ERROR")]


@table(
    ("statement", "type"),
    [
        ({"Action": "s3:Get"}, PolicyType.IDENTITY),
        ({"Principal": "*", "Action": "s3:Get", "Resource": "*"}, PolicyType.RESOURCE),
        ({"Principal": "*", "Action": ["sts:AssumeRole", "sts:TagSession"]}, PolicyType.TRUST),
        ({"Principal": "*", "Action": "s3:Get"}, PolicyType.RESOURCE),
        ({"NotPrincipal": {}, "Action": "sts:AssumeRole", "Resource": "*"}, PolicyType.RESOURCE),
        (7, PolicyType.IDENTITY),
    ],
)
def test_type_is_guessed_by_elements(statement: object, type: PolicyType) -> None:
    """Unless it is passed."""
    assert guess_type({"Statement": statement}) is type  # type: ignore[dict-item]
    assert guess_type({"Statement": [statement]}) is type  # type: ignore[list-item]


def test_unopenable_file_is_refused(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(InvalidInput, match="cannot read the file"):
        read_sources(tmp_path / "none.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read_sources(tmp_path / "bytes.json")


def test_missing_file_of_seed_is_reported(tmp_path: Path) -> None:
    """At the place that names it."""
    seed = "accounts:\n  - id: '1'\n    policies:\n      - {name: R, document: {file: none.json}}\n"
    (tmp_path / "iam.yaml").write_text(seed)
    findings = [each for file in read_sources(tmp_path / "iam.yaml") for each in Linter().lint(file)]
    assert [(finding.line, finding.code) for finding in findings] == [(4, "JSON_SYNTAX_ERROR")]
