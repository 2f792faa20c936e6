"""`iam-guard check invariants` and `check seed`: text, JSON, SARIF, GitHub annotations, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iam_guard.cli.group import main
from iam_guard.settings import Settings
from iam_guard.store.opening import open_database
from iam_guard.store.seed import apply_seed, load_seed
from tests.tables import table

SEED = """\
version: 1
accounts:
  - id: "111122223333"
    name: acme
    groups:
      - name: legal
        inline:
          Read:
            Version: "2012-10-17"
            Statement:
              - {Sid: Read, Effect: Allow, Action: "docs:Get*", Resource: "*"}
    users:
      - name: ada
        groups: [legal]
        inline: {Own: {file: own.json}}
    roles:
      - name: admin
        trust:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Principal: {AWS: "111122223333"}, Action: "sts:AssumeRole"}]
        inline:
          All: {Version: "2012-10-17", Statement: [{Sid: All, Effect: Allow, Action: "docs:*", Resource: "*"}]}
    resources:
      - arn: arn:aws:docs:us-east-1:111122223333:document/legal/1
        policy:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Principal: {AWS: "444455556666"}, Action: "docs:List", Resource: "*"}]
"""
OWN = """\
{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "docs:Put", "Resource": "arn:aws:docs:*:*:document/own/*"}
  ]
}
"""
HOLDS = "{name: holds, only: [role/admin], may: 'docs:Delete*', on: document/legal/*}"
BROKEN = "{name: broken, only: [role/admin], may: 'docs:Get*', on: document/legal/*}"
SHARED = "{name: shared, never: [outside], may: 'docs:*'}"
TYPO = "{name: typo, never: [user/adda], may: 'docs:*'}"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    (tmp_path / "own.json").write_text(OWN, encoding="utf-8")
    path = tmp_path / "iam.yaml"
    path.write_text(SEED, encoding="utf-8")
    return path


def rules(folder: Path, *entries: str) -> Path:
    path = folder / "invariants.yaml"
    path.write_text("\n".join(["invariants:", *(f"  - {entry}" for entry in entries)]), encoding="utf-8")
    return path


@table(
    ("entries", "exit_code"),
    [([HOLDS], 0), ([HOLDS, BROKEN], 1), ([HOLDS, TYPO], 2), ([TYPO, BROKEN], 1), (["{name: x}"], 2)],
)
def test_invariants_exit_by_their_verdicts(seed: Path, entries: list[str], exit_code: int) -> None:
    done = run("invariants", rules(seed.parent, *entries), "--store", seed)
    assert done.exit_code == exit_code, done.output


def test_text_shows_who_breaks_an_invariant_and_by_what(seed: Path) -> None:
    path = rules(seed.parent, HOLDS, BROKEN, SHARED)
    done = run("invariants", path, "--store", seed)
    lines = done.output.splitlines()
    assert lines[:3] == [
        "PASS  holds",
        "FAIL  broken",
        f"  {path}:3:5: no principal but role/admin may docs:Get* on document/legal/*",
    ]
    assert lines[3].startswith("  arn:aws:iam::111122223333:user/ada could call docs:get")
    assert lines[4] == "    Allow `Read` of group/legal/Read (identity-based policy) through group legal"
    request = json.loads(lines[5])["request"]
    assert request["principal"]["arn"] == "arn:aws:iam::111122223333:user/ada"
    assert "arn:aws:iam::444455556666:user/example could call docs:List on " in done.output


def test_invariants_of_a_database_are_those_of_its_seed(seed: Path) -> None:
    url = f"sqlite:///{seed.parent}/iam.db"
    store = open_database(url, Settings(), create=True)
    apply_seed(store, load_seed(seed))
    store.close()
    path = rules(seed.parent, HOLDS, BROKEN)
    found = [json.loads(run("invariants", path, "--store", place, "--json").output) for place in (seed, url)]
    assert [[one["result"] for one in member["invariants"]] for member in found] == [["PASS", "FAIL"]] * 2


def test_json_has_every_violation(seed: Path) -> None:
    done = run("invariants", rules(seed.parent, SHARED, TYPO), "--store", seed, "--json")
    result = json.loads(done.output)
    shared, typo = result["invariants"]
    assert (result["result"], shared["result"], typo["result"]) == ("FAIL", "FAIL", "UNKNOWN")
    assert {violation["kind"] for violation in shared["violations"]} == {"user", "session", "federated user", "account"}
    statements = shared["violations"][0]["statements"]
    assert [statement["policyType"] for statement in statements] == ["resource-based policy"]
    assert typo["problems"] == ["no principal is `user/adda`"]


def test_sarif_and_github_point_at_the_invariant(seed: Path) -> None:
    path = rules(seed.parent, HOLDS, BROKEN, TYPO)
    log = json.loads(run("invariants", path, "--store", seed, "--format", "sarif").output)
    results = log["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == ["invariant-broken", "invariant-undecided"]
    regions = [result["locations"][0]["physicalLocation"]["region"] for result in results]
    assert regions == [{"startLine": 3, "startColumn": 5}, {"startLine": 4, "startColumn": 5}]
    commands = run("invariants", path, "--store", seed, "--format", "github").output.splitlines()
    assert commands[0].startswith(f"::error file={path},line=3,col=5,title=invariant-broken::broken: arn:aws:iam::")


def test_references_limit_the_actions_there_are(seed: Path) -> None:
    reference = seed.parent / "docs.json"
    reference.write_text(json.dumps({"Name": "docs", "Actions": [{"Name": "DeleteDocument"}]}), encoding="utf-8")
    path = rules(seed.parent, "{name: one, only: [], may: 'docs:Delete*'}")
    result = json.loads(run("invariants", path, "--store", seed, "--reference", reference, "--json").output)
    request: dict[str, Any] = result["invariants"][0]["violations"][0]["witness"]["request"]
    assert request["action"] == "docs:DeleteDocument"
    done = run("invariants", rules(seed.parent, "{name: one, only: [], may: 'docs:Dlete*'}"), "--reference", reference)
    assert (done.exit_code, "no action is `docs:Dlete*`" in done.output) == (2, True)


# --- seed ----------------------------------------------------------------------------------------------------------


def changed(seed: Path, old: str, new: str) -> Path:
    path = seed.parent / "new.yaml"
    text = seed.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_a_seed_without_new_access_passes(seed: Path) -> None:
    narrower = changed(seed, 'Action: "docs:Get*"', 'Action: "docs:GetDocument"')
    assert (run("seed", seed, narrower).exit_code, run("seed", narrower, seed).exit_code) == (0, 1)
    assert run("seed", seed, seed.parent / "missing.yaml").exit_code == 2


@table(
    ("old", "new", "subject", "line"),
    [
        ('"docs:Get*"', '"docs:*"', "principal arn:aws:iam::111122223333:user/ada", 11),
        ('AWS: "444455556666"', 'AWS: "*"', "resource policy arn:aws:docs:us-east-1:111122223333:document/legal/1", 27),
        ('{AWS: "111122223333"}', '"*"', "trust policy arn:aws:iam::111122223333:role/admin", 20),
        ("    roles:\n", "      - {name: eve, groups: [legal]}\n    roles:\n", "new principal", 11),
    ],
)
def test_new_access_is_at_the_line_of_its_statement(seed: Path, old: str, new: str, subject: str, line: int) -> None:
    path = changed(seed, old, new)
    done = run("seed", seed, path, "--format", "github")
    assert done.exit_code == 1
    [command] = done.output.splitlines()
    assert command.startswith(f"::error file={path},line={line},col=")
    assert f"::{subject}" in command


def test_new_access_in_a_policy_file_is_at_its_line(seed: Path) -> None:
    old = seed.parent / "old"
    old.mkdir()
    (old / "iam.yaml").write_text(SEED, encoding="utf-8")
    (old / "own.json").write_text(OWN, encoding="utf-8")
    (seed.parent / "own.json").write_text(OWN.replace("document/own/*", "document/*"), encoding="utf-8")
    log = json.loads(run("seed", old / "iam.yaml", seed, "--format", "sarif").output)
    [result] = log["runs"][0]["results"]
    location = result["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"].endswith("own.json")
    assert location["region"] == {"startLine": 4, "startColumn": 5}


def test_json_of_new_access_has_subject_request_and_place(seed: Path) -> None:
    path = changed(seed, 'Action: "docs:*"', 'Action: ["docs:*", "notes:*"]')
    found = json.loads(run("seed", seed, path, "--json").output)
    [one] = found["newAccess"]
    assert (found["result"], one["subject"], one["file"], one["line"]) == ("FAIL", "principal", str(path), 22)
    assert one["violation"]["witness"]["request"]["action"].startswith("notes:")
    assert "user" not in one["violation"]["principal"]
