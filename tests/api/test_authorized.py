"""Every operation of IAM is authorized: a denied caller gets AWS's message, and nothing changes.

The tests iterate over botocore's current model, so a new operation of AWS fails here until it is implemented. Condition
keys: `test_authorized_keys`. Rules F.4, X-1 to X-9, P-1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from iam_guard.api.iam.operations import IAM
from iam_guard.audit.record.call_kinds import kind_of
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, allow
from tests.api.every_operation import (
    ARN,
    FURTHER,
    OPERATIONS,
    RESOURCES,
    parameters_of,
    resource_of,
    user_name_is_optional,
)
from tests.api.sample_entities import key_of
from tests.api.sample_server import SampleServer, sample_server

every_operation = pytest.mark.parametrize("operation", sorted(OPERATIONS))
IDENTITY = "because no identity-based policy allows the {action} action"
DENIED = "with an explicit deny in an identity-based policy"
ANONYMOUS = "Request is missing Authentication Token"


@pytest.fixture(scope="module")
def sample_session() -> Iterator[SampleServer]:
    """The server of all tests in this module; `sample` is reset."""
    with sample_server() as sample:
        yield sample


@pytest.fixture(scope="module")
def clients(sample_session: SampleServer) -> Mapping[str, Client]:
    """Clients by user name."""
    users = ("nobody", "denied", "asker", "member")
    return {user: sample_session.client(key_of(user)) for user in users} | {"anonymous": sample_session.anonymous()}


@pytest.fixture
def sample(sample_session: SampleServer) -> SampleServer:
    """The server in its initial state."""
    sample_session.reset()
    return sample_session


def arn_of(user: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:user/{user}"


def sentence(caller: str, operation: str, resource: str, why: str) -> str:
    """Return AWS's denial message; without a resource, it has none (X-9)."""
    action = f"iam:{operation}"
    on = "" if resource == "*" else f" on resource: {resource}"
    return f"User: {caller} is not authorized to perform: {action}{on} {why.format(action=action)}"


def answered(client: Client, operation: str, parameters: Mapping[str, Any]) -> tuple[str, str, int, str]:
    """Call, and return code (empty for a success), message, status and request id of the response."""
    try:
        answer = getattr(client, xform_name(operation))(**parameters)
    except ClientError as error:
        answer = error.response
    about, error = answer["ResponseMetadata"], answer.get("Error", {"Code": "", "Message": ""})
    return error["Code"], error["Message"], about["HTTPStatusCode"], about["RequestId"]


def test_iam_table_has_every_operation_of_the_model() -> None:
    """Exactly; and so have these tests."""
    assert IAM.operations.keys() == OPERATIONS.keys()
    assert RESOURCES.keys() == OPERATIONS.keys()


# --- denied ------------------------------------------------------------------------------------------------------


@every_operation
def test_iam_missing_permission_is_denied(sample: SampleServer, clients: Mapping[str, Client], operation: str) -> None:
    """F.4, X-2: with AWS's message and resource; nothing changes, and one record is written."""
    before, answers = sample.rows(), []
    parameters = parameters_of(operation, sample.parameters)
    recorded = sample.recorded(lambda: answers.append(answered(clients["nobody"], operation, parameters)))
    code, message, status, request_id = answers[0]
    resource = resource_of(operation, arn_of("nobody"))
    assert (code, status) == ("AccessDenied", 403)
    assert message == sentence(arn_of("nobody"), operation, resource, IDENTITY)
    assert sample.rows() == before
    assert one_decision(recorded) == {
        "eventSource": "iam.amazonaws.com",
        "eventName": operation,
        "requestID": request_id,
        "errorCode": "AccessDenied",
        "errorMessage": message,
        "resources": None if resource == "*" else [{"ARN": resource, "accountId": ACCOUNT}],
        "outcome": "ImplicitlyDenied",
        "who": arn_of("nobody"),
    }


