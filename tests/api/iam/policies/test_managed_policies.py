"""Managed policies by boto3: G-12, G-13, G-18, G-19, G-70, G-74, G-75, G-77, R-11."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from botocore.handlers import json_decode_policies

from iam_guard.store.quotas import QUOTAS
from iam_guard.store.schema import policies, policy_versions
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, Running, allow, refusal
from tests.api.iam.policy_parts import allowing, holders, prepare

DOCUMENT = allowing("docs:Read")
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def arn_of(name: str, path: str = "/", account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:policy{path}{name}"


def make(iam: Client, name: str, **more: Any) -> str:
    arn: str = iam.create_policy(PolicyName=name, PolicyDocument=DOCUMENT, **more)["Policy"]["Arn"]
    return arn


def names(iam: Client, **more: Any) -> list[str]:
    return [policy["PolicyName"] for policy in iam.list_policies(**more)["Policies"]]


# --- creation ----------------------------------------------------------------------------------------------------


def test_policy_is_created_with_its_first_version(iam: Client) -> None:
    """Only GetPolicy returns the description, and an empty list of tags."""
    tags = [{"Key": "team", "Value": "red"}]
    made = iam.create_policy(
        PolicyName="Reader", PolicyDocument=DOCUMENT, Path="/docs/", Description="reads", Tags=tags
    )["Policy"]
    assert made["Arn"] == arn_of("Reader", "/docs/")
    assert made["PolicyId"].startswith("ANPA")
    assert len(made["PolicyId"]) == 21
    assert (made["Path"], made["DefaultVersionId"], made["IsAttachable"]) == ("/docs/", "v1", True)
    assert (made["AttachmentCount"], made["PermissionsBoundaryUsageCount"]) == (0, 0)
    assert made["CreateDate"] == made["UpdateDate"]
    assert ("Description" in made, made["Tags"]) == (False, tags)
    got = iam.get_policy(PolicyArn=made["Arn"])["Policy"]
    assert got == made | {"Description": "reads"}
    plain = iam.create_policy(PolicyName="Plain", PolicyDocument=DOCUMENT)["Policy"]
    assert not {"Description", "Tags"} & plain.keys()
    assert iam.get_policy(PolicyArn=plain["Arn"])["Policy"] == plain | {"Tags": []}


@pytest.mark.over_http
def test_document_is_returned_as_written(iam: Client, server: Running) -> None:
    """Blanks, line ends and letters up to U+00FF; percent-encoded by RFC 3986."""
    text = (
        '\t{ "Version":"2012-10-17",\r\n\n"Statement" : {"Effect":"Allow", '
        '"Action":"docs:Re\\u0061d","Resource":"arn:aws:docs:::é+ %2B/ÿ"} } '
    )
    arn = iam.create_policy(PolicyName="Odd", PolicyDocument=text)["Policy"]["Arn"]
    with server.store.read_transaction() as records:
        assert records.one(policy_versions, policy_id=records.one(policies, folded="odd")["id"])["text"] == text
    iam.meta.events.unregister("after-call.iam", json_decode_policies)
    encoded = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]
    assert "+" not in encoded
    assert " " not in encoded
    assert unquote(encoded) == text


def test_policy_name_is_unique_in_its_account(iam: Client, other_account: Client) -> None:
    """G-78: in any letter case and path; not among accounts."""
    make(iam, "Reader")
    sentence = "A policy called READER already exists. Duplicate names are not allowed."
    with refusal("EntityAlreadyExists", sentence, 409):
        make(iam, "READER", Path="/other/")
    assert make(other_account, "Reader") == arn_of("Reader", account=OTHER_ACCOUNT)
    assert make(iam, "AdministratorAccess") == arn_of("AdministratorAccess"), "AWS's own names are free"


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("no JSON", "Syntax errors in policy."),
        ("{}", "Syntax errors in policy."),
        ('{"Version":"2012-10-17","Statement":[]}', "Syntax errors in policy."),
        ('{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}', "Policy document must be version 2012-10-17"),
        (allowing("docs"), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
        (allowing("docs:*", Resource="x"), 'Resource x must be in ARN format or "*".'),
        (allowing("docs:*", Resource="aws:s3:::x"), 'Partition "s3" is not valid for resource "arn:s3:::x:*".'),
        (
            allowing("s3:*", Resource="arn:aws:s3:us-east-1::x"),
            "Resource arn:aws:s3:us-east-1::x can not contain region information.",
        ),
        (allowing("docs:*", Principal="*"), "Policy document should not specify a principal."),
        (allowing("docs:*", Condition={"Like": {"aws:userid": "x"}}), "Syntax errors in policy."),
    ],
)
def test_invalid_document_is_rejected_with_awss_message(iam: Client, document: str, sentence: str) -> None:
    """G-13, G-18, G-19; no policy and no version is created."""
    with refusal("MalformedPolicyDocument", sentence, 400):
        iam.create_policy(PolicyName="Bad", PolicyDocument=document)
    assert names(iam, Scope="Local") == []
    arn = make(iam, "Good")
    with refusal("MalformedPolicyDocument", sentence, 400):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v1"


def test_characters_beyond_latin_1_are_rejected(iam: Client) -> None:
    """G-12."""
    with refusal("ValidationError", "'policyDocument' failed to satisfy constraint", 400):
        iam.create_policy(PolicyName="Wide", PolicyDocument=allowing("docs:Read", Resource="☃").replace(r"\u2603", "☃"))
    assert names(iam, Scope="Local") == []


def test_document_size_excludes_white_space(iam: Client) -> None:
    """G-70, G-74: 6,144 characters, and any number of blanks."""
    bare = len(allowing("docs:Read", Resource="arn:aws:docs:::").replace(" ", ""))
    longest = allowing("docs:Read", Resource="arn:aws:docs:::" + "x" * (6144 - bare))
    arn = iam.create_policy(PolicyName="Long", PolicyDocument=longest + " " * 100_000)["Policy"]["Arn"]
    with refusal("LimitExceeded", "Cannot exceed quota for PolicySize: 6144", 409):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=longest.replace("xx", "xxx", 1))
    with refusal("ValidationError", status=400):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=DOCUMENT + " " * 131_072)


def test_policy_quota_is_enforced(iam: Client, other_account: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """G-77; policies of other accounts and of AWS don't count."""
    monkeypatch.setitem(QUOTAS, "policies per account", 2)
    make(other_account, "Elsewhere")
    make(iam, "One")
    make(iam, "Two")
    with refusal("LimitExceeded", "Cannot exceed quota for PoliciesPerAccount: 2", 409):
        make(iam, "Three")


