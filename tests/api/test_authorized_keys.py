"""The condition keys and further permissions of each IAM operation, tested by policies.

The tables are AWS's service authorization reference. Keys of FIDO security keys are left out, since there are none.
Authorization as such: `test_authorized`. Rules K-33, R-15, T-1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from tests.api.conftest import ACCOUNT, Client, allow
from tests.api.every_operation import ARN, OPERATIONS, RESOURCES, parameters_of
from tests.api.sample_entities import key_of
from tests.api.sample_server import GIVEN_POLICY, OTHER_POLICY, SampleServer, sample_server

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
    """A key: an operator, a matching value, another value, and the operations."""

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
"""Optional parameters of the operations, for all their condition keys."""

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
def sample_session() -> Iterator[SampleServer]:
    """The server of all tests in this module; `sample` is reset."""
    with sample_server() as sample:
        yield sample


@pytest.fixture(scope="module")
def asker(sample_session: SampleServer) -> Client:
    """The user whose permissions each test sets."""
    return sample_session.client(key_of("asker"))


@pytest.fixture
def sample(sample_session: SampleServer) -> SampleServer:
    """The server in its initial state."""
    sample_session.reset()
    return sample_session


def whole(operation: str, sample: SampleServer) -> dict[str, Any]:
    """Return the parameters of an operation, with those that lead to condition keys."""
    shape = OPERATIONS[operation].input
    optional = {} if shape is None else {name: each for name, each in OPTIONAL.items() if name in shape.members}
    return parameters_of(operation, sample.parameters) | optional


def refused_for(client: Client, operation: str, parameters: Mapping[str, Any]) -> str | None:
    """Call, and return the action without permission; None for a success."""
    try:
        getattr(client, xform_name(operation))(**parameters)
    except ClientError as error:
        details, status = error.response["Error"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert status < 500, details
        if details["Code"] == "AccessDenied":
            return str(details["Message"]).partition("perform: ")[2].split(" ")[0]
    return None


def but_for(operation: str, **condition: Any) -> list[dict[str, Any]]:
    """Allow one action under a condition, and all others."""
    others = {"Effect": "Allow", "NotAction": f"iam:{operation}", "Resource": "*"}
    return [allow(f"iam:{operation}", **condition), others]


@pytest.mark.parametrize(("key", "operation"), [(key, each) for key, row in KEYS.items() for each in row.operations])
def test_key_is_supplied_where_aws_supplies_it(sample: SampleServer, asker: Client, key: str, operation: str) -> None:
    """K-33: its matching value allows the call, another one doesn't."""
    row, parameters = KEYS[key], whole(operation, sample)
    sample.set_permissions(*but_for(operation, **{row.operator: {key: row.other}}))
    assert refused_for(asker, operation, parameters) == f"iam:{operation}"
    sample.set_permissions(*but_for(operation, **{row.operator: {key: row.value}}))
    assert refused_for(asker, operation, parameters) is None


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_key_is_absent_where_aws_supplies_none(sample: SampleServer, asker: Client, operation: str) -> None:
    """So that a Deny with `Null` or a negated operator has AWS's effect."""
    absent = {key: "true" for key, row in KEYS.items() if operation not in row.operations}
    sample.set_permissions(*but_for(operation, Null=absent))
    assert refused_for(asker, operation, whole(operation, sample)) is None


@pytest.mark.parametrize("operation", TAGGED)
def test_resource_tags_are_supplied(sample: SampleServer, asker: Client, operation: str) -> None:
    """K-33: `aws:ResourceTag`, and for users and roles the service's own key too."""
    parameters = whole(operation, sample)
    own = ["iam:ResourceTag/team"] if RESOURCES[operation].split("/")[0] in ("user", "role") else []
    keys = ["aws:ResourceTag/team", *own]
    for key in keys:
        sample.set_permissions(*but_for(operation, StringEquals={key: "blue"}))
        assert refused_for(asker, operation, parameters) == f"iam:{operation}", key
    sample.set_permissions(*but_for(operation, StringEquals=dict.fromkeys(keys, "red")))
    assert refused_for(asker, operation, parameters) is None


