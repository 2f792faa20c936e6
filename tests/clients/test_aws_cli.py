"""The `aws` command manages identities as in AWS: its output, exit codes and error messages."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.clients.conftest import Name
from tests.clients.programs import Aws
from tests.clients.serving import Server

READ_DOCS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:Get*", "Resource": "*"}]}
ALL_DOCS = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "docs:*", "Resource": "*"}}
ODD_DOCUMENT = {
    "Version": "2012-10-17",
    "Statement": {
        "Sid": "Odd",
        "Effect": "Deny",
        "Action": "docs:*",
        "Resource": "arn:aws:docs:*:*:a b+c%2F/é/${aws:username}",
        "Condition": {"StringEquals": {"aws:PrincipalTag/team": "<\"'&>"}},
    },
}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def test_user_lifecycle(aws: Aws, server: Server, name: Name) -> None:
    """A user is created, waited for, fetched, renamed with the same id, and deleted."""
    ada, eve = name("ada"), name("eve")
    tags = [{"Key": "empty", "Value": ""}, {"Key": "team", "Value": "docs"}]  # lists of tags are sorted by key
    created = aws("create-user", user_name=ada, path="/staff/", tags=tags)["User"]
    assert created["Arn"] == server.arn(f"user/staff/{ada}")
    assert re.fullmatch("AIDA[A-Z2-7]{17}", created["UserId"])
    assert is_recent(created["CreateDate"])
    assert (created["Path"], created["UserName"], created["Tags"]) == ("/staff/", ada, tags)

    aws("wait", "user-exists", user_name=ada)
    assert aws("get-user", user_name=ada)["User"] == created
    assert aws("list-user-tags", user_name=ada)["Tags"] == tags

    aws("update-user", user_name=ada, new_user_name=eve, new_path="/")
    renamed = aws("get-user", user_name=eve)["User"]
    assert (renamed["UserId"], renamed["Arn"]) == (created["UserId"], server.arn(f"user/{eve}"))

    aws("delete-user", user_name=eve)
    for deleted in (ada, eve):
        assert aws.refused("get-user", user_name=deleted) == (
            "An error occurred (NoSuchEntity) when calling the GetUser operation: "
            f"The user with name {deleted} cannot be found."
        )


def test_users_are_listed_in_pages(aws: Aws, name: Name) -> None:
    """Pages of the requested size, of client and server; a token continues after a page."""
    path = f"/{name('paged')}/"
    users = [name(word) for word in ("a", "b", "c", "d", "e")]
    for user in users:
        aws("create-user", user_name=user, path=path)

    for options in ([], ["--page-size", "2"]):
        first = aws("list-users", *options, path_prefix=path, max_items=3)
        assert [user["UserName"] for user in first["Users"]] == users[:3]
        rest = aws("list-users", *options, path_prefix=path, starting_token=first["NextToken"])
        assert [user["UserName"] for user in rest["Users"]] == users[3:]
        assert "NextToken" not in rest

    page = aws("list-users", "--no-paginate", path_prefix=path, max_items=2)
    assert (len(page["Users"]), page["IsTruncated"]) == (2, True)
    page = aws("list-users", "--no-paginate", path_prefix=path, marker=page["Marker"])
    assert (len(page["Users"]), page["IsTruncated"]) == (3, False)
    assert aws("list-users", "--query", "Users[].Path", path_prefix=path) == [path] * 5


def test_group_lifecycle(aws: Aws, server: Server, name: Name) -> None:
    """A group with members cannot be deleted."""
    ada, editors = name("ada"), name("editors")
    user = aws("create-user", user_name=ada)["User"]
    group = aws("create-group", group_name=editors)["Group"]
    assert re.fullmatch("AGPA[A-Z2-7]{17}", group["GroupId"])
    assert group["Arn"] == server.arn(f"group/{editors}")
    assert "(EntityAlreadyExists)" in aws.refused("create-group", group_name=editors)

    aws("add-user-to-group", user_name=ada, group_name=editors)
    fetched = aws("get-group", group_name=editors)
    assert (fetched["Group"], [member["UserId"] for member in fetched["Users"]]) == (group, [user["UserId"]])
    assert aws("list-groups-for-user", user_name=ada)["Groups"] == [group]
    assert group in aws("list-groups")["Groups"]

    assert "(DeleteConflict) when calling the DeleteGroup operation" in aws.refused("delete-group", group_name=editors)
    assert "(DeleteConflict) when calling the DeleteUser operation" in aws.refused("delete-user", user_name=ada)
    aws("remove-user-from-group", user_name=ada, group_name=editors)
    aws("delete-group", group_name=editors)
    aws("delete-user", user_name=ada)
    assert "(NoSuchEntity)" in aws.refused("get-group", group_name=editors)


def test_role_lifecycle(aws: Aws, server: Server, name: Name) -> None:
    """Trust policy, policies and tags of a role are returned as they were written."""
    auditor, policy = name("auditor"), name("read-docs")
    created = aws("create-role", role_name=auditor, assume_role_policy_document=TRUST, description="reads")["Role"]
    assert re.fullmatch("AROA[A-Z2-7]{17}", created["RoleId"])
    assert created["AssumeRolePolicyDocument"] == TRUST
    role = aws("get-role", role_name=auditor)["Role"]
    assert (role["Description"], role["MaxSessionDuration"]) == ("reads", 3600)
    assert role["AssumeRolePolicyDocument"] == TRUST
    aws("wait", "role-exists", role_name=auditor)

    arn = aws("create-policy", policy_name=policy, policy_document=READ_DOCS)["Policy"]["Arn"]
    aws("attach-role-policy", role_name=auditor, policy_arn=arn)
    attached = aws("list-attached-role-policies", role_name=auditor)["AttachedPolicies"]
    assert attached == [{"PolicyName": policy, "PolicyArn": arn}]
    entities = aws("list-entities-for-policy", policy_arn=arn)
    assert [role["RoleName"] for role in entities["PolicyRoles"]] == [auditor]
    assert "(DeleteConflict)" in aws.refused("delete-role", role_name=auditor)

    aws("tag-role", role_name=auditor, tags=[{"Key": "team", "Value": "a"}, {"Key": "cost", "Value": "1"}])
    aws("tag-role", role_name=auditor, tags=[{"Key": "team", "Value": "b"}])
    aws("untag-role", role_name=auditor, tag_keys=["cost"])
    assert aws("list-role-tags", role_name=auditor)["Tags"] == [{"Key": "team", "Value": "b"}]

    aws("update-role", role_name=auditor, max_session_duration=7200)
    assert aws("get-role", role_name=auditor)["Role"]["MaxSessionDuration"] == 7200
    wrong = dict(TRUST, Statement=[{"Effect": "Perhaps"}])
    refused = aws.refused("update-assume-role-policy", role_name=auditor, policy_document=wrong)
    assert "(MalformedPolicyDocument) when calling the UpdateAssumeRolePolicy operation" in refused
    unknown_principal = {"Effect": "Allow", "Principal": {"AWS": server.arn("user/nobody")}, "Action": "sts:AssumeRole"}
    refused = aws.refused(
        "update-assume-role-policy", role_name=auditor, policy_document=dict(TRUST, Statement=unknown_principal)
    )
    assert "(MalformedPolicyDocument)" in refused
    assert "Invalid principal in policy" in refused

    aws("detach-role-policy", role_name=auditor, policy_arn=arn)
    aws("delete-role", role_name=auditor)
    aws("delete-policy", policy_arn=arn)
    assert "(NoSuchEntity)" in aws.refused("get-role", role_name=auditor)
    assert "(NoSuchEntity)" in aws.refused("get-policy", policy_arn=arn)


def test_managed_policy_versions(aws: Aws, server: Server, name: Name) -> None:
    """A managed policy has up to five versions; only the default version cannot be deleted."""
    policy, path = name("docs"), f"/{name('team')}/"
    created = aws("create-policy", policy_name=policy, path=path, policy_document=READ_DOCS)["Policy"]
    arn = server.arn(f"policy{path}{policy}")
    assert re.fullmatch("ANPA[A-Z2-7]{17}", created["PolicyId"])
    assert (created["Arn"], created["DefaultVersionId"], created["AttachmentCount"]) == (arn, "v1", 0)
    assert created["IsAttachable"] is True

    second = aws("create-policy-version", "--set-as-default", policy_arn=arn, policy_document=ODD_DOCUMENT)
    assert (second["PolicyVersion"]["VersionId"], second["PolicyVersion"]["IsDefaultVersion"]) == ("v2", True)
    for version, document in (("v1", READ_DOCS), ("v2", ODD_DOCUMENT)):
        fetched = aws("get-policy-version", policy_arn=arn, version_id=version)["PolicyVersion"]
        assert (fetched["Document"], fetched["IsDefaultVersion"]) == (document, version == "v2")
    assert aws("get-policy", policy_arn=arn)["Policy"]["DefaultVersionId"] == "v2"

    for _ in range(3):
        aws("create-policy-version", policy_arn=arn, policy_document=ALL_DOCS)
    refused = aws.refused("create-policy-version", policy_arn=arn, policy_document=ALL_DOCS)
    assert "(LimitExceeded) when calling the CreatePolicyVersion operation" in refused
    versions = aws("list-policy-versions", policy_arn=arn)["Versions"]
    assert [version["VersionId"] for version in versions] == ["v5", "v4", "v3", "v2", "v1"]

    assert "(DeleteConflict)" in aws.refused("delete-policy", policy_arn=arn)
    assert "(DeleteConflict)" in aws.refused("delete-policy-version", policy_arn=arn, version_id="v2")
    for version in ("v1", "v3", "v4", "v5"):
        aws("delete-policy-version", policy_arn=arn, version_id=version)
    listed = aws("list-policies", scope="Local", path_prefix=path)["Policies"]
    assert [policy["Arn"] for policy in listed] == [arn]
    aws("delete-policy", policy_arn=arn)
    assert "(NoSuchEntity)" in aws.refused("get-policy-version", policy_arn=arn, version_id="v2")

    refused = aws.refused("create-policy", policy_name=policy, policy_document="{}")
    assert "(MalformedPolicyDocument) when calling the CreatePolicy operation" in refused
    full = aws("get-policy", policy_arn="arn:aws:iam::aws:policy/AdministratorAccess")["Policy"]
    assert full["PolicyName"] == "AdministratorAccess"


def test_inline_policy_lifecycle(aws: Aws, name: Name) -> None:
    """The document is returned unchanged, and the user cannot be deleted before its policy."""
    ada = name("ada")
    aws("create-user", user_name=ada)
    aws("put-user-policy", user_name=ada, policy_name="Docs", policy_document=READ_DOCS)
    aws("put-user-policy", user_name=ada, policy_name="Docs", policy_document=ODD_DOCUMENT)
    fetched = aws("get-user-policy", user_name=ada, policy_name="Docs")
    assert fetched == {"UserName": ada, "PolicyName": "Docs", "PolicyDocument": ODD_DOCUMENT}
    assert aws("list-user-policies", user_name=ada)["PolicyNames"] == ["Docs"]

    assert "(DeleteConflict)" in aws.refused("delete-user", user_name=ada)
    aws("delete-user-policy", user_name=ada, policy_name="Docs")
    for operation in ("get-user-policy", "delete-user-policy"):
        assert "(NoSuchEntity)" in aws.refused(operation, user_name=ada, policy_name="Docs")
    aws("delete-user", user_name=ada)


def test_access_key_lifecycle(aws: Aws, name: Name) -> None:
    """A key authenticates its user immediately, is refused while inactive, and a third one cannot be created."""
    ada = name("ada")
    aws("create-user", user_name=ada)
    key = aws("create-access-key", user_name=ada)["AccessKey"]
    assert re.fullmatch("AKIA[A-Z2-7]{16}", key["AccessKeyId"])
    assert (len(key["SecretAccessKey"]), key["Status"], key["UserName"]) == (40, "Active", ada)
    allow(aws, ada, "iam:GetUser", "iam:ListAccessKeys")
    as_ada = aws.as_key(key)
    assert as_ada("get-user")["User"]["UserName"] == ada

    other = aws("create-access-key", user_name=ada)["AccessKey"]
    refused = aws.refused("create-access-key", user_name=ada)
    assert "(LimitExceeded)" in refused
    assert refused.endswith("Cannot exceed quota for AccessKeysPerUser: 2")
    listed = as_ada("list-access-keys")["AccessKeyMetadata"]
    assert {(entry["AccessKeyId"], entry["UserName"]) for entry in listed} == {
        (key["AccessKeyId"], ada),
        (other["AccessKeyId"], ada),
    }
    assert all("SecretAccessKey" not in entry for entry in listed)
    used = aws("get-access-key-last-used", access_key_id=key["AccessKeyId"])
    assert (used["UserName"], used["AccessKeyLastUsed"]["ServiceName"]) == (ada, "iam")

    which = {"user_name": ada, "access_key_id": key["AccessKeyId"]}
    aws("update-access-key", status="Inactive", **which)
    assert as_ada.refused("get-user") == (
        "An error occurred (InvalidClientTokenId) when calling the GetUser operation: "
        "The security token included in the request is invalid."
    )
    aws("update-access-key", status="Active", **which)
    assert as_ada("get-user")["User"]["UserName"] == ada
    aws("delete-access-key", **which)
    assert "(InvalidClientTokenId)" in as_ada.refused("get-user")
    assert "(NoSuchEntity)" in aws.refused("delete-access-key", **which)


def test_user_without_permission_is_denied(aws: Aws, server: Server, name: Name) -> None:
    """A user can do what a policy allows; all other operations return AWS's error message."""
    rita, ada = name("rita"), name("ada")
    aws("create-user", user_name=rita)
    aws("create-user", user_name=ada)
    as_rita = aws.as_key(aws("create-access-key", user_name=rita)["AccessKey"])
    for operation, action, resource, parameters in (
        ("list-users", "ListUsers", server.arn("user/"), {}),
        ("get-user", "GetUser", server.arn(f"user/{ada}"), {"user_name": ada}),
        ("create-user", "CreateUser", server.arn(f"user/{name('new')}"), {"user_name": name("new")}),
    ):
        assert as_rita.refused(operation, **parameters) == (
            f"An error occurred (AccessDenied) when calling the {action} operation: "
            f"User: {server.arn(f'user/{rita}')} is not authorized to perform: iam:{action} on resource: {resource} "
            f"because no identity-based policy allows the iam:{action} action"
        )
    assert "(NoSuchEntity)" in aws.refused("get-user", user_name=name("new"))

    allow(aws, rita, "iam:GetUser", resource=server.arn(f"user/{rita}"))
    assert as_rita("get-user", user_name=rita)["User"]["UserName"] == rita
    assert "(AccessDenied)" in as_rita.refused("get-user", user_name=ada)


