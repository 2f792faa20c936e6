"""The application itself as a caller: its policy, its limits, the account's control policies, and its records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from iam_guard import Guard, Principal, open_guard
from iam_guard.api.application_caller import LIMITS
from iam_guard.api.client import client
from iam_guard.api.session_limits import check_session_limits
from iam_guard.api.signin.tool_operations import SIGNIN
from iam_guard.api.sts.operations import STS
from iam_guard.errors import AccessDenied, ConfigurationError
from iam_guard.model.request import Call
from iam_guard.web.call_context import CurrentCall, serving
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, allow
from tests.api.every_operation import OPERATIONS, parameters_of
from tests.api.sample_server import SampleServer, sample_server
from tests.tables import table

EVERYTHING = json.dumps({"Version": "2012-10-17", "Statement": allow("*")})
REFUSED = {"AddRoleToInstanceProfile", "CreateRole", "CreateServiceLinkedRole", "UpdateAssumeRolePolicy"}
ADMIN = f"arn:aws:iam::{ACCOUNT}:user/admin"


@pytest.fixture(scope="module")
def sample_session() -> Iterator[SampleServer]:
    with sample_server() as sample:
        yield sample


@pytest.fixture
def sample(sample_session: SampleServer) -> SampleServer:
    """The server in its initial state."""
    sample_session.reset()
    return sample_session


def code_of(service: Any, operation: str, parameters: dict[str, Any]) -> str:
    """Return the code of an error; empty for a success."""
    try:
        getattr(service, xform_name(operation))(**parameters)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def application(account: str = ACCOUNT, policy: str = EVERYTHING) -> Principal:
    return Principal.application("docs", account, (policy, LIMITS), "test")


# --- what it can do ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_no_setting_gives_trust_policies_or_passes_roles(sample: SampleServer, operation: str) -> None:
    """With a policy that allows everything, each operation is authorized but those."""
    iam, before = client(sample.guard, "iam", application()), sample.rows()
    code = code_of(iam, operation, parameters_of(operation, sample.parameters))
    assert (code == "AccessDenied") is (operation in REFUSED)
    assert code != "InternalFailure"
    if operation in REFUSED:
        assert sample.rows() == before


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_policy_is_all_that_it_has(sample: SampleServer, operation: str) -> None:
    """And the control policies of the account bind it, which here allow nothing of IAM."""
    before = sample.rows()
    nothing = json.dumps({"Version": "2012-10-17", "Statement": allow("docs:*")})
    parameters = parameters_of(operation, sample.parameters)
    assert code_of(client(sample.guard, "iam", application(policy=nothing)), operation, parameters) == "AccessDenied"
    elsewhere = parameters_of(operation, sample.other_parameters)
    assert code_of(client(sample.guard, "iam", application(OTHER_ACCOUNT)), operation, elsewhere) == "AccessDenied"
    assert sample.rows() == before


def test_another_account_is_out_of_reach(sample: SampleServer) -> None:
    iam = client(sample.guard, "iam", application())
    assert code_of(iam, "GetPolicy", {"PolicyArn": f"arn:aws:iam::{OTHER_ACCOUNT}:policy/other"}) in (
        "AccessDenied",
        "NoSuchEntity",
    )


@table("service", [STS, SIGNIN], ids=["sts", "signin"])
def test_it_gets_no_sessions(service: Any) -> None:
    """Not even from operations that need no permission."""
    for operation in service.operations:
        with pytest.raises(AccessDenied):
            check_session_limits(application(), service.prefix, operation)


@table(
    ("operation", "parameters"),
    [
        ("GetCallerIdentity", {}),
        ("GetSessionToken", {}),
        ("GetFederationToken", {"Name": "two"}),
        ("AssumeRole", {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/given", "RoleSessionName": "two"}),
    ],
)
def test_sts_refuses_it(sample: SampleServer, operation: str, parameters: dict[str, Any]) -> None:
    assert code_of(client(sample.guard, "sts", application()), operation, parameters) == "AccessDenied"


def test_root_user_is_out_of_reach(sample: SampleServer) -> None:
    root = f"arn:aws:iam::{ACCOUNT}:root"
    for resource in (root, f"arn:aws:iam::{ACCOUNT}:mfa/root-account-mfa-device"):
        assert not sample.guard.decide(application(), "iam:DeactivateMFADevice", resource).allowed
    assert not sample.guard.decide(application(), "iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/given").allowed


@table(
    ("operation", "parameters", "allowed"),
    [
        ("ListUsers", {}, True),
        ("GetUser", {"UserName": "admin"}, True),
        ("CreateUser", {"UserName": "new"}, True),
        ("AddUserToGroup", {"UserName": "admin", "GroupName": "given"}, True),
        ("CreateLoginProfile", {"UserName": "nobody", "Password": "Correct-Horse-9"}, False),
        ("CreateAccessKey", {"UserName": "admin"}, False),
        ("PutUserPolicy", {"UserName": "nobody", "PolicyName": "p", "PolicyDocument": EVERYTHING}, False),
        ("DeleteUser", {"UserName": "nobody"}, False),
    ],
)
def test_default_policy(sample: SampleServer, operation: str, parameters: dict[str, Any], *, allowed: bool) -> None:
    iam = client(sample.guard, "iam", account=ACCOUNT, reason="sign-up")
    assert (code_of(iam, operation, parameters) == "AccessDenied") is not allowed


@table("account", ["999988887777"])
def test_account_must_exist(sample: SampleServer, account: str) -> None:
    assert code_of(client(sample.guard, "iam", account=account, reason="x"), "ListUsers", {}) == "AccessDenied"


def test_suspended_account_is_out_of_reach(sample: SampleServer) -> None:
    iam = client(sample.guard, "iam", account=ACCOUNT, reason="sign-up")
    iam.list_users()
    sample.guard.accounts.suspend(ACCOUNT)
    assert code_of(iam, "ListUsers", {}) == "AccessDenied"


# --- in a request ------------------------------------------------------------------------------------------------


def serve(guard: Guard, caller: Principal) -> Any:
    return serving(CurrentCall(guard, caller, Call("request-1", source_ip="192.0.2.7")))


@table(
    ("caller", "across_accounts", "works"),
    [
        (Principal.from_arn(ADMIN), False, True),
        (Principal.from_arn(f"arn:aws:iam::{OTHER_ACCOUNT}:user/member"), False, False),
        (Principal.from_arn(f"arn:aws:iam::{OTHER_ACCOUNT}:user/member"), True, True),
        (Principal.anonymous(), False, False),
        (Principal.anonymous(), True, True),
    ],
)
def test_another_account_than_the_callers_is_explicit(
    sample: SampleServer, caller: Principal, *, across_accounts: bool, works: bool
) -> None:
    """Also for a client that was made before the request."""
    made = client(sample.guard, "iam", account=ACCOUNT, reason="sign-up", across_accounts=across_accounts)
    with serve(sample.guard, caller):
        if works:
            assert made.get_user(UserName="admin")["ResponseMetadata"]["RequestId"] == "request-1"
        else:
            with pytest.raises(ConfigurationError, match="across_accounts"):
                made.get_user(UserName="admin")
    made.get_user(UserName="admin")


def test_records_name_the_application_its_reason_and_the_requester(sample: SampleServer) -> None:
    iam = client(sample.guard, "iam", account=ACCOUNT, reason="sign-up of Ann")

    def act() -> None:
        with serve(sample.guard, Principal.from_arn(ADMIN)):
            iam.create_user(UserName="ann")
            with pytest.raises(ClientError):
                iam.delete_user(UserName="ann")

    records = sample.recorded(act)
    names = [(record["eventName"], record["iamGuard"]["kind"], record.get("errorCode")) for record in records]
    assert names == [
        ("CreateUser", "decision", None),
        ("CreateUser", "admin_call", None),
        ("DeleteUser", "decision", "AccessDenied"),
    ]
    for record in records:
        assert record["userIdentity"] == {"type": "AWSService", "invokedBy": "iam-guard", "accountId": ACCOUNT}
        assert record["iamGuard"]["statedReason"] == "sign-up of Ann"
        assert (record["requestID"], record["recipientAccountId"]) == ("request-1", ACCOUNT)
    assert records[1]["iamGuard"]["caller"]["arn"] == ADMIN


# --- arguments and the setting -----------------------------------------------------------------------------------


@table(
    "arguments",
    [
        {},
        {"account": ACCOUNT},
        {"account": ACCOUNT, "reason": ""},
        {"account": ACCOUNT, "reason": "x" * 201},
        {"account": ACCOUNT, "reason": "two\nlines"},
        {"account": "acme", "reason": "x"},
        {"account": 111122223333, "reason": "x"},
        {"reason": "x"},
        {"principal": Principal.from_arn(ADMIN), "account": ACCOUNT, "reason": "x"},
        {"principal": Principal.from_arn(ADMIN), "reason": "x"},
    ],
)
def test_invalid_arguments_are_refused(sample: SampleServer, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        client(sample.guard, "iam", **arguments)


@table("policy", ["{", "{}", json.dumps({"Version": "2012-10-17", "Statement": {**allow("*"), "Principal": "*"}})])
def test_invalid_policy_is_refused_at_start_up(policy: str) -> None:
    with pytest.raises(ConfigurationError, match="identity-based policy"):
        open_guard("sqlite://", create=True, application_policy=policy)


def test_setting_replaces_the_default() -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": allow("iam:DeleteUser")})
    with closing(open_guard("sqlite://", create=True, application_policy=policy)) as guard:
        account = guard.accounts.create("acme").id
        iam = client(guard, "iam", account=account, reason="clean-up")
        codes = [code_of(iam, name, {"UserName": "ann"}) for name in ("CreateUser", "DeleteUser")]
    assert codes == ["AccessDenied", "NoSuchEntity"]


def test_condition_on_the_reason(sample: SampleServer) -> None:
    statement = {**allow("iam:ListUsers"), "Condition": {"StringEquals": {"iam-guard:Reason": "test"}}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    other = Principal.application("docs", ACCOUNT, (policy, LIMITS), "another")
    assert code_of(client(sample.guard, "iam", application(policy=policy)), "ListUsers", {}) == ""
    assert code_of(client(sample.guard, "iam", other), "ListUsers", {}) == "AccessDenied"


def test_application_cannot_be_sealed(sample: SampleServer) -> None:
    """A text from elsewhere never becomes the application."""
    with pytest.raises(Exception, match="account"):
        Principal.from_dict(application().to_dict())