def test_policy_creation_is_authorized_on_the_new_arn(client_for: Callable[..., Client]) -> None:
    """K-33: the policy at its path."""
    ada = client_for("ada", allow("iam:CreatePolicy", arn_of("*", "/team/")))
    make(ada, "Ours", Path="/team/")
    with refusal("AccessDenied", f"iam:CreatePolicy on resource: {arn_of('Theirs')}"):
        make(ada, "Theirs")


def test_policy_creation_with_tags_needs_tag_permission(client_for: Callable[..., Client], iam: Client) -> None:
    """Both are authorized with the request's tags; nothing is created if one is denied."""
    tags = [{"Key": "team", "Value": "red"}]
    with refusal("AccessDenied", "iam:TagPolicy"):
        make(client_for("ada", allow("iam:CreatePolicy")), "Tagged", Tags=tags)
    assert names(iam, Scope="Local") == []
    wants_red = {"StringEquals": {"aws:RequestTag/team": "red"}}
    bob = client_for("bob", allow(["iam:CreatePolicy", "iam:TagPolicy"], **wants_red))
    make(bob, "Red", Tags=tags)
    with refusal("AccessDenied", "iam:CreatePolicy"):
        make(bob, "Blue", Tags=[{"Key": "team", "Value": "blue"}])