def test_account_summary_alias_and_password_policy(aws: Aws, server: Server, name: Name) -> None:
    """The summary counts users; an account has at most one alias, and a password policy with AWS's defaults."""
    before = aws("get-account-summary")["SummaryMap"]
    aws("create-user", user_name=name("ada"))
    after = aws("get-account-summary")["SummaryMap"]
    assert after["Users"] - before["Users"] == 1
    assert (after["UsersQuota"], after["AccessKeysPerUserQuota"], after["VersionsPerPolicyQuota"]) == (5000, 2, 5)

    alias = name("acme")
    aws("create-account-alias", account_alias=alias)
    assert aws("list-account-aliases")["AccountAliases"] == [alias]
    aws("delete-account-alias", account_alias=alias)
    assert aws("list-account-aliases")["AccountAliases"] == []

    aws("update-account-password-policy", "--require-symbols", minimum_password_length=12, max_password_age=90)
    policy = aws("get-account-password-policy")["PasswordPolicy"]
    assert policy | {"HardExpiry": False} == {
        "MinimumPasswordLength": 12,
        "RequireSymbols": True,
        "RequireNumbers": False,
        "RequireUppercaseCharacters": False,
        "RequireLowercaseCharacters": False,
        "AllowUsersToChangePassword": False,
        "ExpirePasswords": True,
        "MaxPasswordAge": 90,
        "HardExpiry": False,
    }
    aws("delete-account-password-policy")
    refused = aws.refused("get-account-password-policy")
    assert "(NoSuchEntity)" in refused
    assert refused.endswith(f"The Password Policy with domain name {server.account} cannot be found.")


