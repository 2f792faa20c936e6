"""Trust policies: validation, and binding of principals (G-31 to G-33, G-71, P-5 to P-10)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iam_guard.model.decision import PolicyType
from iam_guard.policy.parser import parse
from iam_guard.store.schema import identities
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, OTHER_KEY, Client, Running, refusal
from tests.api.iam.identity_parts import EC2, trusting, user_arn


def save(iam: Client, document: str, name: str = "r") -> None:
    """Save a trust policy by both operations."""
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=document)


def shown(iam: Client, name: str = "r") -> Any:
    return iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]


ROOT = f"arn:aws:iam::{ACCOUNT}:root"
INVALID_PRINCIPAL = 'Invalid principal in policy: "{}":"{}"'

REFUSED: list[tuple[str, str, str]] = [
    ("not JSON", "{]", "This policy contains invalid Json"),
    ("two keys", '{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}', "This policy contains invalid Json"),
    ("no principal", trusting(None).replace('"Principal": null, ', ""), "Missing required field Principal"),
    ("resource", trusting(EC2, Resource="*"), "Has prohibited field Resource"),
    ("not principal", trusting(EC2).replace("Principal", "NotPrincipal"), "Has prohibited field NotPrincipal"),
    ("other action", trusting(EC2, "s3:GetObject"), "AssumeRole policy may only specify STS AssumeRole actions."),
    ("no such action", trusting(EC2, "sts:Invalid"), "AssumeRole policy may only specify STS AssumeRole actions."),
    ("every action", trusting(EC2, "*"), "AssumeRole policy may only specify STS AssumeRole actions."),
    ("one of two", trusting(EC2, ["sts:AssumeRole", "sts:GetCallerIdentity"]), "AssumeRole policy may only"),
    ("no user", trusting({"AWS": user_arn("none")}), INVALID_PRINCIPAL.format("AWS", user_arn("none"))),
    ("letter case", trusting({"AWS": user_arn("ADMIN")}), INVALID_PRINCIPAL.format("AWS", user_arn("ADMIN"))),
    ("other path", trusting({"AWS": user_arn("x/admin")}), INVALID_PRINCIPAL.format("AWS", user_arn("x/admin"))),
    (
        "no role",
        trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:role/admin"}),
        INVALID_PRINCIPAL.format("AWS", f"arn:aws:iam::{ACCOUNT}:role/admin"),
    ),
    (
        "other hosted account",
        trusting({"AWS": [user_arn("admin"), user_arn("none", OTHER_ACCOUNT)]}),
        INVALID_PRINCIPAL.format("AWS", user_arn("none", OTHER_ACCOUNT)),
    ),
    (
        "itself, before it is there",
        trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:role/r"}),
        INVALID_PRINCIPAL.format("AWS", f"arn:aws:iam::{ACCOUNT}:role/r"),
    ),
    ("group", trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:group/g"}), "Invalid principal in policy"),
    ("account elsewhere", trusting({"AWS": user_arn("x", "999999999999")}), "Invalid principal in policy"),
    ("partition elsewhere", trusting({"AWS": f"arn:aws-cn:iam::{ACCOUNT}:user/admin"}), "Invalid principal in policy"),
    ("session", trusting({"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/x/y"}), "Invalid principal in policy"),
    ("wildcard", trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:user/*"}), "Invalid principal in policy"),
    ("garbage", trusting({"AWS": "garbage"}), INVALID_PRINCIPAL.format("AWS", "garbage")),
    ("short account", trusting({"AWS": "11112222333"}), INVALID_PRINCIPAL.format("AWS", "11112222333")),
    ("every service", trusting({"Service": "*"}), INVALID_PRINCIPAL.format("Service", "*")),
]


@pytest.mark.parametrize(("document", "sentence"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_invalid_trust_policy_is_rejected_with_awss_message(document: str, sentence: str, iam: Client) -> None:
    """P-8, G-19: Terraform waits for `Invalid principal in policy`; nothing is created or changed."""
    with refusal("MalformedPolicyDocument", sentence, 400):
        iam.create_role(RoleName="r", AssumeRolePolicyDocument=document)
    assert iam.list_roles()["Roles"] == []
    if "role/r" not in document:
        iam.create_role(RoleName="r", AssumeRolePolicyDocument=trusting(EC2))
        with refusal("MalformedPolicyDocument", sentence, 400):
            iam.update_assume_role_policy(RoleName="r", PolicyDocument=document)
        assert shown(iam) == EC2


ACCEPTED: list[tuple[str, Any, Any]] = [
    ("service", EC2, "sts:AssumeRole"),
    ("account", {"AWS": ACCOUNT}, ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]),
    ("root of an account", {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}, "sts:AssumeRole"),
    ("root of nobody", {"AWS": "arn:aws:iam::999999999999:root"}, "sts:AssumeRole"),
    ("another account of ours", {"AWS": [user_arn("admin"), user_arn("admin", OTHER_ACCOUNT)]}, "STS:assumerole"),
    ("everybody", "*", "sts:AssumeRole"),
    ("federated user", {"AWS": f"arn:aws:sts::{ACCOUNT}:federated-user/x"}, "sts:Assume*"),
    ("unique id", {"AWS": "AIDAQ3EGTFEJTEXAMPLE1"}, "sts:*"),
    ("OIDC", {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/x.example.com"}, "sts:AssumeRoleWithWebIdentity"),
    ("SAML", {"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/x"}, "sts:AssumeRoleWithSAML"),
]


@pytest.mark.parametrize(("principal", "action"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_valid_principals_are_accepted(principal: Any, action: Any, iam: Client) -> None:
    """G-33, G-42, P-8: accounts needn't exist; documents are returned as written, but for account ids."""
    save(iam, trusting(principal, action))
    assert shown(iam) == ({"AWS": ROOT} if principal == {"AWS": ACCOUNT} else principal)


