"""`iam-guard analyze external`: its text, its JSON, its zones of trust, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iam_guard.cli.group import main

ACME, GLOBEX, MANAGER = "111122223333", "444455556666", "999900000000"
PLAN = f"arn:aws:docs:us-east-1:{ACME}:document/plan"
NOTE = f"arn:aws:docs:us-east-1:{GLOBEX}:document/note"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["analyze", "external", *map(str, arguments)])


def resource(arn: str, principal: Any) -> dict[str, Any]:
    statement = {"Sid": "Share", "Effect": "Allow", "Principal": principal, "Action": "docs:Get", "Resource": "*"}
    return {"arn": arn, "policy": {"Version": "2012-10-17", "Statement": [statement]}}


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    """Write a seed with two accounts of an organization: a public resource, and one that the other account can read."""
    accounts = [
        {"id": MANAGER},
        {"id": ACME, "resources": [resource(PLAN, "*")]},
        {"id": GLOBEX, "resources": [resource(NOTE, {"AWS": ACME})]},
    ]
    organization = {"id": "o-exampleorg1", "management_account": MANAGER, "accounts": [ACME, GLOBEX]}
    path = tmp_path / "iam.json"
    path.write_text(json.dumps({"version": 1, "organization": organization, "accounts": accounts}), encoding="utf-8")
    return path


def test_findings_are_written_as_json(seed: Path) -> None:
    done = run("--store", seed, "--json")
    assert done.exit_code == 1
    public, shared = json.loads(done.output)["findings"]
    assert (public["resource"], public["resourceType"], public["resourceOwnerAccount"]) == (PLAN, "docs:document", ACME)
    assert (public["principal"], public["action"], public["condition"]) == ({"AWS": "*"}, ["docs:Get"], {})
    assert public["isPublic"] is True
    assert public["witness"]["request"]["principal"]["type"] == "Anonymous"
    assert public["suggestedFix"]["condition"] == {"StringEquals": {"aws:PrincipalAccount": ACME}}
    assert (shared["resource"], shared["principal"], shared["isPublic"]) == (NOTE, {"AWS": ACME}, False)


def test_findings_are_written_as_sentences(seed: Path) -> None:
    done = run("--store", seed)
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        f"public    anyone can call docs:Get on {PLAN}",
        f"          to end it, add to statement Share the condition StringEquals aws:PrincipalAccount {ACME}",
        f"external  account {ACME} can call docs:Get on {NOTE}",
        "          to end it, remove statement Share",
        "2 findings, 1 public",
    ]


def test_zone_of_trust_can_be_the_organization_or_one_account(seed: Path) -> None:
    of_organization = json.loads(run("--store", seed, "--json", "--zone", "organization").output)["findings"]
    assert [finding["resource"] for finding in of_organization] == [PLAN]
    assert of_organization[0]["suggestedFix"]["condition"] == {"StringEquals": {"aws:PrincipalOrgID": "o-exampleorg1"}}
    of_account = json.loads(run("--store", seed, "--json", "--zone", GLOBEX).output)["findings"]
    assert [finding["resource"] for finding in of_account] == [NOTE]
    none = run("--store", seed, "--json", "--zone", MANAGER)
    assert (none.exit_code, json.loads(none.output)) == (0, {"findings": []})
    assert run("--store", seed, "--zone", MANAGER).output == "0 findings, 0 public\n"


@pytest.mark.parametrize("zone", ["123", "all", "000000000000"])
def test_unknown_zone_is_an_error(seed: Path, zone: str) -> None:
    done = run("--store", seed, "--zone", zone)
    assert done.exit_code == 2
    assert zone in done.output


def test_unusable_store_is_an_error(tmp_path: Path) -> None:
    assert run("--store", tmp_path / "none.yaml").exit_code == 2