def test_instance_profile_lifecycle(aws: Aws, server: Server, name: Name) -> None:
    """A role in an instance profile cannot be deleted."""
    web = name("web")
    role = aws("create-role", role_name=web, assume_role_policy_document=TRUST)["Role"]
    created = aws("create-instance-profile", instance_profile_name=web)["InstanceProfile"]
    assert (created["Arn"], created["Roles"]) == (server.arn(f"instance-profile/{web}"), [])
    aws("add-role-to-instance-profile", instance_profile_name=web, role_name=web)
    aws("wait", "instance-profile-exists", instance_profile_name=web)
    fetched = aws("get-instance-profile", instance_profile_name=web)["InstanceProfile"]
    assert [role_of_profile["Arn"] for role_of_profile in fetched["Roles"]] == [role["Arn"]]
    assert "(DeleteConflict)" in aws.refused("delete-role", role_name=web)
    aws("remove-role-from-instance-profile", instance_profile_name=web, role_name=web)
    aws("delete-instance-profile", instance_profile_name=web)
    aws("delete-role", role_name=web)


def test_simulation_agrees_with_the_evaluator(aws: Aws, name: Name) -> None:
    """And returns the matched policies."""
    ada = name("ada")
    user = aws("create-user", user_name=ada)["User"]
    secret = {"Effect": "Deny", "Action": "docs:*", "Resource": "arn:aws:docs:::secret"}
    document = dict(READ_DOCS, Statement=[*READ_DOCS["Statement"], secret])
    aws("put-user-policy", user_name=ada, policy_name="Docs", policy_document=document)
    for action, resource, decision, matched_policies in (
        ("docs:GetDocument", "arn:aws:docs:::plan", "allowed", [f"user_{ada}_Docs"]),
        ("docs:GetDocument", "arn:aws:docs:::secret", "explicitDeny", [f"user_{ada}_Docs"]),
        ("docs:PutDocument", "arn:aws:docs:::plan", "implicitDeny", []),
    ):
        parameters: dict[str, Any] = {"action_names": [action], "resource_arns": [resource]}
        simulated = aws("simulate-principal-policy", policy_source_arn=user["Arn"], **parameters)
        [result] = simulated["EvaluationResults"]
        assert (result["EvalActionName"], result["EvalResourceName"]) == (action, resource)
        assert result["EvalDecision"] == decision
        assert sorted({statement["SourcePolicyId"] for statement in result["MatchedStatements"]}) == matched_policies