def test_trust_policy_size_is_limited(iam: Client) -> None:
    """G-71: 2,048 characters, without white space."""
    document = json.loads(trusting(EC2))
    fitting = json.dumps(document | {"Id": "x" * 1900}, indent=200)
    save(iam, fitting)
    with refusal("LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048", 409):
        save(iam, json.dumps(document | {"Id": "x" * 2048}), "other")


def test_trust_policy_is_stored_with_digest_and_bindings(iam: Client, server: Running) -> None:
    """P-5: as a seed stores it."""
    document = "\n" + trusting({"AWS": [user_arn("admin"), user_arn("admin", OTHER_ACCOUNT), ACCOUNT]})
    save(iam, document)
    with server.store.read_transaction() as records:
        row = records.one(identities, kind="role")
        ids = {record["account"]: record["id"] for record in records.all(identities, kind="user", name="admin")}
    assert row is not None
    assert row["trust_text"] == document
    assert row["trust_digest"] == parse(document, PolicyType.TRUST).digest
    expected = {user_arn("admin"): ids[ACCOUNT], user_arn("admin", OTHER_ACCOUNT): ids[OTHER_ACCOUNT]}
    assert row["trust_bindings"] == expected


def test_deleted_principal_is_shown_by_its_id(iam: Client) -> None:
    """P-6: even if its name is reused; saving binds anew."""
    id = iam.create_user(UserName="bob")["User"]["UserId"]
    document = trusting({"AWS": [user_arn("bob"), ACCOUNT]})
    save(iam, document)
    assert shown(iam) == {"AWS": [user_arn("bob"), ROOT]}
    iam.delete_user(UserName="bob")
    assert shown(iam) == {"AWS": [id, ROOT]}
    assert iam.list_roles()["Roles"][0]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"][0] == id
    iam.create_user(UserName="bob")
    assert shown(iam) == {"AWS": [id, ROOT]}
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=document)
    assert shown(iam) == {"AWS": [user_arn("bob"), ROOT]}


def test_account_id_is_shown_as_the_root_of_the_account(iam: Client, server: Running) -> None:
    """Wherever a role is read; CreateRole, the stored text and its digest have the document as written."""
    document = trusting({"AWS": ["444455556666", ROOT], "Service": "ec2.amazonaws.com"})
    made = iam.create_role(RoleName="r", AssumeRolePolicyDocument=document)["Role"]
    iam.create_instance_profile(InstanceProfileName="p")
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="r")
    assert made["AssumeRolePolicyDocument"] == json.loads(document)
    described = (
        iam.get_role(RoleName="r")["Role"],
        iam.list_roles()["Roles"][0],
        iam.get_instance_profile(InstanceProfileName="p")["InstanceProfile"]["Roles"][0],
        iam.get_account_authorization_details(Filter=["Role"])["RoleDetailList"][0],
    )
    for role in described:
        principal = role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
        assert principal == {"AWS": ["arn:aws:iam::444455556666:root", ROOT], "Service": "ec2.amazonaws.com"}
    with server.store.read_transaction() as records:
        row = records.one(identities, kind="role")
    assert row is not None
    assert (row["trust_text"], row["trust_digest"]) == (document, parse(document, PolicyType.TRUST).digest)
    sts = server.client(OTHER_KEY, "sts")
    assert sts.assume_role(RoleArn=made["Arn"], RoleSessionName="session")["Credentials"]
    saved = json.dumps(iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"])
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=saved)
    assert sts.assume_role(RoleArn=made["Arn"], RoleSessionName="session")["Credentials"]


def test_trust_policy_with_an_id_can_be_saved_again(iam: Client) -> None:
    """G-42."""
    iam.create_user(UserName="bob")
    save(iam, trusting({"AWS": user_arn("bob")}))
    iam.delete_user(UserName="bob")
    document = iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"]
    iam.create_user(UserName="bob")
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=json.dumps(document))
    assert shown(iam) == document["Statement"][0]["Principal"]


def test_deleted_role_is_shown_by_its_id(iam: Client) -> None:
    """P-6."""
    id = iam.create_role(RoleName="first", AssumeRolePolicyDocument=trusting(EC2))["Role"]["RoleId"]
    save(iam, trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:role/first"}))
    iam.delete_role(RoleName="first")
    iam.create_role(RoleName="first", AssumeRolePolicyDocument=trusting(EC2))
    assert shown(iam) == {"AWS": id}
    assert id.startswith("AROA")


def test_trust_follows_a_renamed_user(iam: Client) -> None:
    """P-10, P-9: the principal has the new ARN, an ARN in a condition stays; the old name is unbound."""
    iam.create_user(UserName="bob")
    condition = {"ArnEquals": {"aws:PrincipalArn": user_arn("bob")}}
    save(iam, trusting({"AWS": user_arn("bob")}, Condition=condition))
    iam.update_user(UserName="bob", NewUserName="rob", NewPath="/x/")
    iam.create_user(UserName="bob")
    statement = iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"]["Statement"][0]
    assert statement["Principal"] == {"AWS": user_arn("x/rob")}
    assert statement["Condition"] == condition


def test_renamed_group_changes_no_trust(iam: Client) -> None:
    """Groups are no principals; a user with a group's name is another entity."""
    iam.create_group(GroupName="admin")
    save(iam, trusting({"AWS": user_arn("admin")}))
    iam.update_group(GroupName="admin", NewGroupName="administrators")
    assert shown(iam) == {"AWS": user_arn("admin")}
