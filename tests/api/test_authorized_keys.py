"""The condition keys that each operation of IAM supplies, and what else it asks for, by policies that rest on them.

The tables are AWS's service authorization reference, written down here. Keys of security keys (FIDO) are left out, for
there are none. That every operation asks at all: `test_authorized`. Rules K-33, R-15, C.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from tests.api.belongings import key_of
from tests.api.conftest import ACCOUNT, Client, allow
from tests.api.every_operation import ARN, OPERATIONS, RESOURCES, parameters_of
from tests.api.furnished import GIVEN_POLICY, OTHER_POLICY, House, furnished

TAGGING = {
    "CreateInstanceProfile": "TagInstanceProfile",
    "CreateOpenIDConnectProvider": "TagOpenIDConnectProvider",
    "CreatePolicy": "TagPolicy",
    "CreateRole": "TagRole",
    "CreateSAMLProvider": "TagSAMLProvider",
    "CreateUser": "TagUser",
    "CreateVirtualMFADevice": "TagMFADevice",
    "UploadServerCertificate": "TagServerCertificate",
}
"""What makes something that can have tags from the beginning -> what else that needs permission for."""
UNTAGGING = [each.replace("Tag", "Untag", 1) for each in TAGGING.values()]
CREDENTIALS = [f"{verb}ServiceSpecificCredential" for verb in ("Create", "Delete", "Reset", "Update")]


class Row(NamedTuple):
    """A key: an operator, a value that is true of the calls here, one that is not, and the operations."""

    operator: str
    value: str
    other: str
    operations: list[str]


KEYS: Mapping[str, Row] = {
    "iam:PolicyARN": Row(
        "ArnEquals",
        GIVEN_POLICY,
        OTHER_POLICY,
        [f"{verb}{kind}Policy" for verb in ("Attach", "Detach") for kind in ("Group", "Role", "User")],
    ),
    "iam:PermissionsBoundary": Row(
        "StringEquals",
        GIVEN_POLICY,
        OTHER_POLICY,
        """
        AttachRolePolicy AttachUserPolicy CreateRole CreateUser DeleteRole DeleteRolePermissionsBoundary
        DeleteRolePolicy DeleteUserPermissionsBoundary DeleteUserPolicy DetachRolePolicy DetachUserPolicy GetRole
        PutRolePermissionsBoundary PutRolePolicy PutUserPermissionsBoundary PutUserPolicy UpdateAssumeRolePolicy
        UpdateRole UpdateRoleDescription
        """.split(),
    ),
    "aws:RequestTag/color": Row("StringEquals", "blue", "red", [*TAGGING, *TAGGING.values()]),
    "aws:TagKeys": Row("ForAnyValue:StringEquals", "color", "team", [*TAGGING, *TAGGING.values(), *UNTAGGING]),
    "iam:AWSServiceName": Row("StringLike", "support.*", "rds.amazonaws.com", ["CreateServiceLinkedRole"]),
    "iam:ServiceSpecificCredentialServiceName": Row(
        "StringEquals", "codecommit.amazonaws.com", "cassandra.amazonaws.com", CREDENTIALS
    ),
    "iam:ServiceSpecificCredentialAgeDays": Row("NumericLessThanEquals", "30", "29", CREDENTIALS[:1]),
    "iam:OrganizationsPolicyId": Row("StringEquals", "p-given123", "p-other123", ["GenerateOrganizationsAccessReport"]),
    "iam:DelegationDuration": Row("NumericEquals", "300", "301", ["CreateDelegationRequest"]),
    "iam:NotificationChannel": Row("StringEquals", "given", "other", ["CreateDelegationRequest"]),
    "iam:TemplateArn": Row(
        "ArnLike",
        "arn:aws:iam::aws:delegation-template/*",
        "arn:aws:iam::aws:delegation-template/other",
        ["CreateDelegationRequest"],
    ),
    "iam:DelegationRequestOwner": Row("ArnLike", f"{ARN}user/team/*", f"{ARN}user/other", ["ListDelegationRequests"]),
}
OPTIONAL: Mapping[str, Any] = {
    "Tags": [{"Key": "color", "Value": "blue"}],
    "TagKeys": ["color"],
    "PermissionsBoundary": GIVEN_POLICY,
    "CredentialAgeDays": 30,
    "OrganizationsPolicyId": "p-given123",
    "OwnerId": f"{ARN}user/team/given",
}
"""What the operations are given besides what they require, so that they have all their keys."""

HAVE_TAGS = (
    "instance-profile",
    "mfa",
    "oidc-provider",
    "policy",
    "role",
    "saml-provider",
    "server-certificate",
    "user",
)
TAGGED = sorted(
    operation
    for operation, resource in RESOURCES.items()
    if "given" in resource and resource.split("/")[0] in HAVE_TAGS
)
"""The operations about something that is there and has tags."""


@pytest.fixture(scope="module")
def filled() -> Iterator[House]:
    """The server of all tests here; `house` is reset."""
    with furnished() as house:
        yield house


@pytest.fixture(scope="module")
def asker(filled: House) -> Client:
    """The user whose permissions the tests write."""
    return filled.client(key_of("asker"))


@pytest.fixture
def house(filled: House) -> House:
    """The server, as it was at the beginning."""
    filled.reset()
    return filled


def whole(operation: str, house: House) -> dict[str, Any]:
    """Return the parameters of an operation, with those that lead to condition keys."""
    shape = OPERATIONS[operation].input
    optional = {} if shape is None else {name: each for name, each in OPTIONAL.items() if name in shape.members}
    return parameters_of(operation, house.given) | optional


def refused_for(client: Client, operation: str, parameters: Mapping[str, Any]) -> str | None:
    """Call, and give the action that there is no permission for; None where the call is let through."""
    try:
        getattr(client, xform_name(operation))(**parameters)
    except ClientError as error:
        told, status = error.response["Error"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert status < 500, told
        if told["Code"] == "AccessDenied":
            return str(told["Message"]).partition("perform: ")[2].split(" ")[0]
    return None


def but_for(operation: str, **condition: Any) -> list[dict[str, Any]]:
    """Allow one action under a condition, and all others."""
    others = {"Effect": "Allow", "NotAction": f"iam:{operation}", "Resource": "*"}
    return [allow(f"iam:{operation}", **condition), others]


@pytest.mark.parametrize(("key", "operation"), [(key, each) for key, row in KEYS.items() for each in row.operations])
def test_a_key_is_supplied_where_aws_supplies_it(house: House, asker: Client, key: str, operation: str) -> None:
    """K-33: a permission under the true value of the key lets the call through, one under another value does not."""
    row, parameters = KEYS[key], whole(operation, house)
    house.let(*but_for(operation, **{row.operator: {key: row.other}}))
    assert refused_for(asker, operation, parameters) == f"iam:{operation}"
    house.let(*but_for(operation, **{row.operator: {key: row.value}}))
    assert refused_for(asker, operation, parameters) is None


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_no_key_is_supplied_where_aws_supplies_none(house: House, asker: Client, operation: str) -> None:
    """So that a Deny under `Null` or a negated operator hits what it hits with AWS."""
    absent = {key: "true" for key, row in KEYS.items() if operation not in row.operations}
    house.let(*but_for(operation, Null=absent))
    assert refused_for(asker, operation, whole(operation, house)) is None


@pytest.mark.parametrize("operation", TAGGED)
def test_the_tags_of_what_it_is_about_decide(house: House, asker: Client, operation: str) -> None:
    """K-33: `aws:ResourceTag` of all that has tags, under the service's own name too of users and roles."""
    parameters = whole(operation, house)
    own = ["iam:ResourceTag/team"] if RESOURCES[operation].split("/")[0] in ("user", "role") else []
    keys = ["aws:ResourceTag/team", *own]
    for key in keys:
        house.let(*but_for(operation, StringEquals={key: "blue"}))
        assert refused_for(asker, operation, parameters) == f"iam:{operation}", key
    house.let(*but_for(operation, StringEquals=dict.fromkeys(keys, "red")))
    assert refused_for(asker, operation, parameters) is None


