"""`iam-guard audit replay`: what it prints, its exit codes, and that it changes nothing (issue F, replay)."""

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
def test_recorded_state_flips_nothing(run: Run, store: str) -> None:
    """The self-check: exit code 0, and how many were decided with the recorded policies."""
    result = run("audit.jsonl", "--store", store)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("3 decisions, 3 compared: 0 would come out otherwise; 3 were decided again")


@pytest.mark.parametrize("store", ["sqlite:///iam.db", "iam.yaml"])
def test_change_flips_what_it_denies(run: Run, store: str) -> None:
    """Exit code 1, and the statements of before and after; the store is as it was."""
    result = run("audit.jsonl", "--store", store, "--with", "change.yaml")
    assert result.exit_code == 1, result.output
    first, before, after, *_ = result.output.splitlines()
    assert first == (
        f"1 x arn:aws:iam::{ACME}:user/rita docs:Get arn:aws:docs::{ACME}:document/*: Allowed -> ExplicitlyDenied"
    )
    assert "Allow by Read of user/rita/Read" in before
    assert "Deny by Gone of user/rita/Read" in after
    assert run("audit.jsonl", "--store", store).exit_code == 0


def test_other_store_is_a_change_too(run: Run) -> None:
    Path("other.yaml").write_text(SEED.replace('"docs:Get*"', '"docs:Put"'))
    CliRunner().invoke(main, ["apply", "other.yaml", "--store", "sqlite:///other.db"])
    CliRunner().invoke(main, ["init", "--store", "sqlite:///other.db"])
    CliRunner().invoke(main, ["apply", "other.yaml", "--store", "sqlite:///other.db"])
    result = run("audit.jsonl", "--store", "sqlite:///iam.db", "--with", "sqlite:///other.db", "--json")
    assert result.exit_code == 1, result.output
    told: dict[str, Any] = json.loads(result.output)
    assert sorted(each["action"] for each in told["flips"]) == ["docs:Get", "docs:Put"]
    assert (told["compared"], told["recorded_policies"], told["drifted"], told["flipped"]) == (3, 3, 0, 2)


def test_several_files_are_read_in_turn(run: Run) -> None:
    assert json.loads(run("audit.jsonl", "audit.jsonl", "--store", "iam.yaml", "--json").output)["compared"] == 6


def test_broken_line_is_an_error_that_is_named(run: Run) -> None:
    """Nothing is passed over: the rest is compared, and the exit code is 2."""
    with Path("audit.jsonl").open("a") as file:
        file.write("{torn\n")
    result = run("audit.jsonl", "--store", "iam.yaml")
    assert result.exit_code == 2
    assert "audit.jsonl:4" in result.output
    assert "3 compared" in result.output


def test_record_that_contradicts_its_policies_is_an_error(run: Run) -> None:
    lines = Path("audit.jsonl").read_text().replace('"outcome":"ImplicitlyDenied"', '"outcome":"ExplicitlyDenied"')
    Path("audit.jsonl").write_text(lines)
    result = run("audit.jsonl", "--store", "iam.yaml")
    assert result.exit_code == 2
    assert "the same policies decide otherwise than recorded" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("--store", "sqlite:///nowhere.db"),
        ("--store", "iam.yaml", "--with", "nowhere.yaml"),
        ("--store", "iam.yaml", "--with", "audit.jsonl"),
    ],
)
def test_what_cannot_be_opened_is_an_error(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("audit.jsonl", *arguments).exit_code == 2
