"""`iam-guard analyze unused`: its text, its JSON, its trails, its exit codes."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iam_guard.cli.group import main
from iam_guard.settings import Settings
from iam_guard.store.credentials.last_used_rows import ServiceUse
from iam_guard.store.opening import create_store
from iam_guard.store.schema import identities
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.analysis.activity.records import decided

ACME = "111122223333"
ADA, OPS, OLD = (f"arn:aws:iam::{ACME}:{name}" for name in ("user/ada", "role/ops", "role/old"))
DAY = 24 * 60 * 60


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["analyze", "unused", *map(str, arguments)])


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Create a store with a user who used one of two permissions, and two roles, one of them tagged."""
    statement = {"Effect": "Allow", "Action": ["docs:Get", "mail:Send"], "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    trusting = {"Effect": "Allow", "Principal": {"AWS": ACME}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [trusting]}
    roles = [{"name": "ops", "trust": trust, "tags": {"team": "blue"}}, {"name": "old", "trust": trust}]
    account: dict[str, Any] = {"id": ACME, "users": [{"name": "ada", "inline": {"P": policy}}], "roles": roles}
    url = f"sqlite:///{tmp_path}/iam.db"
    with closing(create_store(url, Settings())) as opened:
        apply_seed(opened, load_seed_text(json.dumps({"version": 1, "accounts": [account]})))
        with opened.write_transaction() as records:
            records.update(identities, {"created": int(time.time()) - 400 * DAY})
            [ada] = records.all(identities, name="ada")
        opened.save_uses([ServiceUse(ada["id"], "docs", "Get", int(time.time()) - DAY, "r")])
    return url


def test_findings_are_written_as_sentences(store: str) -> None:
    done = run("--store", store, "--recommend")
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert lines[:3] == [
        f"{OLD} was never used",
        f"{OPS} was never used",
        f"{ADA}: the permissions for mail were never used",
    ]
    assert lines[3] == "  to end it, replace the policy P with"
    assert '          "docs:Get"' in [line[2:] for line in lines[4:]]
    assert lines[-1] == "3 findings"


def test_findings_are_written_as_json(store: str) -> None:
    done = run("--store", store, "--recommend", "--json", "--exclude-tag", "team")
    assert done.exit_code == 1
    written = json.loads(done.output)
    role, permission = written["findings"]
    assert (role["findingType"], role["resource"], role["resourceType"]) == ("UnusedIAMRole", OLD, "AWS::IAM::Role")
    assert (permission["serviceNamespace"], permission["actions"]) == ("mail", [])
    [recommendation] = written["recommendations"]
    assert [step["recommendedAction"] for step in recommendation["recommendedSteps"]] == ["CREATE_POLICY"]


def test_excluded_account_has_no_findings(store: str) -> None:
    done = run("--store", store, "--exclude-account", ACME)
    assert (done.exit_code, done.output) == (0, "0 findings\n")


def test_uses_in_a_file_of_records_count(store: str, tmp_path: Path) -> None:
    """A broken line makes the result incomplete."""
    with closing(create_store(store, Settings())) as opened, opened.read_transaction() as records:
        [ops] = records.all(identities, name="ops")
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    record = decided("docs:Get")
    record["eventTime"] = now
    record["userIdentity"] = {"type": "AssumedRole", "principalId": f"{ops['id']}:s"}
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    done = run("--store", store, "--trail", path)
    assert (done.exit_code, OPS in done.output, OLD in done.output) == (1, False, True)
    path.write_text("{\n", encoding="utf-8")
    assert run("--store", store, "--trail", path).exit_code == 2


@pytest.mark.parametrize("age", ["0", "366", "x"])
def test_invalid_age_is_refused(store: str, age: str) -> None:
    assert run("--store", store, "--age", age).exit_code == 2


def test_seed_is_reported_as_new(tmp_path: Path) -> None:
    """No findings of a seed does not mean that everything is used."""
    seed = tmp_path / "iam.json"
    seed.write_text(json.dumps({"version": 1, "accounts": [{"id": ACME, "users": [{"name": "ada"}]}]}))
    result = run("--store", seed, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"findings": []})
    assert "a seed is new whenever it is read" in result.stderr