def test_simulation_of_a_document_reports_missing_keys(aws: Aws) -> None:
    """A document alone can be simulated with a context; the result has the missing keys.

    Positions are after the bracket that opens the first statement, and after the one that closes it.
    """
    owned = {"StringEquals": {"docs:Owner": "ada"}}
    document = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": "docs:*", "Resource": "*", "Condition": owned},
    }
    text = json.dumps(document)
    parameters: dict[str, Any] = {"policy_input_list": [text], "action_names": ["docs:GetDocument"]}
    [result] = aws("simulate-custom-policy", **parameters)["EvaluationResults"]
    assert (result["EvalDecision"], result["MissingContextValues"]) == ("implicitDeny", ["docs:Owner"])
    ada = {"ContextKeyName": "docs:Owner", "ContextKeyType": "string", "ContextKeyValues": ["ada"]}
    [result] = aws("simulate-custom-policy", context_entries=[ada], **parameters)["EvaluationResults"]
    assert (result["EvalDecision"], result["MissingContextValues"]) == ("allowed", [])
    [matched] = result["MatchedStatements"]
    assert matched == {
        "SourcePolicyId": "PolicyInputList.1",
        "SourcePolicyType": "IAM Policy",
        "StartPosition": {"Line": 1, "Column": text.index('{"Effect') + 2},
        "EndPosition": {"Line": 1, "Column": len(text)},
    }
    missed = aws("get-context-keys-for-custom-policy", policy_input_list=[text])
    assert missed == {"ContextKeyNames": ["docs:Owner"]}


def allow(aws: Aws, user: str, *actions: str, resource: str = "*") -> None:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    document = {"Version": "2012-10-17", "Statement": statement}
    aws("put-user-policy", user_name=user, policy_name="Allowed", policy_document=document)


def is_recent(moment: str) -> bool:
    return abs(datetime.now(UTC) - datetime.fromisoformat(moment)) < timedelta(minutes=5)
