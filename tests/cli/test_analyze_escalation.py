"""`iam-guard analyze escalation`: its text, its JSON, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from iam_guard.cli.group import main

ACCOUNT = "111122223333"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["analyze", "escalation", *map(str, arguments)])


def seed(folder: Path, *statements: dict[str, Any]) -> Path:
    """Write a seed with the role `ops`, and the user `ada` with these statements."""
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    inline = {"Own": {"Version": "2012-10-17", "Statement": list(statements)}} if statements else {}
    account = {
        "id": ACCOUNT,
        "users": [{"name": "ada", "inline": inline}],
        "roles": [{"name": "ops", "trust": {"Version": "2012-10-17", "Statement": [trust]}}],
    }
    path = folder / "iam.json"
    path.write_text(json.dumps({"version": 1, "accounts": [account]}), encoding="utf-8")
    return path


ASSUME = {"Sid": "Become", "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}


def test_paths_are_findings(tmp_path: Path) -> None:
    store = seed(tmp_path, ASSUME)
    done = run("--store", store, "--json")
    assert done.exit_code == 1
    [path] = json.loads(done.output)["paths"]
    assert (path["from"], path["to"]) == (f"arn:aws:iam::{ACCOUNT}:user/ada", f"arn:aws:iam::{ACCOUNT}:role/ops")
    [step] = path["steps"]
    assert (step["action"], step["resource"]) == ("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/ops")
    assert "Become" in step["why"]
    text = run("--store", store)
    assert text.exit_code == 1
    assert "1. sts:AssumeRole on arn:aws:iam::111122223333:role/ops" in text.output
    assert text.output.endswith("1 path, 0 to administrator\n")


def test_no_path_is_success(tmp_path: Path) -> None:
    store = seed(tmp_path)
    done = run("--store", store, "--json")
    assert (done.exit_code, json.loads(done.output)) == (0, {"paths": [], "administrators": []})
    assert run("--store", store).output == "0 paths, 0 to administrator\n"


def test_administrators_are_listed_with_their_statements(tmp_path: Path) -> None:
    """Also one whose statement names neither `*` nor IAM; it has no path, so it was shown nowhere."""
    store = seed(tmp_path, {"Sid": "AllButS3", "Effect": "Allow", "NotAction": ["s3:*"], "Resource": "*"})
    done = run("--store", store, "--json")
    assert done.exit_code == 0
    assert json.loads(done.output) == {
        "paths": [],
        "administrators": [
            {
                "principal": f"arn:aws:iam::{ACCOUNT}:user/ada",
                "policy": "user/ada/Own",
                "statement": "AllButS3",
                "through": [],
                "why": "statement AllButS3 in user/ada/Own",
            }
        ],
    }
    assert run("--store", store).output.splitlines() == [
        f"arn:aws:iam::{ACCOUNT}:user/ada is an administrator: statement AllButS3 in user/ada/Own",
        "0 paths, 0 to administrator",
    ]


def test_administrator_by_several_statements_has_all(tmp_path: Path) -> None:
    """The statement about IAM, and the other one, which depends on the condition."""
    condition = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    rest = {"Sid": "Rest", "Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"}
    store = seed(tmp_path, rest, {"Effect": "Allow", "Action": "iam:*", "Resource": "*", "Condition": condition})
    [administrator] = json.loads(run("--store", store, "--json").output)["administrators"]
    assert administrator["statement"] == "Rest"
    assert administrator["why"] == (
        "statement Rest in user/ada/Own and statement 1 in user/ada/Own; depends on aws:MultiFactorAuthPresent"
    )


def test_limited_user_is_no_administrator(tmp_path: Path) -> None:
    """Without IAM, or without what no policy names."""
    for listed in ({"NotAction": ["iam:*"]}, {"Action": ["iam:*", "docs:*"]}):
        store = seed(tmp_path, {"Effect": "Allow", "Resource": "*", **listed})
        assert json.loads(run("--store", store, "--json").output)["administrators"] == []


def test_unusable_store_is_an_error(tmp_path: Path) -> None:
    assert run("--store", tmp_path / "none.yaml").exit_code == 2
    assert run("--store", f"sqlite:///{tmp_path}/none.db").exit_code == 2
