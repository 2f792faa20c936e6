"""`who-can --through-roles` agrees with STS: every role is tried from every principal and session."""

from __future__ import annotations

import json
from collections.abc import Callable

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from iam_guard.analysis.access.access_answers import AccessVerdict
from iam_guard.analysis.access.what_can import what_can
from iam_guard.analysis.access.who_can import who_can
from tests.api.conftest import ACCOUNT, ROOT_KEY, Client, Running, allow
from tests.api.sts.sts_parts import ROOT_ARN, policy, role_arn, sts_of, trusting, with_session

USER = f"arn:aws:iam::{ACCOUNT}:user/"
ROLES = {
    "Lister": ("Deployer", [allow("iam:ListUsers")]),
    "Deployer": ("*", [allow("sts:AssumeRole", role_arn("Lister"))]),
    "Circle": ("*", [allow("sts:AssumeRole", [role_arn("Deployer"), role_arn("Circle")])]),
    "Closed": ("Lister", [allow("iam:*")]),
    "Idle": ("*", []),
}
"""Name -> the role that its trust policy names (or the account), and what it may."""


@pytest.fixture
def users(iam: Client, client_for: Callable[..., Client]) -> dict[str, Client]:
    """Users with different AssumeRole permissions, and roles with others."""
    for name, (_, statements) in ROLES.items():
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trusting(ROOT_ARN, "sts:AssumeRole")))
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="Own", PolicyDocument=policy(*statements))
    for name, (trusted, _) in ROLES.items():
        if trusted != "*":
            trust = json.dumps(trusting(role_arn(trusted), "sts:AssumeRole"))
            iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
    return {
        "direct": client_for("direct", allow("iam:ListUsers")),
        "near": client_for("near", allow("sts:AssumeRole", role_arn("Deployer"))),
        "far": client_for("far", allow("sts:AssumeRole", role_arn("Circle"))),
        "closed": client_for("closed", allow("sts:AssumeRole", role_arn("Closed"))),
        "denied": client_for(
            "denied", allow("sts:*"), {"Effect": "Deny", "Action": "sts:AssumeRole", "Resource": role_arn("Deployer")}
        ),
        "idle": client_for("idle", allow("sts:AssumeRole", role_arn("Idle"))),
    }


def becomes(server: Running, iam: Client, sts: Client, seen: set[str]) -> bool:
    """Return whether a principal, or one that it can become, may list users; collect the principals in `seen`."""
    able = _lists(iam)
    for name in ROLES:
        if name not in seen:
            try:
                made = sts.assume_role(RoleArn=role_arn(name), RoleSessionName="shift")
            except ClientError:
                continue
            seen.add(name)
            able |= becomes(server, with_session(server, made, "iam"), with_session(server, made), seen)
    return able


def _lists(iam: Client) -> bool:
    try:
        iam.list_users()
    except ClientError:
        return False
    return True


def test_reported_chains_match_sts_exactly(server: Running, users: dict[str, Client]) -> None:
    found = {each.principal: each for each in who_can(server.store, "iam:ListUsers", through_roles=True)}
    for name, iam in users.items():
        seen: set[str] = set()
        able = becomes(server, iam, sts_of(server, iam), seen)
        assert found[USER + name].verdict is (AccessVerdict.ALLOWED if able else AccessVerdict.DENIED), name
        reported = what_can(server.store, USER + name, through_roles=True)
        assert {each.steps[-1].role for each in reported if each.steps} == {role_arn(each) for each in seen}, name
    assert [step.role for step in found[USER + "far"].steps] == [
        role_arn("Circle"),
        role_arn("Deployer"),
        role_arn("Lister"),
    ]


def test_root_and_anonymous_callers_assume_no_role(server: Running, iam: Client) -> None:
    """S-12; STS rejects unauthenticated callers, even if the trust policy allows `*`."""
    iam.create_role(RoleName="Open", AssumeRolePolicyDocument=json.dumps(trusting("*", "sts:AssumeRole")))
    iam.put_role_policy(RoleName="Open", PolicyName="Own", PolicyDocument=policy(allow("docs:Get")))
    config = Config(signature_version=UNSIGNED, retries={"max_attempts": 1})
    unsigned = boto3.client("sts", "us-east-1", endpoint_url=server.url, config=config)
    for client in (server.client(ROOT_KEY, "sts"), unsigned):
        with pytest.raises(ClientError):
            client.assume_role(RoleArn=role_arn("Open"), RoleSessionName="shift")
    assert not any(each.steps for each in what_can(server.store, ROOT_ARN, through_roles=True))
    chains = [each for each in who_can(server.store, "docs:Get", through_roles=True) if each.steps]
    assert {chain.kind for chain in chains} == {"other accounts"}