# --- finding -----------------------------------------------------------------------------------------------------


def test_aws_policies_are_readable(iam: Client) -> None:
    """They belong to no account."""
    policy = iam.get_policy(PolicyArn=ADMINISTRATOR)["Policy"]
    assert (policy["PolicyName"], policy["AttachmentCount"]) == ("AdministratorAccess", 1)
    version = iam.get_policy_version(PolicyArn=ADMINISTRATOR, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
    assert version["Document"]["Statement"] == [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    assert iam.list_policy_tags(PolicyArn=ADMINISTRATOR)["Tags"] == []


READING: tuple[tuple[str, dict[str, str]], ...] = (
    ("get_policy", {}),
    ("get_policy_version", {"VersionId": "v1"}),
    ("list_policy_versions", {}),
    ("list_policy_tags", {}),
    ("list_entities_for_policy", {}),
)
CHANGING: tuple[tuple[str, dict[str, Any]], ...] = (
    ("create_policy_version", {"PolicyDocument": DOCUMENT}),
    ("set_default_policy_version", {"VersionId": "v1"}),
    ("delete_policy_version", {"VersionId": "v1"}),
    ("tag_policy", {"Tags": [{"Key": "a", "Value": "b"}]}),
    ("untag_policy", {"TagKeys": ["a"]}),
    ("delete_policy", {}),
)
ATTACHING: tuple[tuple[str, dict[str, str]], ...] = (
    ("attach_user_policy", {"UserName": "holder"}),
    ("attach_group_policy", {"GroupName": "holder"}),
    ("attach_role_policy", {"RoleName": "holder"}),
    ("detach_user_policy", {"UserName": "holder"}),
    ("detach_group_policy", {"GroupName": "holder"}),
    ("detach_role_policy", {"RoleName": "holder"}),
)


@pytest.mark.parametrize(("operation", "more"), CHANGING)
def test_aws_policies_are_unmodifiable(iam: Client, operation: str, more: dict[str, Any]) -> None:
    """Even for an administrator."""
    with refusal("UnmodifiableEntity", status=400):
        getattr(iam, operation)(PolicyArn=ADMINISTRATOR, **more)
    assert iam.get_policy(PolicyArn=ADMINISTRATOR)["Policy"]["DefaultVersionId"] == "v1"


NOT_FOUND = (
    arn_of("Theirs", account=OTHER_ACCOUNT),
    arn_of("Theirs"),
    arn_of("*"),
    arn_of("mine", "/p/"),
    arn_of("Mine"),
    arn_of("Mine", "/P/"),
    "arn:aws:iam::aws:policy/Mine",
    "arn:aws:iam::AWS:policy/AdministratorAccess",
    "arn:aws:iam:::policy/AdministratorAccess",
)
INVALID = (
    "x" * 20,
    "*" * 20,
    "arn:aws:iam::" + "1" * 12,
    f"arn:aws:iam::{ACCOUNT}:user/admin",
    f"arn:aws-cn:iam::{ACCOUNT}:policy/Mine",
    f"arn:aws:iam:eu-west-1:{ACCOUNT}:policy/Mine",
    f"arn:aws:s3::{ACCOUNT}:policy/Mine",
)


@pytest.mark.parametrize(("operation", "more"), [*READING, *CHANGING, *ATTACHING])
def test_policy_is_found_by_its_exact_arn(
    iam: Client, other_account: Client, server: Running, operation: str, more: dict[str, Any]
) -> None:
    """P-16. A foreign one can't be read, changed or attached; a malformed one is no internal failure."""
    make(other_account, "Theirs")
    make(iam, "Mine", Path="/p/")
    holders(server)
    for arn in NOT_FOUND:
        with refusal("NoSuchEntity", f"Policy {arn} ", 404):
            getattr(iam, operation)(PolicyArn=arn, **more)
    for arn in INVALID:
        with refusal("InvalidInput", f"ARN {arn} is not valid.", 400):
            getattr(iam, operation)(PolicyArn=arn, **more)


# --- listing -----------------------------------------------------------------------------------------------------


@pytest.fixture
def listed(iam: Client, server: Running) -> Client:
    """Policies in every kind of use; another account uses an AWS policy that this one doesn't."""
    for name in ("attached", "bounding", "both", "unused"):
        make(iam, name, Path="/team/" if name == "unused" else "/")
    user = {"name": "holder", "attached": ["attached", "both", "ReadOnlyAccess"], "boundary": "bounding"}
    prepare(server, users=[user], roles=[{"name": "holder", "boundary": "both"}])
    there = {"name": "holder", "attached": ["PowerUserAccess"], "boundary": "PowerUserAccess"}
    prepare(server, OTHER_ACCOUNT, users=[there])
    return iam


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


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ["attached", "both", "bounding", "unused", *AWS]),
        ({"Scope": "All"}, ["attached", "both", "bounding", "unused", *AWS]),
        ({"Scope": "Local"}, ["attached", "both", "bounding", "unused"]),
        ({"Scope": "AWS"}, AWS),
        ({"PathPrefix": "/team/"}, ["unused"]),
        ({"PathPrefix": "/tea/"}, []),
        ({"OnlyAttached": True}, ["attached", "both", "AdministratorAccess", "ReadOnlyAccess"]),
        ({"OnlyAttached": False, "Scope": "AWS"}, AWS),
        ({"PolicyUsageFilter": "PermissionsPolicy", "Scope": "Local"}, ["attached", "both"]),
        ({"PolicyUsageFilter": "PermissionsBoundary"}, ["both", "bounding"]),
        ({"PolicyUsageFilter": "PermissionsBoundary", "OnlyAttached": True}, ["both", "bounding"]),
        ({"PolicyUsageFilter": "PermissionsBoundary", "Scope": "AWS"}, []),
    ],
)
def test_policy_list_matches_the_filters(listed: Client, parameters: dict[str, Any], expected: list[str]) -> None:
    """By name, the account's own first."""
    assert names(listed, **parameters) == expected


