"""Every operation of IAM asks for permission first: who has none is told AWS's sentence, and nothing has changed.

The tests walk over botocore's current model, so that an operation which AWS adds is red here until it is built. Which
condition keys each supplies: `test_authorized_keys`. Rules F.4, X-1 to X-9, P-1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from iam_guard.api.iam.operations import IAM
from iam_guard.audit.record.call_kinds import kind_of
from tests.api.belongings import key_of
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, allow
from tests.api.every_operation import (
    ARN,
    FURTHER,
    OPERATIONS,
    RESOURCES,
    names_user_if_it_likes,
    parameters_of,
    resource_of,
)
from tests.api.furnished import House, furnished

every_operation = pytest.mark.parametrize("operation", sorted(OPERATIONS))
IDENTITY = "because no identity-based policy allows the {action} action"
DENIED = "with an explicit deny in an identity-based policy"
ANONYMOUS = "Request is missing Authentication Token"


@pytest.fixture(scope="module")
def filled() -> Iterator[House]:
    """The server of all tests here; `house` is reset."""
    with furnished() as house:
        yield house


@pytest.fixture(scope="module")
def clients(filled: House) -> Mapping[str, Client]:
    """Clients by the names of the users."""
    users = ("nobody", "denied", "asker", "member")
    return {user: filled.client(key_of(user)) for user in users} | {"anonymous": filled.anonymous()}


@pytest.fixture
def house(filled: House) -> House:
    """The server, as it was at the beginning."""
    filled.reset()
    return filled


def arn_of(user: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:user/{user}"


def sentence(caller: str, operation: str, resource: str, why: str) -> str:
    """Write AWS's sentence; where there is no resource, it names none (X-9)."""
    action = f"iam:{operation}"
    on = "" if resource == "*" else f" on resource: {resource}"
    return f"User: {caller} is not authorized to perform: {action}{on} {why.format(action=action)}"


def answered(client: Client, operation: str, parameters: Mapping[str, Any]) -> tuple[str, str, int, str]:
    """Call, and give code, message and status of the answer, and its request's id; the code is empty for a success."""
    try:
        answer = getattr(client, xform_name(operation))(**parameters)
    except ClientError as error:
        answer = error.response
    about, error = answer["ResponseMetadata"], answer.get("Error", {"Code": "", "Message": ""})
    return error["Code"], error["Message"], about["HTTPStatusCode"], about["RequestId"]


def test_the_table_has_every_operation_of_the_model() -> None:
    """No more, no less; and so have the tests here."""
    assert IAM.operations.keys() == OPERATIONS.keys()
    assert RESOURCES.keys() == OPERATIONS.keys()


# --- refused -----------------------------------------------------------------------------------------------------


@every_operation
def test_who_has_no_permission_is_refused(house: House, clients: Mapping[str, Client], operation: str) -> None:
    """F.4, X-2: in AWS's sentence, about AWS's resource; nothing is changed, and the audit trail has one record."""
    before, told = house.rows(), []
    parameters = parameters_of(operation, house.given)
    noted = house.noted(lambda: told.append(answered(clients["nobody"], operation, parameters)))
    code, message, status, request_id = told[0]
    resource = resource_of(operation, arn_of("nobody"))
    assert (code, status) == ("AccessDenied", 403)
    assert message == sentence(arn_of("nobody"), operation, resource, IDENTITY)
    assert house.rows() == before
    assert one_decision(noted) == {
        "eventSource": "iam.amazonaws.com",
        "eventName": operation,
        "requestID": request_id,
        "errorCode": "AccessDenied",
        "errorMessage": message,
        "resources": None if resource == "*" else [{"ARN": resource, "accountId": ACCOUNT}],
        "outcome": "ImplicitlyDenied",
        "who": arn_of("nobody"),
    }


def one_decision(noted: list[dict[str, Any]]) -> dict[str, Any]:
    """Return of the only record what tells who asked for what, and what became of it."""
    (record,) = noted
    members = ("eventSource", "eventName", "requestID", "errorCode", "errorMessage", "resources")
    own = record["iamGuard"]
    assert own["kind"] == "decision"
    who = record["userIdentity"].get("arn")
    return {name: record.get(name) for name in members} | {"outcome": own["outcome"], "who": who}


@every_operation
def test_who_does_not_sign_is_refused(house: House, clients: Mapping[str, Client], operation: str) -> None:
    """No operation of IAM is unsigned; the record says which was called."""
    before, told = house.rows(), []
    parameters = parameters_of(operation, house.given)
    noted = house.noted(lambda: told.append(answered(clients["anonymous"], operation, parameters)))
    assert told[0][:3] == ("MissingAuthenticationToken", ANONYMOUS, 403)
    assert house.rows() == before
    (record,) = noted
    named = (record["eventName"], record["errorCode"], record["requestID"], record["iamGuard"]["outcome"])
    assert named == (operation, "MissingAuthenticationToken", told[0][3], "ImplicitlyDenied")


@every_operation
def test_an_explicit_deny_wins(house: House, clients: Mapping[str, Client], operation: str) -> None:
    """F.4: over `AdministratorAccess`; X-5: an inline policy has no ARN to be told."""
    before = house.rows()
    code, message, status, _ = answered(clients["denied"], operation, parameters_of(operation, house.given))
    assert (code, status) == ("AccessDenied", 403)
    assert message == sentence(arn_of("denied"), operation, resource_of(operation, arn_of("denied")), DENIED)
    assert house.rows() == before


CALLERS_OWN = sorted(name for name, operation in OPERATIONS.items() if names_user_if_it_likes(operation))


