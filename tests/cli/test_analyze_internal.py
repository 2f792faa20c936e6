"""`iam-guard analyze internal`: its text, its JSON, its zones, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iam_guard.cli.group import main

ACME, GLOBEX, MANAGER, OUTSIDE = "111122223333", "444455556666", "999900000000", "777788889999"
PLAN = f"arn:aws:docs:us-east-1:{ACME}:document/plan"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["analyze", "internal", *map(str, arguments)])


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", **one} for one in statements]}


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    """Write a seed with an organization of two accounts, and an account outside; all users may get documents."""
    office = {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}
    reader = {"inline": {"Read": document({"Action": "docs:Get*"})}}
    shared = {"Action": "docs:GetDocument", "Principal": {"AWS": [GLOBEX, OUTSIDE]}}
    writer = {"inline": {"Write": document({"Action": "docs:PutDocument", "Condition": office})}}
    accounts = [
        {"id": MANAGER},
        {
            "id": ACME,
            "users": [{"name": "ada", **reader}, {"name": "carl", **writer}, {"name": "none"}],
            "resources": [{"arn": PLAN, "policy": document(shared)}],
        },
        {"id": GLOBEX, "users": [{"name": "gus", **reader}]},
        {"id": OUTSIDE, "users": [{"name": "olaf", **reader}]},
    ]
    organization = {"id": "o-exampleorg1", "management_account": MANAGER, "accounts": [ACME, GLOBEX]}
    path = tmp_path / "iam.json"
    path.write_text(json.dumps({"version": 1, "organization": organization, "accounts": accounts}), encoding="utf-8")
    return path


def test_access_is_written_as_sentences(seed: Path) -> None:
    """Of its organization; the account outside is not of the zone."""
    done = run(PLAN, "--store", seed)
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        f"account       arn:aws:iam::{ACME}:user/ada can call docs:Get*, docs:GetDocument on {PLAN}",
        f"account       arn:aws:iam::{ACME}:user/carl can call docs:PutDocument on {PLAN} "
        "if aws:SourceIp is 203.0.113.0/24",
        f"organization  arn:aws:iam::{GLOBEX}:user/gus can call docs:GetDocument on {PLAN}",
        "3 findings, 3 principals",
    ]


def test_access_is_written_as_json(seed: Path) -> None:
    done = run(PLAN, "--store", seed, "--json")
    assert done.exit_code == 1
    *_, gus = json.loads(done.output)["findings"]
    assert gus == {
        "findingType": "InternalAccess",
        "resource": PLAN,
        "resourceType": "docs:document",
        "resourceOwnerAccount": ACME,
        "principal": {"AWS": f"arn:aws:iam::{GLOBEX}:user/gus"},
        "principalType": "IAM_USER",
        "principalOwnerAccount": GLOBEX,
        "action": ["docs:GetDocument"],
        "condition": {},
        "accessType": "INTRA_ORG",
        "serviceControlPolicyRestriction": "NOT_APPLICABLE",
        "resourceControlPolicyRestriction": "NOT_APPLICABLE",
    }


def test_zone_can_be_the_account(seed: Path) -> None:
    done = run(PLAN, "--store", seed, "--zone", "account", "--json")
    assert [finding["accessType"] for finding in json.loads(done.output)["findings"]] == ["INTRA_ACCOUNT"] * 2


def test_resource_without_access_exits_with_zero(seed: Path) -> None:
    done = run(f"arn:aws:docs:us-east-1:{GLOBEX}:folder/x", "--store", seed, "--json")
    assert [finding["principal"]["AWS"] for finding in json.loads(done.output)["findings"]] == [
        f"arn:aws:iam::{GLOBEX}:user/gus"
    ]
    done = run(f"arn:aws:docs:us-east-1:{MANAGER}:folder/x", "--store", seed)
    assert (done.exit_code, done.output) == (0, "0 findings, 0 principals\n")


@pytest.mark.parametrize(
    "resource", ["plan", "*", f"arn:aws:docs:us-east-1:{ACME}:document/*", "arn:aws:docs:us-east-1:123456789012:x"]
)
def test_unknown_resource_is_an_error(seed: Path, resource: str) -> None:
    done = run(resource, "--store", seed)
    assert done.exit_code == 2
    assert "expected" in done.output
