"""`iam-guard audit replay` and `shadow`: output, exit codes, and that they change nothing (issue F, replay)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iam_guard import open_guard
from iam_guard.cli import main
from iam_guard.model.principal import Principal
from tests.conftest import ACME, SEED

DENY = """
version: 1
accounts:
  - id: "111122223333"
    users:
      - name: rita
        inline:
          Read: {Version: "2012-10-17", Statement: [{Sid: Gone, Effect: Deny, Action: "docs:Get*", Resource: "*"}]}
"""
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder with a seed, a store made of it, and the audit file of three requests."""
    monkeypatch.chdir(tmp_path)
    Path("iam.yaml").write_text(SEED)
    Path("change.yaml").write_text(DENY)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(main, [*arguments])

    assert invoke("init", "--store", "sqlite:///iam.db").exit_code == 0
    assert invoke("apply", "iam.yaml", "--store", "sqlite:///iam.db").exit_code == 0
    guard = open_guard("sqlite:///iam.db", audit="audit.jsonl")
    for name, action in (("rita", "docs:Get"), ("rita", "docs:Put"), ("ada", "docs:Put")):
        guard.decide(Principal.from_arn(f"arn:aws:iam::{ACME}:user/{name}"), action, f"arn:aws:docs::{ACME}:document/7")
    guard.close()
    return lambda *arguments: invoke("audit", "replay", *arguments)


@pytest.mark.parametrize("store", ["sqlite:///iam.db", "iam.yaml"])
def test_unchanged_store_changes_no_outcome(run: Run, store: str) -> None:
    """The self-check: exit code 0, and the number of decisions with the recorded policies."""
    result = run("audit.jsonl", "--store", store)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("3 decisions, 3 compared: 0 outcomes would change; 3 had the recorded policies")


@pytest.mark.parametrize("store", ["sqlite:///iam.db", "iam.yaml"])
def test_seed_as_change_is_reported(run: Run, store: str) -> None:
    """Exit code 1, with the statements before and after; the store is unchanged."""
    result = run("audit.jsonl", "--store", store, "--with", "change.yaml")
    assert result.exit_code == 1, result.output
    first, before, after, *_ = result.output.splitlines()
    assert first == (
        f"1 x arn:aws:iam::{ACME}:user/rita docs:Get arn:aws:docs::{ACME}:document/*: Allowed -> ExplicitlyDenied"
    )
    assert "Allow by Read of user/rita/Read" in before
    assert "Deny by Gone of user/rita/Read" in after
    assert run("audit.jsonl", "--store", store).exit_code == 0


def test_other_store_is_a_change(run: Run) -> None:
    Path("other.yaml").write_text(SEED.replace('"docs:Get*"', '"docs:Put"'))
    CliRunner().invoke(main, ["apply", "other.yaml", "--store", "sqlite:///other.db"])
    CliRunner().invoke(main, ["init", "--store", "sqlite:///other.db"])
    CliRunner().invoke(main, ["apply", "other.yaml", "--store", "sqlite:///other.db"])
    result = run("audit.jsonl", "--store", "sqlite:///iam.db", "--with", "sqlite:///other.db", "--json")
    assert result.exit_code == 1, result.output
    report: dict[str, Any] = json.loads(result.output)
    assert sorted(each["action"] for each in report["flips"]) == ["docs:Get", "docs:Put"]
    assert (report["compared"], report["recorded_policies"], report["drifted"], report["flipped"]) == (3, 3, 0, 2)


def test_several_files_are_read_in_order(run: Run) -> None:
    assert json.loads(run("audit.jsonl", "audit.jsonl", "--store", "iam.yaml", "--json").output)["compared"] == 6


def test_broken_line_is_a_reported_error(run: Run) -> None:
    """The other lines are compared, and the exit code is 2."""
    with Path("audit.jsonl").open("a") as file:
        file.write("{torn\n")
    result = run("audit.jsonl", "--store", "iam.yaml")
    assert result.exit_code == 2
    assert "audit.jsonl:4" in result.output
    assert "3 compared" in result.output


