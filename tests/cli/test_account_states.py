"""`iam-guard account suspend|resume|close|delete`: the states of accounts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from iam_guard.cli import main

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command of the group in a folder with a store of one account."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IAM_GUARD_AUDIT", "trail.jsonl")
    assert CliRunner().invoke(main, ["init"]).exit_code == 0

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["account", *arguments])

    assert invoke("create", "Acme", "--id", "111122223333").exit_code == 0
    return invoke


def test_account_goes_through_its_states(run: Run) -> None:
    """Each change is shown and recorded, with the operator."""
    for command, state in (("suspend", "suspended"), ("resume", "active"), ("close", "closed")):
        result = run(command, "111122223333")
        assert (result.exit_code, result.output) == (0, f"the account 111122223333 (Acme) is {state}\n")
    result = run("delete", "111122223333", "--confirm", "Acme", "--json")
    assert json.loads(result.output) == {"id": "111122223333", "deletedRows": 1}
    assert run("show", "111122223333").exit_code == 2
    recorded = [json.loads(line) for line in Path("trail.jsonl").read_text().splitlines()]
    changes = [(record["eventName"], record["requestParameters"].get("state")) for record in recorded[1:]]
    expected = [("SuspendAccount", "suspended"), ("ResumeAccount", "active"), ("CloseAccount", "closed")]
    assert changes == [*expected, ("DeleteAccount", "deleting"), ("DeleteAccount", "deleted")]


def test_every_command_prints_an_account_in_the_same_form(run: Run) -> None:
    for command in ("suspend", "resume", "close"):
        changed = json.loads(run(command, "111122223333", "--json").output)
        assert changed == json.loads(run("show", "111122223333", "--json").output)


def test_wrong_state_is_an_error(run: Run) -> None:
    result = run("resume", "111122223333")
    assert result.exit_code == 2
    assert "expected an account that is closed or suspended, got one that is active" in result.output


@pytest.mark.parametrize("confirmed", [[], ["--confirm", "acme"], ["--confirm", "111122223333"]])
def test_deletion_needs_the_name_of_the_account(run: Run, confirmed: list[str]) -> None:
    """Its id is not enough, nor is another letter case; without a terminal there is no prompt."""
    assert run("close", "111122223333").exit_code == 0
    result = run("delete", "111122223333", *confirmed)
    assert (result.exit_code, "expected the name of the account" in result.output) == (2, True)
    assert json.loads(run("show", "111122223333", "--json").output)["state"] == "closed"


def test_open_account_is_not_deleted(run: Run) -> None:
    result = run("delete", "111122223333", "--confirm", "Acme")
    assert result.exit_code == 2
    assert "expected an account that is closed" in result.output
