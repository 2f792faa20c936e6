"""GetAccountAuthorizationDetails by boto3: everything that decides, in pages, with few statements."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from iam_guard.api.call import ApiServer
from iam_guard.api.iam.operations import IAM
from iam_guard.api.operation import OperationRequest, run
from iam_guard.api.paging import CHUNK_ROWS
from iam_guard.model.principal import Principal
from iam_guard.store.schema import identities, instance_profiles, service_uses
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, Running, allow, refusal
from tests.api.iam.policy_parts import TRUST, allowing, prepare

MEMBERS = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
NAMES = {"UserDetailList": "UserName", "GroupDetailList": "GroupName", "RoleDetailList": "RoleName"}
AWS = [
    "AdministratorAccess",
    "IAMAuditRootUserCredentials",
    "IAMCreateRootUserPassword",
    "IAMDeleteRootUserCredentials",
    "IAMFullAccess",
    "PowerUserAccess",
    "ReadOnlyAccess",
    "S3UnlockBucketPolicy",
    "SignInLocalDevelopmentAccess",
    "SQSUnlockQueuePolicy",
]
READER = f"arn:aws:iam::{ACCOUNT}:policy/x/Reader"


def document(action: str) -> Any:
    return json.loads(allowing(action))


@pytest.fixture
def account(iam: Client, server: Running) -> Client:
    """An account with one of each, and another account with the same names."""
    for account, tag in ((OTHER_ACCOUNT, "theirs"), (ACCOUNT, "ours")):
        has = {"attached": ["ReadOnlyAccess", "Reader"], "inline": {"Writer": document(f"{tag}:Write")}}
        whole = {**has, "path": "/x/", "tags": {"whose": tag}, "boundary": "Reader"}
        prepare(
            server,
            account,
            policies=[{"name": "Reader", "path": "/x/", "description": tag, "document": document(f"{tag}:Read")}],
            groups=[{"name": "Team", **has}, {"name": "empty"}],
            users=[{"name": "ada", "groups": ["Team", "empty"], **whole}],
            roles=[{"name": "App", **whole}, {"name": "plain"}],
        )
    with server.store.write_transaction() as records:
        role = records.one(identities, account=ACCOUNT, folded="app")["id"]
        for number, region in enumerate(("eu-west-1", "us-east-1", "ap-south-1")):
            use = {"identity_id": role, "service": "iam", "action": f"A{number}"}
            records.insert(service_uses, **use, at=(5, 9, 7)[number], region=region)
        profile = {"id": "AIPA" + "X" * 17, "path": "/p/", "name": "Box", "folded": "box", "tags": {"a": "b"}}
        records.insert(instance_profiles, **profile, account=ACCOUNT, role_id=role, created=3)
    return iam


def names(answer: dict[str, Any]) -> dict[str, list[str]]:
    return {
        member: [each[NAMES.get(member, "PolicyName")] for each in answer[member]]
        for member in MEMBERS
        if answer[member]
    }


EVERYTHING = {
    "UserDetailList": ["ada", "admin"],
    "GroupDetailList": ["empty", "Team"],
    "RoleDetailList": ["App", "plain"],
    "Policies": ["Reader", *AWS],
}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], EVERYTHING),
        (["User"], {"UserDetailList": EVERYTHING["UserDetailList"]}),
        (["Group"], {"GroupDetailList": EVERYTHING["GroupDetailList"]}),
        (["Role"], {"RoleDetailList": EVERYTHING["RoleDetailList"]}),
        (["LocalManagedPolicy"], {"Policies": ["Reader"]}),
        (["AWSManagedPolicy"], {"Policies": AWS}),
        (["AWSManagedPolicy", "User", "User"], {"UserDetailList": EVERYTHING["UserDetailList"], "Policies": AWS}),
        (["LocalManagedPolicy", "AWSManagedPolicy"], {"Policies": EVERYTHING["Policies"]}),
    ],
)
def test_details_filter_selects_kinds(account: Client, filters: list[str], expected: dict[str, list[str]]) -> None:
    """No filter selects all; an unknown one is rejected."""
    assert names(account.get_account_authorization_details(Filter=filters)) == expected
    with refusal("ValidationError", status=400):
        account.get_account_authorization_details(Filter=["Everything"])


def test_user_details_are_complete(account: Client) -> None:
    """Inline policies, attached ones, groups, boundary, tags."""
    ada, admin = account.get_account_authorization_details(Filter=["User"])["UserDetailList"]
    got = account.get_user(UserName="ada")["User"]
    assert ada == {
        **{member: got[member] for member in ("Path", "UserName", "UserId", "Arn", "CreateDate")},
        "UserPolicyList": [{"PolicyName": "Writer", "PolicyDocument": document("ours:Write")}],
        "GroupList": ["empty", "Team"],
        "AttachedManagedPolicies": [
            {"PolicyName": "Reader", "PolicyArn": READER},
            {"PolicyName": "ReadOnlyAccess", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
        ],
        "PermissionsBoundary": {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": READER},
        "Tags": [{"Key": "whose", "Value": "ours"}],
    }
    assert (admin["GroupList"], admin["Tags"]) == ([], [])
    assert not {"PermissionsBoundary", "UserPolicyList"} & admin.keys()


def test_group_details_are_complete(account: Client) -> None:
    """Inline policies and attached ones."""
    empty, team = account.get_account_authorization_details(Filter=["Group"])["GroupDetailList"]
    assert (team["Path"], team["Arn"]) == ("/", f"arn:aws:iam::{ACCOUNT}:group/Team")
    assert team["GroupId"].startswith("AGPA")
    assert team["GroupPolicyList"] == [{"PolicyName": "Writer", "PolicyDocument": document("ours:Write")}]
    assert [policy["PolicyName"] for policy in team["AttachedManagedPolicies"]] == ["Reader", "ReadOnlyAccess"]
    assert (empty["GroupPolicyList"], empty["AttachedManagedPolicies"]) == ([], [])


def test_role_details_are_complete(account: Client) -> None:
    """Those of users, and trust policy, instance profiles, last use (R-33)."""
    app, plain = account.get_account_authorization_details(Filter=["Role"])["RoleDetailList"]
    assert app["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/x/App"
    assert app["AssumeRolePolicyDocument"] == TRUST
    assert app["RolePolicyList"] == [{"PolicyName": "Writer", "PolicyDocument": document("ours:Write")}]
    assert [policy["PolicyName"] for policy in app["AttachedManagedPolicies"]] == ["Reader", "ReadOnlyAccess"]
    assert app["PermissionsBoundary"]["PermissionsBoundaryArn"] == READER
    assert app["Tags"] == [{"Key": "whose", "Value": "ours"}]
    assert app["RoleLastUsed"] == {"LastUsedDate": datetime.fromtimestamp(9, UTC), "Region": "us-east-1"}
    (profile,) = app["InstanceProfileList"]
    assert profile["Arn"] == f"arn:aws:iam::{ACCOUNT}:instance-profile/p/Box"
    assert profile["InstanceProfileName"] == "Box"
    assert profile["Tags"] == [{"Key": "a", "Value": "b"}]
    (inside,) = profile["Roles"]
    assert inside == {member: app[member] for member in inside}
    assert {"RoleName", "RoleId", "AssumeRolePolicyDocument"} <= inside.keys()
    assert (plain["InstanceProfileList"], plain["RoleLastUsed"], plain["Tags"]) == ([], {}, [])


def test_trust_policy_shows_the_id_of_a_deleted_principal(account: Client, server: Running) -> None:
    """P-6: so an auditor sees that it admits no principal."""
    ada = account.get_user(UserName="ada")["User"]
    trust = json.loads(json.dumps(TRUST))
    trust["Statement"]["Principal"] = {"AWS": ada["Arn"]}
    prepare(server, roles=[{"name": "trusting", "trust": trust}])

    def trusted() -> str:
        roles = account.get_account_authorization_details(Filter=["Role"])["RoleDetailList"]
        (role,) = (role for role in roles if role["RoleName"] == "trusting")
        principal: str = role["AssumeRolePolicyDocument"]["Statement"]["Principal"]["AWS"]
        return principal

    assert trusted() == ada["Arn"]
    with server.store.write_transaction() as records:
        records.delete(identities, id=ada["UserId"])
    assert trusted() == ada["UserId"]


def test_managed_policy_details_have_all_versions(account: Client) -> None:
    """Newest first, with documents; uses are counted in the own account."""
    account.create_policy_version(PolicyArn=READER, PolicyDocument=allowing("ours:Other"), SetAsDefault=True)
    reader, *of_aws = account.get_account_authorization_details(Filter=["LocalManagedPolicy", "AWSManagedPolicy"])[
        "Policies"
    ]
    assert (reader["Arn"], reader["Path"]) == (READER, "/x/")
    assert not {"Description", "Tags"} & reader.keys()
    assert reader["PolicyId"].startswith("ANPA")
    assert (reader["DefaultVersionId"], reader["AttachmentCount"]) == ("v2", 3)
    assert reader["PermissionsBoundaryUsageCount"] == 2
    versions = [
        (version["VersionId"], version["IsDefaultVersion"], version["Document"]["Statement"][0]["Action"])
        for version in reader["PolicyVersionList"]
    ]
    assert versions == [("v2", True, "ours:Other"), ("v1", False, "ours:Read")]
    counts = {policy["PolicyName"]: policy["AttachmentCount"] for policy in of_aws}
    assert counts == dict.fromkeys(AWS, 0) | {"AdministratorAccess": 1, "ReadOnlyAccess": 3}


def test_details_exclude_other_accounts(account: Client) -> None:
    """No name, id or document of them."""
    answer = json.dumps(account.get_account_authorization_details(), default=str)
    assert OTHER_ACCOUNT not in answer
    assert "theirs" not in answer


@pytest.mark.parametrize("size", [1, 2, 3, 4, 16, 17])
def test_details_pages_form_one_sequence(account: Client, size: int) -> None:
    """Pages are full, and together complete."""
    paginator = account.get_paginator("get_account_authorization_details")
    pages = list(paginator.paginate(PaginationConfig={"PageSize": size}))
    whole = account.get_account_authorization_details()
    for member in MEMBERS:
        assert [each for page in pages for each in page[member]] == whole[member]
    sizes = [sum(len(page[member]) for member in MEMBERS) for page in pages]
    assert sum(sizes) == 17
    assert set(sizes[:-1]) <= {size}


def test_details_pages_survive_writes(account: Client, server: Running) -> None:
    """Entries that exist all the time are listed once; a filter may change too."""
    first = account.get_account_authorization_details(MaxItems=3)
    assert names(first) == {"UserDetailList": ["ada", "admin"], "GroupDetailList": ["empty"]}
    prepare(server, users=[{"name": "aaron"}], groups=[{"name": "aaa"}, {"name": "new"}])
    account.delete_group_policy(GroupName="Team", PolicyName="Writer")
    second = account.get_account_authorization_details(MaxItems=3, Marker=first["Marker"])
    assert names(second) == {"GroupDetailList": ["new", "Team"], "RoleDetailList": ["App"]}
    third = account.get_account_authorization_details(Marker=second["Marker"], Filter=["User", "LocalManagedPolicy"])
    assert names(third) == {"Policies": ["Reader"]}


@contextmanager
def statements(server: Running) -> Iterator[list[str]]:
    """Record the statements of this thread; other threads write last uses meanwhile."""
    executed: list[str] = []
    me = threading.get_ident()

    def note(*call: Any) -> None:
        if threading.get_ident() == me:
            executed.append(call[2])

    event.listen(server.store.engine, "before_cursor_execute", note)
    try:
        yield executed
    finally:
        event.remove(server.store.engine, "before_cursor_execute", note)


def test_statements_per_page_do_not_depend_on_its_length(account: Client, server: Running) -> None:
    """Nor in the list operations. The size of documents is computed chunk by chunk."""
    admin = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/admin")
    operations: dict[str, dict[str, Any]] = {
        "GetAccountAuthorizationDetails": {},
        "ListPolicies": {},
        "ListEntitiesForPolicy": {"PolicyArn": READER},
        "ListAttachedRolePolicies": {"RoleName": "App"},
        "ListRolePolicies": {"RoleName": "App"},
    }

    def counted() -> dict[str, int]:
        found = {}
        for operation, parameters in operations.items():
            with statements(server) as executed:
                whole = {"MaxItems": 1000, **parameters}
                run(OperationRequest(ApiServer(server.store), IAM, operation, whole, admin, now=0), lambda _: None)
            found[operation] = len(executed)
        return found

    trust = json.loads(json.dumps(TRUST))
    trust["Statement"]["Principal"] = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/admin"}
    prepare(server, roles=[{"name": "plain", "trust": trust}])
    before = counted()
    has = {"attached": ["ReadOnlyAccess", "Reader"], "boundary": "Reader"}
    more = [{"name": f"more{number}", "inline": {"a": document("a:b"), "b": document("a:b")}} for number in range(40)]
    prepare(
        server,
        policies=[{"name": f"P{number}", "document": document("docs:Read")} for number in range(40)],
        groups=[{**each, "attached": ["Reader"]} for each in more],
        users=[{**each, **has, "groups": ["more1", "more2"]} for each in more],
        roles=[{**each, **has, "trust": trust} for each in more],
    )
    whole = account.get_account_authorization_details(MaxItems=1000)
    assert sum(len(whole[member]) for member in MEMBERS) == 17 + 4 * 40
    after = counted()
    chunks = 4 * 40 // CHUNK_ROWS + 1
    assert after.pop("GetAccountAuthorizationDetails") <= before.pop("GetAccountAuthorizationDetails") + 4 * chunks
    assert after == before


def test_details_need_permission_on_everything(server: Running, client_for: Any) -> None:
    """The operation has no resource."""
    with refusal("AccessDenied", "to perform: iam:GetAccountAuthorizationDetails because"):
        client_for("ada", allow("iam:*", f"arn:aws:iam::{ACCOUNT}:*")).get_account_authorization_details()
    bob = client_for("bob", allow("iam:GetAccountAuthorizationDetails"))
    assert names(bob.get_account_authorization_details(Filter=["User"])) == {"UserDetailList": ["ada", "admin", "bob"]}
