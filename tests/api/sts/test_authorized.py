"""Every operation of STS is authorized, on exactly its resource (F.4, X-2, E-66).

The table is written from AWS's service authorization reference. The tests iterate over botocore's current model, so a
new operation of AWS fails here until it is implemented or listed as unsupported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from botocore import xform_name

from iam_guard import Principal
from iam_guard.api.protocol.service_model import load_api
from iam_guard.api.sts.unsupported_features import NOT_SUPPORTED
from iam_guard.web.refusal import encoded_message
from tests.api.conftest import ACCOUNT, ADMIN_KEY, OTHER_ACCOUNT, Client, Running, allow, refusal
from tests.api.iam.organization_parts import make_organization
from tests.api.sts.sts_parts import make_role, policy, role_arn, sts_of

ClientFor = Callable[..., Client]


class Case(NamedTuple):
    """Parameters, AWS's resource, another resource, and the required actions."""

    parameters: dict[str, Any]
    resource: str
    other: str | None
    actions: tuple[str, ...]


SELF = f"arn:aws:sts::{ACCOUNT}:self"
MEMBER = f"arn:aws:iam::{OTHER_ACCOUNT}:root"
TAGS = [{"Key": "team", "Value": "blue"}]
TABLE = {
    "AssumeRole": Case(
        {"RoleArn": role_arn(), "RoleSessionName": "xx", "Tags": TAGS, "SourceIdentity": "ada"},
        role_arn(),
        role_arn("other"),
        ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"),
    ),
    "AssumeRoot": Case(
        {
            "TargetPrincipal": OTHER_ACCOUNT,
            "TaskPolicyArn": {"arn": "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"},
        },
        MEMBER,
        f"arn:aws:iam::{ACCOUNT}:root",
        ("sts:AssumeRoot",),
    ),
    "DecodeAuthorizationMessage": Case({}, "*", None, ("sts:DecodeAuthorizationMessage",)),
    "GetAccessKeyInfo": Case({"AccessKeyId": ADMIN_KEY[0]}, "*", None, ("sts:GetAccessKeyInfo",)),
    "GetFederationToken": Case(
        {"Name": "app", "Policy": policy(allow("docs:*")), "Tags": TAGS},
        f"arn:aws:sts::{ACCOUNT}:federated-user/app",
        f"arn:aws:sts::{ACCOUNT}:federated-user/other",
        ("sts:GetFederationToken", "sts:TagSession"),
    ),
    "GetWebIdentityToken": Case(
        {"Audience": ["a"], "SigningAlgorithm": "ES384", "Tags": TAGS},
        SELF,
        f"arn:aws:sts::{OTHER_ACCOUNT}:self",
        ("sts:GetWebIdentityToken", "sts:TagGetWebIdentityToken"),
    ),
}
WITHOUT_PERMISSION = {"GetCallerIdentity", "GetSessionToken"}
"""Operations that need no permission, and can't be denied (E-66)."""
UNSIGNED = {name for name, operation in load_api("sts").operations.items() if operation.is_unsigned}

every_operation = pytest.mark.parametrize("operation", TABLE)


@pytest.fixture
def ready(server: Running, iam: Client) -> Running:
    """A role that trusts the account, a member account with root sessions, an issuer."""
    make_role(iam)
    make_organization(server)
    iam.enable_organizations_root_sessions()
    iam.enable_outbound_web_identity_federation()
    return server


def call(server: Running, iam: Client, operation: str) -> Any:
    parameters = dict(TABLE[operation].parameters)
    if operation == "DecodeAuthorizationMessage":
        refused = server.guard.decide(Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/gone"), "docs:Get", "*")
        parameters["EncodedMessage"] = encoded_message(server.guard, refused)
    return getattr(sts_of(server, iam), xform_name(operation))(**parameters)


def test_sts_table_has_every_operation_of_the_model() -> None:
    assert set(load_api("sts").operations) - UNSIGNED == set(TABLE) | WITHOUT_PERMISSION | (
        set(NOT_SUPPORTED) - UNSIGNED
    )


@every_operation
def test_sts_exact_permission_suffices(ready: Running, client_for: ClientFor, operation: str) -> None:
    case = TABLE[operation]
    assert call(ready, client_for("asker", allow(list(case.actions), case.resource)), operation)


@every_operation
def test_sts_missing_permission_is_denied(ready: Running, client_for: ClientFor, operation: str) -> None:
    case = TABLE[operation]
    on = "" if case.resource == "*" else f" on resource: {case.resource}"
    with refusal("AccessDenied", f"user/nobody is not authorized to perform: sts:{operation}{on}", 403):
        call(ready, client_for("nobody"), operation)


@every_operation
def test_sts_permission_on_another_resource_is_denied(ready: Running, client_for: ClientFor, operation: str) -> None:
    case = TABLE[operation]
    other = case.other or "arn:aws:sts:::x"
    with refusal("AccessDenied", f"perform: sts:{operation}", 403):
        call(ready, client_for("asker", allow("sts:*", other)), operation)


@every_operation
def test_sts_explicit_deny_wins(ready: Running, client_for: ClientFor, operation: str) -> None:
    case = TABLE[operation]
    denied = {"Effect": "Deny", "Action": case.actions[0], "Resource": case.resource}
    with refusal("AccessDenied", f"perform: sts:{operation}", 403):
        call(ready, client_for("denied", allow("*"), denied), operation)


@pytest.mark.parametrize(
    ("operation", "action"), [(name, action) for name, case in TABLE.items() for action in case.actions]
)
def test_sts_each_permission_is_required(ready: Running, client_for: ClientFor, operation: str, action: str) -> None:
    """The denial names the missing one."""
    case = TABLE[operation]
    others = [each for each in case.actions if each != action]
    statements = [allow(others, case.resource)] if others else [allow("docs:*")]
    with refusal("AccessDenied", f"is not authorized to perform: {action}", 403):
        call(ready, client_for("asker", *statements), operation)


@pytest.mark.parametrize("operation", sorted(WITHOUT_PERMISSION))
def test_sts_operations_without_permission_cannot_be_denied(
    ready: Running, client_for: ClientFor, operation: str
) -> None:
    """E-66."""
    denied = client_for("denied", {"Effect": "Deny", "Action": "*", "Resource": "*"})
    assert getattr(sts_of(ready, denied), xform_name(operation))()