def test_policy_uses_are_counted_in_the_own_account(listed: Client, other_account: Client) -> None:
    """Other accounts' uses of an AWS policy are not counted."""
    counts = {
        policy["PolicyName"]: (policy["AttachmentCount"], policy["PermissionsBoundaryUsageCount"])
        for policy in listed.list_policies()["Policies"]
    }
    expected = {"attached": (1, 0), "bounding": (0, 1), "both": (1, 1), "unused": (0, 0)}
    assert counts == expected | dict.fromkeys(AWS, (0, 0)) | {"AdministratorAccess": (1, 0), "ReadOnlyAccess": (1, 0)}
    theirs = other_account.get_policy(PolicyArn="arn:aws:iam::aws:policy/PowerUserAccess")["Policy"]
    assert (theirs["AttachmentCount"], theirs["PermissionsBoundaryUsageCount"]) == (1, 1)


def test_policy_list_has_no_tags_and_descriptions(iam: Client) -> None:
    """As in the model."""
    make(iam, "Described", Description="long", Tags=[{"Key": "a", "Value": "b"}])
    (policy,) = iam.list_policies(Scope="Local")["Policies"]
    assert not {"Tags", "Description"} & policy.keys()


def test_policy_list_pages_survive_writes(iam: Client) -> None:
    """No existing entry is left out or repeated."""
    for name in ("b", "d", "f", "h"):
        make(iam, name)
    first = iam.list_policies(Scope="Local", MaxItems=2)
    assert [policy["PolicyName"] for policy in first["Policies"]] == ["b", "d"]
    iam.delete_policy(PolicyArn=arn_of("d"))
    for name in ("a", "c", "e"):
        make(iam, name)
    second = iam.list_policies(Scope="Local", MaxItems=2, Marker=first["Marker"])
    assert [policy["PolicyName"] for policy in second["Policies"]] == ["e", "f"]
    third = iam.list_policies(Scope="Local", MaxItems=2, Marker=second["Marker"])
    assert [policy["PolicyName"] for policy in third["Policies"]] == ["h"]
    assert not third["IsTruncated"]
    assert "Marker" not in third