def test_record_contradicting_its_policies_is_an_error(run: Run) -> None:
    lines = Path("audit.jsonl").read_text().replace('"outcome":"ImplicitlyDenied"', '"outcome":"ExplicitlyDenied"')
    Path("audit.jsonl").write_text(lines)
    result = run("audit.jsonl", "--store", "iam.yaml")
    assert result.exit_code == 2
    assert "the same policies lead to another outcome than recorded" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("--store", "sqlite:///nowhere.db"),
        ("--store", "iam.yaml", "--with", "nowhere.yaml"),
        ("--store", "iam.yaml", "--with", "audit.jsonl"),
    ],
)
def test_unopenable_input_is_an_error(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("audit.jsonl", *arguments).exit_code == 2


# --- a change file, a trail, and what a candidate would have answered ----------------------------------------------

CHANGES = f"""
version: 1
policy_changes:
  - put: Read
    in: arn:aws:iam::{ACME}:user/rita
    document: {{Version: "2012-10-17", Statement: [{{Sid: Gone, Effect: Deny, Action: "docs:Get*", Resource: "*"}}]}}
"""


@pytest.mark.parametrize("store", ["sqlite:///iam.db", "iam.yaml"])
def test_change_file_is_reported(run: Run, store: str) -> None:
    """A change file as for shadow mode has the effect of the seed above; the store is unchanged."""
    Path("changes.yaml").write_text(CHANGES)
    result = run("audit.jsonl", "--store", store, "--with", "changes.yaml")
    assert result.exit_code == 1, result.output
    seed = run("audit.jsonl", "--store", store, "--with", "change.yaml")
    assert result.output == seed.output
    assert run("audit.jsonl", "--store", store).exit_code == 0


def test_invalid_change_file_is_an_error(run: Run) -> None:
    Path("changes.yaml").write_text(CHANGES.replace("user/rita", "user/nobody"))
    result = run("audit.jsonl", "--store", "iam.yaml", "--with", "changes.yaml")
    assert result.exit_code == 2
    assert "changes.yaml:4: there is no `arn:aws:iam::111122223333:user/nobody` in the store" in result.output


def shadowed(audit: str) -> None:
    """Make the same three requests with the changes in shadow mode, and one that both deny."""
    Path("changes.yaml").write_text(CHANGES)
    guard = open_guard("sqlite:///iam.db", audit=audit, shadow="changes.yaml")
    document = f"arn:aws:docs::{ACME}:document/7"
    for name, action in (("rita", "docs:Get"), ("rita", "docs:GetAll"), ("rita", "docs:Put"), ("ada", "docs:Put")):
        guard.decide(Principal.from_arn(f"arn:aws:iam::{ACME}:user/{name}"), action, document)
    guard.close()


def test_shadow_lists_outcomes_of_candidate(run: Run) -> None:
    """In the format of replay, from the records alone; exit code 1 if there are any."""
    shadowed("shadow.jsonl")
    result = CliRunner().invoke(main, ["audit", "shadow", "shadow.jsonl"])
    assert result.exit_code == 1, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith(
        f"1 x arn:aws:iam::{ACME}:user/rita docs:Get arn:aws:docs::{ACME}:document/*: Allowed -> Exp"
    )
    assert "Allow by Read of user/rita/Read" in lines[1]
    assert "Deny by Gone of user/rita/Read" in lines[2]
    assert "4 decisions: the candidate would change 2 outcomes, and deny 0 for another reason" in lines
    report = json.loads(CliRunner().invoke(main, ["audit", "shadow", "shadow.jsonl", "audit.jsonl", "--json"]).output)
    assert (report["decisions"], report["flipped"], report["others"], report["errors"]) == (7, 2, 0, {})


def test_shadow_reports_unreadable_records(run: Run) -> None:
    """A candidate without a decision, another kind of denial, an incomplete record, a broken line."""
    shadowed("shadow.jsonl")
    first, second, third, fourth = Path("shadow.jsonl").read_text().splitlines()
    broken = first.replace('"shadow":{', '"shadow":{"error":"the candidate cannot decide: StoreUnavailable",')
    masked = second.replace('"principalId"', '"x"').replace('"userIdentity"', '"who"')
    denied = third.replace('"enforced":true', '"enforced":true,"shadow":{"outcome":"ExplicitlyDenied","reasons":[]}')
    torn = fourth.replace('"enforced":true', '"enforced":true,"shadow":{"outcome":"Perhaps","reasons":[]}')
    Path("shadow.jsonl").write_text("\n".join((broken, masked, denied, torn, "{")) + "\n")
    result = CliRunner().invoke(main, ["audit", "shadow", "shadow.jsonl"])
    assert result.exit_code == 2
    assert "4 decisions: the candidate would change 0 outcomes, and deny 1 for another reason" in result.output
    assert "1 without a decision of the candidate: the candidate cannot decide: StoreUnavailable" in result.output
    assert "1 without a decision of the candidate: the record is incomplete" in result.output
    assert "1 not readable: the record is incomplete" in result.output
    assert "shadow.jsonl:5" in result.output


def test_trail_is_verified_while_reading(run: Run) -> None:
    """Both commands take the folder of a trail; a changed record ends them with its verdict."""
    shadowed("trail/")
    key = ("--key", CliRunner().invoke(main, ["audit", "keys", "--store", "sqlite:///iam.db"]).output.split()[0])
    assert CliRunner().invoke(main, ["audit", "shadow", "trail", *key]).exit_code == 1
    assert run("trail", "--store", "sqlite:///iam.db", *key).exit_code == 0
    [segment] = Path("trail").glob("*/*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"docs:Get", b"docs:Put").replace(b'"Allowed"', b'"allowed"'))
    for command in ("shadow", "replay"):
        result = CliRunner().invoke(main, ["audit", command, "trail", "--store", "sqlite:///iam.db", *key])
        assert (result.exit_code, "MODIFIED" in result.output) == (2, True), result.output
    assert CliRunner().invoke(main, ["audit", "shadow", "trail", "--no-verify"]).exit_code in (0, 1)
