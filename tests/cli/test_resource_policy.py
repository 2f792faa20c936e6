"""`iam-guard resource-policy share`, `unshare` and `shares`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from iam_guard.cli import main
from tests.conftest import ACME, SEED

ADA = f"arn:aws:iam::{ACME}:user/ada"
PLAN = f"arn:aws:docs:us-east-1:{ACME}:document/plan"
GLOBEX = "444455556666"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command of the group, on a store with two users."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IAM_GUARD_STORE", "sqlite:///iam.db")
    Path("iam.yaml").write_text(SEED)
    for arguments in (("init",), ("apply", "iam.yaml")):
        assert CliRunner().invoke(main, [*arguments]).exit_code == 0
    return lambda *arguments: CliRunner().invoke(main, ["resource-policy", *arguments])


def test_commands_share_list_and_end(run: Run) -> None:
    shared = run("share", PLAN, "docs:Get", "docs:Put", "--with-principal", ADA)
    assert shared.output == f"{ADA}  docs:Get docs:Put\n"
    run("share", PLAN, "docs:Get", "--with-account", GLOBEX, "--external")
    [first, second] = json.loads(run("shares", PLAN, "--json").output)
    assert (first["grantee"], first["actions"], second["grantee"]) == (ADA, ["docs:Get", "docs:Put"], GLOBEX)
    assert run("unshare", PLAN, "docs:Get", "--with-principal", ADA).output == f"{ADA}  docs:Put\n"
    assert run("unshare", PLAN, "--with-principal", ADA, "--json").output == "[]\n"
    assert run("shares", PLAN).output == f"{GLOBEX}  docs:Get\n"
    ended = run("unshare", PLAN, "--with-account", GLOBEX)
    assert (ended.exit_code, ended.output, run("get", PLAN).exit_code) == (0, "", 1)


def test_statement_written_by_hand_is_marked(run: Run) -> None:
    condition = {"Bool": {"aws:SecureTransport": "true"}}
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "mail.example.com"},
        "Action": "docs:*",
        "Condition": condition,
    }
    Path("policy.json").write_text(json.dumps({"Statement": [allow]}))
    run("put", PLAN, "policy.json")
    assert run("shares", PLAN).output == "Service mail.example.com  docs:*  (under conditions, written by hand)\n"


def test_refused_share_prints_the_reason(run: Run) -> None:
    for arguments, reason in (
        (["docs:Get"], "expected one of"),
        (["docs:Get*", "--public"], "without wildcards"),
        (["docs:Get", "--with-account", GLOBEX], "cannot be found"),
    ):
        refused = run("share", PLAN, *arguments)
        assert refused.exit_code == 2
        assert reason in refused.output
    assert run("share", PLAN, "docs:Get*", "--public", "--wildcards").output == "*  docs:Get*\n"