def test_new_tags_take_effect_at_once(sample: SampleServer, asker: Client) -> None:
    """T-1."""
    sample.set_permissions(allow("iam:GetRole", StringEquals={"aws:ResourceTag/team": "blue"}))
    assert refused_for(asker, "GetRole", {"RoleName": "given"}) == "iam:GetRole"
    sample.admin.tag_role(RoleName="given", Tags=[{"Key": "TEAM", "Value": "blue"}])
    assert refused_for(asker, "GetRole", {"RoleName": "given"}) is None
    sample.admin.untag_role(RoleName="given", TagKeys=["team"])
    assert refused_for(asker, "GetRole", {"RoleName": "given"}) == "iam:GetRole"


# --- further permissions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("operation", "tagging"), TAGGING.items())
def test_tagged_creation_needs_both_permissions(
    sample: SampleServer, asker: Client, operation: str, tagging: str
) -> None:
    """User guide; without tags one suffices. A denial creates nothing."""
    parameters = whole(operation, sample)
    sample.set_permissions(allow(f"iam:{operation}"))
    before = sample.rows()
    assert refused_for(asker, operation, parameters) == f"iam:{tagging}"
    assert sample.rows() == before
    sample.set_permissions(allow(f"iam:{tagging}"))
    assert refused_for(asker, operation, parameters) == f"iam:{operation}"
    sample.set_permissions(allow([f"iam:{operation}", f"iam:{tagging}"], StringEquals={"aws:RequestTag/color": "red"}))
    assert refused_for(asker, operation, parameters) == f"iam:{operation}"
    sample.set_permissions(allow([f"iam:{operation}", f"iam:{tagging}"], StringEquals={"aws:RequestTag/color": "blue"}))
    assert refused_for(asker, operation, parameters) is None
    sample.reset()
    sample.set_permissions(allow(f"iam:{operation}"))
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
    sample: SampleServer, asker: Client, operation: str, name: str, kind: str
) -> None:
    """API reference: for a new name or path."""
    action = f"iam:{operation}"
    changes = {
        f"{kind}/team/new": {f"New{name}": "new"},
        f"{kind}/elsewhere/given": {"NewPath": "/elsewhere/"},
        f"{kind}/elsewhere/new": {f"New{name}": "new", "NewPath": "/elsewhere/"},
    }
    for target, change in changes.items():
        parameters = {name: "given", **change}
        sample.reset()
        for lacking in ([f"{ARN}{kind}/team/given"], [f"{ARN}{target}"]):
            sample.set_permissions(allow(action, lacking))
            assert refused_for(asker, operation, parameters) == action
        sample.set_permissions(allow(action, [f"{ARN}{kind}/team/given", f"{ARN}{target}"]))
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
def test_adding_a_role_to_a_profile_needs_pass_role(
    sample: SampleServer, asker: Client, statement: dict[str, Any], passes: bool
) -> None:
    """R-15: `iam:PassRole` on the role, with the service and the resource."""
    parameters = {"InstanceProfileName": "given", "RoleName": "given"}
    sample.set_permissions(allow("iam:AddRoleToInstanceProfile", f"{ARN}instance-profile/team/given"), statement)
    assert refused_for(asker, "AddRoleToInstanceProfile", parameters) == (None if passes else "iam:PassRole")
    roles = sample.admin.get_instance_profile(InstanceProfileName="given")["InstanceProfile"]["Roles"]
    assert [role["RoleName"] for role in roles] == ["given"] * passes


def test_boundary_can_be_required_for_new_users(sample: SampleServer, asker: Client) -> None:
    """AWS's delegation example: users have the boundary, and never lose it."""
    needs = {"StringEquals": {"iam:PermissionsBoundary": GIVEN_POLICY}}
    actions = ["iam:CreateUser", "iam:PutUserPermissionsBoundary", "iam:AttachUserPolicy", "iam:PutUserPolicy"]
    sample.set_permissions(allow(actions, **needs))
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
