"""`iam-guard check`: its text, its JSON, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from iam_guard.cli.group import main


def run(*arguments: str | Path, stdin: str = "") -> Result:
    return CliRunner().invoke(main, ["check", *map(str, arguments)], input=stdin)


def document(folder: Path, name: str, action: str, **more: Any) -> Path:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*", **more}
    path = folder / name
    path.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), encoding="utf-8")
    return path


def test_no_new_access_exits_by_its_verdict(tmp_path: Path) -> None:
    one, wide = document(tmp_path, "one.json", "docs:Get"), document(tmp_path, "wide.json", "docs:*", Sid="Wide")
    passed = run("no-new-access", wide, one)
    assert (passed.exit_code, passed.output[:4]) == (0, "PASS")
    failed = run("no-new-access", one, wide)
    assert failed.exit_code == 1
    assert "New access in the statement with sid: Wide." in failed.output
    assert "arn:aws:iam::123456789012:user/example could call docs:example on arn:" in failed.output
    assert json.loads(failed.output.splitlines()[-1])["request"]["action"] == "docs:example"
    refused = run("no-new-access", one, "-", stdin="{}")
    assert refused.exit_code == 2
    assert run("equivalent", one, one).exit_code == 0


def test_json_has_the_whole_result(tmp_path: Path) -> None:
    public = document(tmp_path, "public.json", "s3:GetObject", Principal="*")
    done = run("no-public-access", public, "--json")
    assert done.exit_code == 1
    result = json.loads(done.output)
    assert (result["result"], result["universe"]) == ("FAIL", "open")
    assert result["witness"]["request"]["principal"]["type"] == "Anonymous"
    assert run("no-public-access", public, "--resource-type", "AWS::X").exit_code == 2


def test_sarif_and_github_are_at_the_statement(tmp_path: Path) -> None:
    one, wide = document(tmp_path, "one.json", "docs:Get"), tmp_path / "wide.json"
    wide.write_text(
        '{"Version": "2012-10-17", "Statement": [\n  {"Effect": "Allow", "Action": "docs:Get", "Resource": "*"},\n'
        '  {"Effect": "Allow", "Action": "docs:Put", "Resource": "*"}\n]}'
    )
    failed = run("no-new-access", one, wide, "--format", "github")
    assert failed.exit_code == 1
    assert failed.output.startswith(f"::error file={wide},line=3,col=3,title=check-failed::The modified permissions")
    assert "could call docs:Put on arn:" in failed.output
    log = json.loads(run("access-not-granted", wide, "--action", "docs:Put", "--format", "sarif").output)
    [result] = log["runs"][0]["results"]
    assert result["ruleId"] == "check-failed"
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 3, "startColumn": 3}
    passed = run("no-new-access", wide, one, "--format", "github")
    assert (passed.exit_code, passed.output) == (0, "")
    assert json.loads(run("equivalent", one, one, "--format", "sarif").output)["runs"][0]["results"] == []
    assert "line=1,col=1" in run("equivalent", one, wide, "--format", "github").output


def test_access_not_granted_takes_lists(tmp_path: Path) -> None:
    one = document(tmp_path, "one.json", "docs:Get")
    assert run("access-not-granted", one, "--action", "docs:Put", "--action", "docs:Delete").exit_code == 0
    assert run("access-not-granted", one, "--action", "docs:Put", "--action", "docs:Get").exit_code == 1
    assert run("access-not-granted", one).exit_code == 2


def test_dead_statements_are_described(tmp_path: Path) -> None:
    contradiction = {"StringEquals": {"docs:A": "x"}, "StringNotEquals": {"docs:A": "x"}}
    statements = [
        {"Effect": "Allow", "Action": ["docs:Get*", "docs:GetOne"], "Resource": "*"},
        {"Sid": "One", "Effect": "Allow", "Action": "docs:GetOne", "Resource": "*"},
        {"Effect": "Allow", "Action": "docs:Put", "Resource": "*", "Condition": contradiction},
        {"Effect": "Deny", "Action": "docs:Delete", "Resource": "*"},
        {"Effect": "Allow", "Action": "docs:List", "Resource": "*"},
        {"Effect": "Deny", "Action": "docs:List*", "Resource": "*"},
    ]
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"Version": "2012-10-17", "Statement": statements}), encoding="utf-8")
    done = run("dead-statements", path)
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        "Statement 0 has a redundant value in Action: docs:GetOne",
        "Statement 1 (One) adds nothing: covered by statement 0.",
        "Statement 2 is unreachable: no request meets it.",
        "Statement 3 denies nothing that this policy allows; it still denies what other policies allow.",
        "Statement 4 allows nothing: all of it is denied by statement 5.",
    ]
    found = json.loads(run("dead-statements", path, "--json").output)
    assert found["complete"] is True
    assert found["parts"][1] == {
        "kind": "shadowed",
        "statementIndex": 1,
        "statementId": "One",
        "coveredBy": [0],
        "path": [],
        "value": None,
    }


def test_policy_without_dead_statements_exits_with_zero(tmp_path: Path) -> None:
    done = run("dead-statements", document(tmp_path, "one.json", "docs:Get"))
    assert (done.exit_code, done.output) == (0, "No dead statements or values.\n")
    assert run("dead-statements", "-", stdin="{}").exit_code == 2


def test_batch_answers_in_order_after_errors() -> None:
    one = {"Statement": {"Effect": "Allow", "Action": "docs:Get", "Resource": "*"}}
    check = {"check": "equivalent", "policyType": "IDENTITY_POLICY", "existing": one, "new": one}
    lines = [
        json.dumps({"id": "a", **check}),
        "{",
        "",
        json.dumps({"id": 2, "check": "?"}),
        json.dumps({"id": "c", **check}),
    ]
    done = run("batch", stdin="\n".join(lines))
    answers = [json.loads(line) for line in done.output.splitlines()]
    assert [(answer["id"], answer.get("result")) for answer in answers] == [
        ("a", "PASS"),
        (None, None),
        (2, None),
        ("c", "PASS"),
    ]
    assert done.exit_code == 2
    assert answers[0] == {"id": "a", "result": "PASS", "reasons": [], "witness": None}
    assert run("batch", stdin=lines[0]).exit_code == 0