@pytest.mark.parametrize("operation", CALLERS_OWN)
def test_without_a_user_name_it_is_about_the_caller(
    house: House, clients: Mapping[str, Client], operation: str
) -> None:
    """Of the API: `if you do not specify a user name, IAM determines the user name implicitly`."""
    parameters = {name: value for name, value in parameters_of(operation, house.given).items() if name != "UserName"}
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
def test_letter_case_is_no_way_around_a_deny(house: House, clients: Mapping[str, Client], operation: str) -> None:
    """P-16: a name is found in any letter case, and what is decided about is what is found."""
    denied = {"Effect": "Deny", "Action": "iam:*", "Resource": f"{ARN}{RESOURCES[operation]}"}
    house.let(allow("*"), denied)
    given = parameters_of(operation, house.given)
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
def test_an_arn_means_itself_letter_by_letter(house: House, operation: str, member: str) -> None:
    """P-1: so that no other spelling leads to something that a policy denies by its ARN."""
    before, given = house.rows(), parameters_of(operation, house.given)
    arn: str = given[member]
    end = arn.rpartition("/")[2]
    for other in (arn.replace(end, end.upper()), arn.replace("team", "TEAM"), f"{arn}/", arn.replace("/", "//", 1)):
        if other != arn:
            code, message, status, _ = answered(house.admin, operation, given | {member: other})
            assert code in ("NoSuchEntity", "InvalidInput", "ValidationError"), (other, message, status)
    assert house.rows() == before


LISTS = {resource: operation for operation, resource in RESOURCES.items() if resource.endswith("/")}


@pytest.mark.parametrize(("kind", "operation"), LISTS.items())
def test_a_list_below_a_path_is_about_the_path(
    house: House, clients: Mapping[str, Client], kind: str, operation: str
) -> None:
    """AWS's refusals name an ARN that ends with the path; MFA devices are listed without one."""
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
def test_a_service_control_policy_binds_an_administrator(
    house: House, clients: Mapping[str, Client], operation: str, parameters: dict[str, Any], resource: str | None
) -> None:
    """E-12, X-5: the sentence names the policy, which is of the same organization; the other account is not bound."""
    code, message, _, _ = answered(clients["member"], operation, parameters)
    target = "*" if resource is None else f"arn:aws:iam::{OTHER_ACCOUNT}:{resource}"
    why = "with an explicit deny in a service control policy"
    assert code == "AccessDenied"
    assert message.startswith(sentence(arn_of("member", OTHER_ACCOUNT), operation, target, why))


@pytest.mark.parametrize(("operation", "parameters", "resource"), SOME)
def test_a_boundary_that_lacks_the_action_binds_an_administrator(
    house: House, clients: Mapping[str, Client], operation: str, parameters: dict[str, Any], resource: str | None
) -> None:
    """G-38: the boundary allows everything but IAM; with a boundary that allows IAM the same call is let through."""
    document = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","NotAction":"%s","Resource":"*"}}'
    parameters = {name: "asker" if value == "member" else value for name, value in parameters.items()}
    house.let(allow("*"))
    for forbidden in ("iam:*", "docs:*"):
        made = house.admin.create_policy(PolicyName=forbidden[:3], PolicyDocument=document % forbidden)["Policy"]["Arn"]
        house.admin.put_user_permissions_boundary(UserName="asker", PermissionsBoundary=made)
        code, message, _, _ = answered(clients["asker"], operation, parameters)
        if forbidden == "docs:*":
            assert code != "AccessDenied"
            return
        target = "*" if resource is None else f"{ARN}{resource.replace('member', 'asker')}"
        why = "because no permissions boundary allows the {action} action"
        assert (code, message) == ("AccessDenied", sentence(arn_of("asker"), operation, target, why))


# --- let through -------------------------------------------------------------------------------------------------


@every_operation
def test_exactly_the_resource_may_be_allowed(house: House, clients: Mapping[str, Client], operation: str) -> None:
    """A policy on the ARN that a denial names lets the call through, one on another ARN does not (B.2)."""
    client, parameters = clients["asker"], parameters_of(operation, house.given)
    house.let(allow("docs:GetDocument"))
    named = answered(client, operation, parameters)[1].partition(" on resource: ")[2].split(" ")[0]
    house.let(allow(f"iam:{operation}", f"{named}x" if named else arn_of("team/given")))
    assert answered(client, operation, parameters)[0] == "AccessDenied"
    house.let(allow(f"iam:{operation}", named or "*"))
    told: list[tuple[str, str, int, str]] = []
    everything = house.noted(lambda: told.append(answered(client, operation, parameters)))
    if operation in FURTHER:
        assert told.pop()[1].startswith(
            f"User: {arn_of('asker')} is not authorized to perform: {FURTHER[operation][0]} "
        )
        house.let(allow(f"iam:{operation}", named), allow(list(FURTHER[operation])))
        everything = house.noted(lambda: told.append(answered(client, operation, parameters)))
    noted = [each for each in everything if each["iamGuard"]["kind"] == "decision"]
    code, message, status, request_id = told[0]
    assert code != "AccessDenied"
    assert status < 500, message
    assert names_of(noted) == [f"iam:{operation}", *FURTHER.get(operation, ())]
    assert {(each["requestID"], each["iamGuard"]["outcome"]) for each in noted} == {(request_id, "Allowed")}
    came_to = everything[len(noted) :]
    assert [each["iamGuard"]["kind"] for each in came_to] in ([], [kind_of(f"iam:{operation}")])
    assert {(each["requestID"], each.get("errorCode", "")) for each in came_to} <= {(request_id, code)}
    assert len(came_to) == (code != "" or not IAM.operations[operation].reads)


def names_of(noted: list[dict[str, Any]]) -> list[str]:
    """Return the actions of decisions."""
    return [f"{each['eventSource'].removesuffix('.amazonaws.com')}:{each['eventName']}" for each in noted]
