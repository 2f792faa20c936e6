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


def test_access_not_granted_takes_lists(tmp_path: Path) -> None:
    one = document(tmp_path, "one.json", "docs:Get")
    assert run("access-not-granted", one, "--action", "docs:Put", "--action", "docs:Delete").exit_code == 0
    assert run("access-not-granted", one, "--action", "docs:Put", "--action", "docs:Get").exit_code == 1
    assert run("access-not-granted", one).exit_code == 2


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