def one_decision(recorded: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the request and the decision of the only record."""
    (record,) = recorded
    members = ("eventSource", "eventName", "requestID", "errorCode", "errorMessage", "resources")
    own = record["iamGuard"]
    assert own["kind"] == "decision"
    who = record["userIdentity"].get("arn")
    return {name: record.get(name) for name in members} | {"outcome": own["outcome"], "who": who}


@every_operation
def test_iam_unsigned_call_is_rejected(sample: SampleServer, clients: Mapping[str, Client], operation: str) -> None:
    """No operation is unsigned; the record has the action."""
    before, answers = sample.rows(), []
    parameters = parameters_of(operation, sample.parameters)
    recorded = sample.recorded(lambda: answers.append(answered(clients["anonymous"], operation, parameters)))
    assert answers[0][:3] == ("MissingAuthenticationToken", ANONYMOUS, 403)
    assert sample.rows() == before
    (record,) = recorded
    named = (record["eventName"], record["errorCode"], record["requestID"], record["iamGuard"]["outcome"])
    assert named == (operation, "MissingAuthenticationToken", answers[0][3], "ImplicitlyDenied")


@every_operation
def test_iam_explicit_deny_wins(sample: SampleServer, clients: Mapping[str, Client], operation: str) -> None:
    """F.4: over `AdministratorAccess`; X-5: an inline policy has no ARN to report."""
    before = sample.rows()
    code, message, status, _ = answered(clients["denied"], operation, parameters_of(operation, sample.parameters))
    assert (code, status) == ("AccessDenied", 403)
    assert message == sentence(arn_of("denied"), operation, resource_of(operation, arn_of("denied")), DENIED)
    assert sample.rows() == before


CALLERS_OWN = sorted(name for name, operation in OPERATIONS.items() if user_name_is_optional(operation))


@pytest.mark.parametrize("operation", CALLERS_OWN)
def test_iam_user_name_defaults_to_the_caller(
    sample: SampleServer, clients: Mapping[str, Client], operation: str
) -> None:
    """API reference: `if you do not specify a user name, IAM determines the user name implicitly`."""
    parameters = {
        name: value for name, value in parameters_of(operation, sample.parameters).items() if name != "UserName"
    }
    _, message, _, _ = answered(clients["nobody"], operation, parameters)
    assert message == sentence(arn_of("nobody"), operation, arn_of("nobody"), IDENTITY)


BY_NAME = sorted(
    operation
    for operation, resource in RESOURCES.items()
    if resource.endswith("/team/given") and resource.split("/")[0] not in ("policy", "mfa")
    if any(value == "given" for value in parameters_of(operation, {"Arn": "", "PolicySourceArn": ""}).values())
)
"""The operations that name what they are about by a name."""


@pytest.mark.parametrize("operation", BY_NAME)
def test_iam_letter_case_does_not_bypass_a_deny(
    sample: SampleServer, clients: Mapping[str, Client], operation: str
) -> None:
    """P-16: names are case-insensitive, and the found entity is authorized."""
    denied = {"Effect": "Deny", "Action": "iam:*", "Resource": f"{ARN}{RESOURCES[operation]}"}
    sample.set_permissions(allow("*"), denied)
    given = parameters_of(operation, sample.parameters)
    loud = {name: value.upper() if value == "given" else value for name, value in given.items()}
    code, message, _, _ = answered(clients["asker"], operation, loud)
    resource = resource_of(operation, arn_of("asker"))
    assert (code, message) == ("AccessDenied", sentence(arn_of("asker"), operation, resource, DENIED))


BY_ARN = sorted(
    (operation, member)
    for operation in OPERATIONS
    for member in ("Arn", "PolicySourceArn", "PolicyArn", "SerialNumber", "SAMLProviderArn", "OpenIDConnectProviderArn")
    if member in parameters_of(operation, {"EntityPath": "", "TemplateArn": "", "EntityArn": ""})
)


@pytest.mark.parametrize(("operation", "member"), BY_ARN)
def test_iam_arn_is_compared_exactly(sample: SampleServer, operation: str, member: str) -> None:
    """P-1: no other spelling reaches a denied resource."""
    before, given = sample.rows(), parameters_of(operation, sample.parameters)
    arn: str = given[member]
    end = arn.rpartition("/")[2]
    for other in (arn.replace(end, end.upper()), arn.replace("team", "TEAM"), f"{arn}/", arn.replace("/", "//", 1)):
        if other != arn:
            code, message, status, _ = answered(sample.admin, operation, given | {member: other})
            codes = ["NoSuchEntity", "InvalidInput", "ValidationError"]
            if operation == "DeleteOpenIDConnectProvider":
                codes.append("")  # deleting an absent one succeeds
            assert code in codes, (other, message, status)
    assert sample.rows() == before


LISTS = {resource: operation for operation, resource in RESOURCES.items() if resource.endswith("/")}


@pytest.mark.parametrize(("kind", "operation"), LISTS.items())
def test_iam_list_is_authorized_on_its_path(
    sample: SampleServer, clients: Mapping[str, Client], kind: str, operation: str
) -> None:
    """AWS's denials have an ARN that ends with the path; MFA devices are listed without one."""
    parameters = {} if kind == "mfa/" else {"PathPrefix": "/team/"}
    path = "team/" if parameters else ""
    _, message, _, _ = answered(clients["nobody"], operation, parameters)
    assert message == sentence(arn_of("nobody"), operation, f"{ARN}{kind}{path}", IDENTITY)


SOME = [
    ("CreateUser", {"UserName": "zoe"}, "user/zoe"),
    ("DeleteUser", {"UserName": "member"}, "user/member"),
    ("GetUser", {}, "user/member"),
    ("ListUsers", {}, "user/"),
    ("AttachUserPolicy", {"UserName": "member", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}, "user/member"),
    ("CreateAccessKey", {"UserName": "member"}, "user/member"),
    ("CreateAccountAlias", {"AccountAlias": "globex"}, None),
    ("SimulateCustomPolicy", {"PolicyInputList": ["{}"], "ActionNames": ["iam:GetUser"]}, None),
]


@pytest.mark.parametrize(("operation", "parameters", "resource"), SOME)
def test_iam_service_control_policy_limits_administrators(
    sample: SampleServer,
    clients: Mapping[str, Client],
    operation: str,
    parameters: dict[str, Any],
    resource: str | None,
) -> None:
    """E-12, X-5: the message names the policy of the same organization; the other account is not limited."""
    code, message, _, _ = answered(clients["member"], operation, parameters)
    target = "*" if resource is None else f"arn:aws:iam::{OTHER_ACCOUNT}:{resource}"
    why = "with an explicit deny in a service control policy"
    assert code == "AccessDenied"
    assert message.startswith(sentence(arn_of("member", OTHER_ACCOUNT), operation, target, why))


@pytest.mark.parametrize(("operation", "parameters", "resource"), SOME)
def test_iam_boundary_limits_administrators(
    sample: SampleServer,
    clients: Mapping[str, Client],
    operation: str,
    parameters: dict[str, Any],
    resource: str | None,
) -> None:
    """G-38: with a boundary that allows IAM the same call succeeds."""
    document = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","NotAction":"%s","Resource":"*"}}'
    parameters = {name: "asker" if value == "member" else value for name, value in parameters.items()}
    sample.set_permissions(allow("*"))
    for forbidden in ("iam:*", "docs:*"):
        made = sample.admin.create_policy(PolicyName=forbidden[:3], PolicyDocument=document % forbidden)["Policy"][
            "Arn"
        ]
        sample.admin.put_user_permissions_boundary(UserName="asker", PermissionsBoundary=made)
        code, message, _, _ = answered(clients["asker"], operation, parameters)
        if forbidden == "docs:*":
            assert code != "AccessDenied"
            return
        target = "*" if resource is None else f"{ARN}{resource.replace('member', 'asker')}"
        why = "because no permissions boundary allows the {action} action"
        assert (code, message) == ("AccessDenied", sentence(arn_of("asker"), operation, target, why))


# --- allowed -----------------------------------------------------------------------------------------------------


@every_operation
def test_iam_exact_resource_can_be_allowed(sample: SampleServer, clients: Mapping[str, Client], operation: str) -> None:
    """On the ARN in a denial; another ARN doesn't suffice."""
    client, parameters = clients["asker"], parameters_of(operation, sample.parameters)
    sample.set_permissions(allow("docs:GetDocument"))
    named = answered(client, operation, parameters)[1].partition(" on resource: ")[2].split(" ")[0]
    sample.set_permissions(allow(f"iam:{operation}", f"{named}x" if named else arn_of("team/given")))
    assert answered(client, operation, parameters)[0] == "AccessDenied"
    sample.set_permissions(allow(f"iam:{operation}", named or "*"))
    answers: list[tuple[str, str, int, str]] = []
    everything = sample.recorded(lambda: answers.append(answered(client, operation, parameters)))
    if operation in FURTHER:
        assert answers.pop()[1].startswith(
            f"User: {arn_of('asker')} is not authorized to perform: {FURTHER[operation][0]} "
        )
        sample.set_permissions(allow(f"iam:{operation}", named), allow(list(FURTHER[operation])))
        everything = sample.recorded(lambda: answers.append(answered(client, operation, parameters)))
    recorded = [each for each in everything if each["iamGuard"]["kind"] == "decision"]
    code, message, status, request_id = answers[0]
    assert code != "AccessDenied"
    assert status < 500, message
    assert names_of(recorded) == [f"iam:{operation}", *FURTHER.get(operation, ())]
    assert {(each["requestID"], each["iamGuard"]["outcome"]) for each in recorded} == {(request_id, "Allowed")}
    came_to = everything[len(recorded) :]
    assert [each["iamGuard"]["kind"] for each in came_to] in ([], [kind_of(f"iam:{operation}")])
    assert {(each["requestID"], each.get("errorCode", "")) for each in came_to} <= {(request_id, code)}
    assert len(came_to) == (code != "" or not IAM.operations[operation].reads)


def names_of(recorded: list[dict[str, Any]]) -> list[str]:
    """Return the actions of decisions."""
    return [f"{each['eventSource'].removesuffix('.amazonaws.com')}:{each['eventName']}" for each in recorded]