def test_marker_of_long_names_is_accepted(iam: Client) -> None:
    """Within the model's limit."""
    for letter in "xyz":
        make(iam, letter * 128)
    pages = list(iam.get_paginator("list_policies").paginate(Scope="Local", PaginationConfig={"PageSize": 1}))
    assert [page["Policies"][0]["PolicyName"][0] for page in pages] == ["x", "y", "z"]


@pytest.mark.parametrize("marker", ["x", "é", "bnVsbA", "WyJhIl0", "WzEsMl0", "W1tbW1tbW1tb" * 20])
def test_foreign_marker_is_rejected(iam: Client, marker: str) -> None:
    """Not as an internal failure."""
    with refusal("ValidationError", "Invalid Marker.", 400):
        iam.list_policies(Marker=marker)


# --- deleting ----------------------------------------------------------------------------------------------------


def test_deleted_policy_loses_its_versions(iam: Client, server: Running) -> None:
    """A new one of that name has another id, and starts at v1."""
    arn = make(iam, "Reader")
    id = iam.get_policy(PolicyArn=arn)["Policy"]["PolicyId"]
    iam.delete_policy(PolicyArn=arn)
    with refusal("NoSuchEntity", f"Policy {arn} was not found.", 404):
        iam.get_policy(PolicyArn=arn)
    with server.store.read_transaction() as records:
        assert records.count(policy_versions, policy_id=id) == 0
    make(iam, "Reader")
    again = iam.get_policy(PolicyArn=arn)["Policy"]
    assert again["PolicyId"] != id
    assert again["DefaultVersionId"] == "v1"


@pytest.mark.parametrize(
    ("kind", "use"),
    [
        ("users", "attached"),
        ("groups", "attached"),
        ("roles", "attached"),
        ("users", "boundary"),
        ("roles", "boundary"),
    ],
)
def test_deleting_a_used_policy_raises_delete_conflict(iam: Client, server: Running, kind: str, use: str) -> None:
    """R-11, G-38: attached, or used as a boundary."""
    arn = make(iam, "Used")
    prepare(server, **{kind: [{"name": "holder", use: ["Used"] if use == "attached" else "Used"}]})
    with refusal("DeleteConflict", "Cannot delete a policy attached to entities.", 409):
        iam.delete_policy(PolicyArn=arn)
    assert iam.get_policy(PolicyArn=arn)


def test_deleting_a_policy_with_versions_raises_delete_conflict(iam: Client) -> None:
    """R-11."""
    arn = make(iam, "Reader")
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=DOCUMENT)
    with refusal("DeleteConflict", "This policy has more than one version. Before you delete a policy,", 409):
        iam.delete_policy(PolicyArn=arn)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    iam.delete_policy(PolicyArn=arn)
    assert names(iam, Scope="Local") == []


# --- tags --------------------------------------------------------------------------------------------------------


