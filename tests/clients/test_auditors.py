"""cloudsplaining audits a whole account, and reports its overly broad permissions."""

from __future__ import annotations

import json
from pathlib import Path

from tests.clients.conftest import Name
from tests.clients.programs import Aws, Json, installed, run

TRUST = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
}


def test_broad_policy_is_reported_with_its_holders(
    aws: Aws, variables: dict[str, str], tmp_path: Path, name: Name
) -> None:
    """A policy that allows privilege escalation is reported by name, with its holders; a narrow one is not."""
    broad, narrow, inline = name("broad"), name("narrow"), name("inline")
    ada, staff, deployer = name("ada"), name("staff"), name("deployer")
    broad_document = policy(["iam:*", "s3:GetObject"], "*")
    narrow_arn = aws("create-policy", policy_name=narrow, policy_document=policy(["s3:GetObject"], "arn:aws:s3:::a/b"))
    broad_arn = aws("create-policy", policy_name=broad, policy_document=broad_document)
    aws("create-role", role_name=deployer, assume_role_policy_document=TRUST)
    aws("attach-role-policy", role_name=deployer, policy_arn=broad_arn["Policy"]["Arn"])
    aws("create-user", user_name=ada)
    aws("attach-user-policy", user_name=ada, policy_arn=narrow_arn["Policy"]["Arn"])
    aws("create-group", group_name=staff)
    aws("put-group-policy", group_name=staff, policy_name=inline, policy_document=broad_document)
    aws("add-user-to-group", user_name=ada, group_name=staff)

    found = audit(variables, tmp_path)

    managed = {entry["PolicyName"]: entry for entry in found["customer_managed_policies"].values()}
    assert managed[broad]["AttachedTo"]["roles"] == [deployer]
    inlined = {entry["PolicyName"]: entry for entry in found["inline_policies"].values()}
    for entry in (managed[broad], inlined[inline]):
        escalations = {finding["type"] for finding in entry["PrivilegeEscalation"]["findings"]}
        assert {"AttachUserPolicy", "CreateAccessKey", "PutRolePolicy"} <= escalations
        assert entry["DataExfiltration"]["findings"] == ["s3:GetObject"]
    assert not managed[narrow]["PrivilegeEscalation"]["findings"]
    assert not managed[narrow]["DataExfiltration"]["findings"]

    users = {entry["name"]: entry for entry in found["users"].values()}
    assert [group["name"] for group in users[ada]["groups"].values()] == [staff]
    assert list(users[ada]["customer_managed_policies"].values()) == [narrow]
    roles = {entry["name"]: entry for entry in found["roles"].values()}
    assert roles[deployer]["assume_role_policy"]["PolicyDocument"] == TRUST
    assert list(roles[deployer]["customer_managed_policies"].values()) == [broad]


def audit(variables: dict[str, str], folder: Path) -> Json:
    """Download the account, scan it, and return the results of the report."""
    program = installed("cloudsplaining")
    scan = ["scan", "--input-file", str(folder / "default.json"), "--output", str(folder), "--skip-open-report"]
    for command in (["download", "--output", str(folder)], scan):
        completed = run([program, *command], variables, folder=folder)
        assert completed.returncode == 0, completed.stderr
    return json.loads((folder / "iam-results-default.json").read_text())


def policy(actions: list[str], resource: str) -> Json:
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}
