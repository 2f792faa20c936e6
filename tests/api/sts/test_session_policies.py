"""Session policies of role sessions and federated users: validated, frozen, limiting."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, Running, allow, refusal
from tests.api.sts.sts_parts import admin_sts, make_role, policy, role_arn, with_session

READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def assume(sts: Client, **more: Any) -> Any:
    return sts.assume_role(RoleArn=role_arn(), RoleSessionName="shift", **more)


@pytest.fixture
def sts(server: Running, iam: Client) -> Client:
    """The administrator, and a role with every permission."""
    make_role(iam)
    return admin_sts(server)


def test_session_policies_limit(server: Running, sts: Client) -> None:
    """E-32: the intersection with the role's permissions."""
    made = assume(sts, Policy=policy(allow("iam:ListUsers")))
    assert 0 < made["PackedPolicySize"] <= 100
    limited = with_session(server, made, "iam")
    assert limited.list_users()["Users"]
    with refusal("AccessDenied", "because no session policy allows the iam:ListRoles action"):
        limited.list_roles()


def test_session_policies_grant_nothing(server: Running, iam: Client, sts: Client) -> None:
    """S-41."""
    iam.detach_role_policy(RoleName="worker", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    with refusal("AccessDenied"):
        with_session(server, assume(sts, Policy=policy(allow("*"))), "iam").list_users()


def test_managed_session_policies_are_frozen(server: Running, iam: Client, sts: Client) -> None:
    """E-34; their default versions at the time of issue."""
    document = policy(allow("iam:CreateUser"))
    own = iam.create_policy(PolicyName="own", PolicyDocument=document)["Policy"]["Arn"]
    made = assume(sts, PolicyArns=[{"arn": READ_ONLY}, {"arn": own}])
    iam.delete_policy(PolicyArn=own)
    limited = with_session(server, made, "iam")
    assert limited.list_users()["Users"]
    assert limited.create_user(UserName="zoe")
    with refusal("AccessDenied", "because no session policy"):
        limited.delete_user(UserName="zoe")


def test_managed_session_policies_are_the_roles_accounts_or_awss(other_account: Client, sts: Client) -> None:
    theirs = other_account.create_policy(PolicyName="theirs", PolicyDocument=policy(allow("*")))["Policy"]["Arn"]
    assert theirs.split(":")[4] == OTHER_ACCOUNT
    for arn in (theirs, f"arn:aws:iam::{ACCOUNT}:policy/missing", "x" * 20):
        with refusal("ValidationError", f"Policy {arn} does not exist or is not attachable.", 400):
            assume(sts, PolicyArns=[{"arn": arn}])
    with refusal("ValidationError", "less than or equal to 10"):
        assume(sts, PolicyArns=[{"arn": f"arn:aws:iam::{ACCOUNT}:policy/p{n}"} for n in range(11)])


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[]",
        policy({"Effect": "Allow", "Action": "*"}),
        policy(allow("*") | {"Principal": "*"}),
        policy(allow("no-colon")),
    ],
)
def test_malformed_session_policies_are_rejected(sts: Client, document: str) -> None:
    """G-30."""
    for call in (
        lambda: assume(sts, Policy=document),
        lambda: sts.get_federation_token(Name="app", Policy=document),
    ):
        with refusal("MalformedPolicyDocument", "", 400):
            call()


def test_too_large_session_policies_are_rejected(sts: Client) -> None:
    """G-73: the document and the ARNs together, with white space."""
    document = policy(allow("iam:ListUsers"))
    fitting = document + " " * (2048 - len(document))
    assert assume(sts, Policy=fitting)
    sentence = "% of allotted space, please use smaller policy."
    with refusal("PackedPolicyTooLarge", f"Packed policy consumes 101{sentence}", 400):
        assume(sts, Policy=fitting + " ")
    with refusal("PackedPolicyTooLarge", sentence, 400):
        assume(sts, Policy=fitting, PolicyArns=[{"arn": READ_ONLY}])


def test_too_large_session_tags_are_rejected(sts: Client) -> None:
    """S-40: together larger than a token."""
    letters = random.Random(1)
    tags = [{"Key": f"k{n}", "Value": f"{letters.getrandbits(1024):0256x}"} for n in range(50)]
    with refusal("PackedPolicyTooLarge", "Packed size of session tags consumes ", 400):
        assume(sts, Tags=tags)