def test_new_tags_decide_at_once(house: House, asker: Client) -> None:
    """T-1: the tags are those that the role has when it is asked about."""
    house.let(allow("iam:GetRole", StringEquals={"aws:ResourceTag/team": "blue"}))
    assert refused_for(asker, "GetRole", {"RoleName": "given"}) == "iam:GetRole"
    house.admin.tag_role(RoleName="given", Tags=[{"Key": "TEAM", "Value": "blue"}])
    assert refused_for(asker, "GetRole", {"RoleName": "given"}) is None
    house.admin.untag_role(RoleName="given", TagKeys=["team"])
    assert refused_for(asker, "GetRole", {"RoleName": "given"}) == "iam:GetRole"


# --- what else is asked for --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("operation", "tagging"), TAGGING.items())
def test_making_with_tags_needs_permission_to_tag(house: House, asker: Client, operation: str, tagging: str) -> None:
    """Of the user guide: creating with tags needs both; without tags the one suffices. A refusal makes nothing."""
    parameters = whole(operation, house)
    house.let(allow(f"iam:{operation}"))
    before = house.rows()
    assert refused_for(asker, operation, parameters) == f"iam:{tagging}"
    assert house.rows() == before
    house.let(allow(f"iam:{tagging}"))
    assert refused_for(asker, operation, parameters) == f"iam:{operation}"
    house.let(allow([f"iam:{operation}", f"iam:{tagging}"], StringEquals={"aws:RequestTag/color": "red"}))
    assert refused_for(asker, operation, parameters) == f"iam:{operation}"
    house.let(allow([f"iam:{operation}", f"iam:{tagging}"], StringEquals={"aws:RequestTag/color": "blue"}))
    assert refused_for(asker, operation, parameters) is None
    house.reset()
    house.let(allow(f"iam:{operation}"))
    assert (
        refused_for(
            asker, operation, {parameter: parameters[parameter] for parameter in parameters if parameter != "Tags"}
        )
        is None
    )