def test_policy_tags_are_merged(iam: Client) -> None:
    """Keys are case-insensitive; the list is sorted and paged."""
    arn = make(iam, "Reader", Tags=[{"Key": "team", "Value": "red"}])
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "Team", "Value": "blue"}, {"Key": "cost", "Value": ""}])
    assert iam.list_policy_tags(PolicyArn=arn)["Tags"] == [
        {"Key": "Team", "Value": "blue"},
        {"Key": "cost", "Value": ""},
    ]
    first = iam.list_policy_tags(PolicyArn=arn, MaxItems=1)
    assert first["IsTruncated"]
    rest = iam.list_policy_tags(PolicyArn=arn, Marker=first["Marker"])
    assert first["Tags"] + rest["Tags"] == iam.list_policy_tags(PolicyArn=arn)["Tags"]
    iam.untag_policy(PolicyArn=arn, TagKeys=["TEAM", "never"])
    assert iam.get_policy(PolicyArn=arn)["Policy"]["Tags"] == [{"Key": "cost", "Value": ""}]


def test_policy_tags_are_limited(iam: Client) -> None:
    """G-77, G-79: fifty, no duplicates, no system tags; a rejected call changes nothing."""
    arn = make(iam, "Reader", Tags=[{"Key": f"k{number}", "Value": ""} for number in range(50)])
    with refusal("LimitExceeded", status=409):
        iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "k0", "Value": "new"}, {"Key": "one more", "Value": ""}])
    with refusal("InvalidInput", "Duplicate tag keys found", 400):
        iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "K1", "Value": ""}, {"Key": "k1", "Value": ""}])
    with refusal("InvalidInput", "System tags", 400):
        iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "aws:x", "Value": ""}])
    tags = iam.list_policy_tags(PolicyArn=arn)["Tags"]
    assert {tag["Value"] for tag in tags} == {""}
    assert len(tags) == 50


def test_policy_tags_are_condition_keys(iam: Client, client_for: Callable[..., Client]) -> None:
    """K-33: `iam:ResourceTag` and `aws:ResourceTag`."""
    red = make(iam, "Red", Tags=[{"Key": "team", "Value": "red"}])
    plain = make(iam, "Plain")
    for key in ("iam:ResourceTag/team", "aws:ResourceTag/team"):
        ada = client_for("ada", allow("iam:GetPolicy", StringEquals={key: "red"}))
        assert ada.get_policy(PolicyArn=red)
        with refusal("AccessDenied", f"iam:GetPolicy on resource: {plain}"):
            ada.get_policy(PolicyArn=plain)


def test_tagging_supplies_the_request_tags(iam: Client, client_for: Callable[..., Client]) -> None:
    """`aws:RequestTag` for TagPolicy, `aws:TagKeys` for both."""
    arn = make(iam, "Reader")
    only_cost = {"ForAllValues:StringEquals": {"aws:TagKeys": "cost"}}
    ada = client_for("ada", allow(["iam:TagPolicy", "iam:UntagPolicy"], arn, **only_cost))
    ada.tag_policy(PolicyArn=arn, Tags=[{"Key": "cost", "Value": "1"}])
    with refusal("AccessDenied", "iam:TagPolicy"):
        ada.tag_policy(PolicyArn=arn, Tags=[{"Key": "team", "Value": "red"}])
    with refusal("AccessDenied", "iam:UntagPolicy"):
        ada.untag_policy(PolicyArn=arn, TagKeys=["cost", "team"])
    ada.untag_policy(PolicyArn=arn, TagKeys=["cost"])
    assert iam.list_policy_tags(PolicyArn=arn)["Tags"] == []


def test_denial_does_not_reveal_existence(iam: Client, client_for: Callable[..., Client]) -> None:
    """A caller without permissions gets the same error for existing and missing policies."""
    arn = make(iam, "There")
    ada = client_for("ada")
    for operation, more in (*READING, *CHANGING):
        messages = []
        for name in ("There", "Gone"):
            with pytest.raises(ada.exceptions.ClientError) as refused:
                getattr(ada, operation)(PolicyArn=arn_of(name), **more)
            assert refused.value.response["Error"]["Code"] == "AccessDenied"
            messages.append(refused.value.response["Error"]["Message"].replace(name, "…"))
        assert messages[0] == messages[1], operation
    assert json.loads(DOCUMENT) == iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]