@pytest.mark.parametrize(
    ("operation", "name", "kind"),
    [
        ("UpdateUser", "UserName", "user"),
        ("UpdateGroup", "GroupName", "group"),
        ("UpdateServerCertificate", "ServerCertificateName", "server-certificate"),
    ],
)
def test_renaming_needs_permission_on_both_arns(
    house: House, asker: Client, operation: str, name: str, kind: str
) -> None:
    """Of the API: on the source and on the target, whether name or path changes."""
    action = f"iam:{operation}"
    changes = {
        f"{kind}/team/new": {f"New{name}": "new"},
        f"{kind}/elsewhere/given": {"NewPath": "/elsewhere/"},
        f"{kind}/elsewhere/new": {f"New{name}": "new", "NewPath": "/elsewhere/"},
    }
    for target, change in changes.items():
        parameters = {name: "given", **change}
        house.reset()
        for lacking in ([f"{ARN}{kind}/team/given"], [f"{ARN}{target}"]):
            house.let(allow(action, lacking))
            assert refused_for(asker, operation, parameters) == action
        house.let(allow(action, [f"{ARN}{kind}/team/given", f"{ARN}{target}"]))
        assert refused_for(asker, operation, parameters) is None


ROLE = f"{ARN}role/team/given"
PASSING: list[tuple[dict[str, Any], bool]] = [
    (allow("iam:PassRole", ROLE), True),
    (allow("iam:PassRole", f"{ROLE}x"), False),
    (allow("iam:PassRole", ROLE, StringEquals={"iam:PassedToService": "ec2.amazonaws.com"}), True),
    (allow("iam:PassRole", ROLE, StringEquals={"iam:PassedToService": "lambda.amazonaws.com"}), False),
    (allow("iam:PassRole", ROLE, ArnLike={"iam:AssociatedResourceArn": f"arn:aws:ec2:*:{ACCOUNT}:instance/*"}), True),
    (allow("iam:PassRole", ROLE, ArnLike={"iam:AssociatedResourceArn": f"arn:aws:ec2:*:{ACCOUNT}:volume/*"}), False),
    (allow("iam:PassRole", ROLE, StringEquals={"aws:ResourceTag/team": "red"}), True),
    (allow("iam:PassRole", ROLE, StringEquals={"iam:ResourceTag/team": "blue"}), False),
]


@pytest.mark.parametrize(("statement", "passes"), PASSING)
def test_a_role_is_passed_to_an_instance(house: House, asker: Client, statement: dict[str, Any], passes: bool) -> None:
    """R-15: `iam:PassRole` on the role, with what it is passed to."""
    parameters = {"InstanceProfileName": "given", "RoleName": "given"}
    house.let(allow("iam:AddRoleToInstanceProfile", f"{ARN}instance-profile/team/given"), statement)
    assert refused_for(asker, "AddRoleToInstanceProfile", parameters) == (None if passes else "iam:PassRole")
    roles = house.admin.get_instance_profile(InstanceProfileName="given")["InstanceProfile"]["Roles"]
    assert [role["RoleName"] for role in roles] == ["given"] * passes


def test_a_boundary_may_be_demanded_of_new_users(house: House, asker: Client) -> None:
    """The delegation that AWS describes: users may be made, but with the boundary only, and never lose it."""
    needs = {"StringEquals": {"iam:PermissionsBoundary": GIVEN_POLICY}}
    actions = ["iam:CreateUser", "iam:PutUserPermissionsBoundary", "iam:AttachUserPolicy", "iam:PutUserPolicy"]
    house.let(allow(actions, **needs))
    assert refused_for(asker, "CreateUser", {"UserName": "zoe"}) == "iam:CreateUser"
    for boundary, refused in ((OTHER_POLICY, "iam:CreateUser"), (GIVEN_POLICY, None)):
        assert refused_for(asker, "CreateUser", {"UserName": "zoe", "PermissionsBoundary": boundary}) == refused
    changed = {"UserName": "zoe", "PermissionsBoundary": OTHER_POLICY}
    assert refused_for(asker, "PutUserPermissionsBoundary", changed) == "iam:PutUserPermissionsBoundary"
    removed = "DeleteUserPermissionsBoundary"
    assert refused_for(asker, removed, {"UserName": "zoe"}) == f"iam:{removed}"
    attached = {"PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}
    assert refused_for(asker, "AttachUserPolicy", {"UserName": "zoe", **attached}) is None
    assert refused_for(asker, "AttachUserPolicy", {"UserName": "asker", **attached}) == "iam:AttachUserPolicy"
