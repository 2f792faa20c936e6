"""Clients in the process: their answers, errors and records are those of boto3's over HTTP."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, Principal, requires
from iam_guard.api.client import client, current_client
from iam_guard.errors import AccessDenied, ConfigurationError, IamGuardError
from iam_guard.model.request import Call
from iam_guard.store.schema import identities, inline_policies
from iam_guard.web.call_context import CurrentCall, serving
from tests.api.conftest import ACCOUNT, ADMIN_KEY, Client, Running, allow
from tests.api.in_process import KeyClient
from tests.signed_in import HOST, SAME_ORIGIN, SignedIn, signed_in
from tests.tables import table

ADMIN = f"arn:aws:iam::{ACCOUNT}:user/admin"
DOCUMENT = json.dumps({"Version": "2012-10-17", "Statement": allow("docs:Get")})
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"AWS": ADMIN}, "Action": "sts:AssumeRole"},
    }
)
_RANDOM = re.compile(r"\b(?:AIDA|AROA|AGPA|ANPA|AKIA|ASIA|AIPA)[A-Z0-9]{12,}|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{64}")

Script = Callable[[Callable[[str], Client]], list[Any]]


def iam_script(service: Callable[[str], Client]) -> list[Any]:
    """Use entities of each kind, and provoke each kind of error."""
    iam, found = service("iam"), list[Any]()
    steps: list[Callable[[], Any]] = [
        lambda: iam.create_user(UserName="rita", Path="/team/", Tags=[{"Key": "a", "Value": "é"}]),
        lambda: iam.create_user(UserName="RITA"),
        lambda: iam.get_user(UserName="none"),
        lambda: iam.get_user(UserName="not valid"),
        lambda: iam.get_user(),
        lambda: iam.create_access_key(UserName="rita"),
        lambda: iam.list_access_keys(UserName="rita"),
        lambda: iam.create_policy(PolicyName="Read", PolicyDocument=DOCUMENT, Description="reads"),
        lambda: iam.create_policy(PolicyName="Bad", PolicyDocument="{}"),
        lambda: iam.get_policy_version(PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/Read", VersionId="v1"),
        lambda: iam.attach_user_policy(UserName="rita", PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/Read"),
        lambda: iam.put_user_policy(UserName="rita", PolicyName="own", PolicyDocument=DOCUMENT),
        lambda: iam.get_user_policy(UserName="rita", PolicyName="own"),
        lambda: iam.delete_user(UserName="rita"),
        lambda: iam.create_role(RoleName="work", AssumeRolePolicyDocument=TRUST, MaxSessionDuration=3600),
        lambda: iam.get_role(RoleName="work"),
        lambda: iam.create_group(GroupName="team"),
        lambda: iam.add_user_to_group(GroupName="team", UserName="rita"),
        lambda: iam.get_group(GroupName="team"),
        lambda: iam.list_groups_for_user(UserName="rita"),
        lambda: iam.list_roles(MaxItems=1),
        lambda: iam.create_virtual_mfa_device(VirtualMFADeviceName="phone")["VirtualMFADevice"]["SerialNumber"],
        lambda: iam.get_account_summary(),
        lambda: iam.generate_credential_report(),
        lambda: iam.get_credential_report()["GeneratedTime"],
        lambda: iam.get_account_authorization_details(),
        lambda: iam.simulate_custom_policy(PolicyInputList=[DOCUMENT], ActionNames=["docs:Get", "docs:Put"]),
        lambda: iam.upload_server_certificate(ServerCertificateName="c", CertificateBody="x", PrivateKey="y"),
        lambda: iam.update_account_password_policy(MinimumPasswordLength=200),
        lambda: iam.get_account_password_policy(),
        lambda: iam.delete_group(GroupName="team"),
        lambda: iam.create_user(UserName=7),
        lambda: iam.list_users(NoSuch="x"),
    ]
    for step in steps:
        found.append(answer_of(step))
    return found


def other_script(service: Callable[[str], Client]) -> list[Any]:
    """Use the other services: the query protocol, and REST with JSON."""
    iam, sts, analyzer = service("iam"), service("sts"), service("accessanalyzer")
    iam.create_role(RoleName="work", AssumeRolePolicyDocument=TRUST)
    arn = f"arn:aws:access-analyzer:us-east-1:{ACCOUNT}:analyzer/a"
    steps: list[Callable[[], Any]] = [
        lambda: sts.get_caller_identity(),
        lambda: sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/work", RoleSessionName="s")["AssumedRoleUser"],
        lambda: sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/none", RoleSessionName="s"),
        lambda: sts.get_session_token(DurationSeconds=1),
        lambda: sts.decode_authorization_message(EncodedMessage="x"),
        lambda: sts.assume_role_with_web_identity(RoleArn=f"{ADMIN}x", RoleSessionName="s", WebIdentityToken="a.b.c"),
        lambda: analyzer.create_analyzer(analyzerName="a", type="ACCOUNT", tags={"a": "b"}),
        lambda: analyzer.create_analyzer(analyzerName="a", type="ACCOUNT_UNUSED_ACCESS"),
        lambda: analyzer.get_analyzer(analyzerName="a"),
        lambda: analyzer.get_analyzer(analyzerName="none"),
        lambda: analyzer.list_findings_v2(analyzerArn=arn),
        lambda: analyzer.validate_policy(policyDocument=DOCUMENT, policyType="IDENTITY_POLICY"),
        lambda: analyzer.validate_policy(policyDocument=DOCUMENT, policyType="NO_TYPE"),
        lambda: analyzer.check_no_public_access(policyDocument=DOCUMENT, resourceType="AWS::S3::Bucket"),
        lambda: analyzer.tag_resource(resourceArn=arn, tags={}),
        lambda: analyzer.delete_analyzer(analyzerName="a"),
    ]
    return [answer_of(step) for step in steps]


def answer_of(step: Callable[[], Any]) -> Any:
    try:
        return plain(step())
    except ClientError as error:
        return type(error).__name__, plain(error.response), error.operation_name, _RANDOM.sub("…", str(error))
    except ParamValidationError as error:
        return str(error)


def plain(value: Any) -> Any:
    """Return an answer without what is random, and without the headers of HTTP."""
    if isinstance(value, dict):
        hidden = ("HTTPHeaders", "SecretAccessKey")
        return {name: plain(element) for name, element in value.items() if name not in hidden}
    if isinstance(value, list):
        return [plain(element) for element in value]
    return _RANDOM.sub("…", value) if isinstance(value, str) else value


@table("script", [iam_script, other_script])
def test_answers_and_errors_are_those_over_http(server: Running, script: Script) -> None:
    """The classes of exceptions too, and what the clients refuse themselves."""
    server.reset()
    over_http = script(lambda service: server.client(ADMIN_KEY, service))
    server.reset()
    in_process = script(lambda service: KeyClient(server.guard, ADMIN_KEY, service))
    for number, (answer, expected) in enumerate(zip(in_process, over_http, strict=True)):
        assert answer == expected, number


@pytest.fixture
def admin(server: Running) -> Client:
    return client(server.guard, "iam", Principal.from_arn(ADMIN))


def test_pages_waiters_and_exceptions(admin: Client) -> None:
    for number in range(5):
        admin.create_user(UserName=f"user-{number}")
    pages = list(admin.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["Users"]) for page in pages] == [2, 2, 2]
    assert admin.can_paginate("list_users")
    assert not admin.can_paginate("get_user")
    admin.get_waiter("user_exists").wait(UserName="user-1")
    with pytest.raises(admin.exceptions.NoSuchEntityException):
        admin.get_user(UserName="none")
    assert admin.meta.service_model.service_name == "iam"
    admin.close()


def test_exceptions_are_errors_of_iam_guard(server: Running) -> None:
    """Uncaught in a handler, a denial answers 403, and all others 500."""
    outsider = client(server.guard, "iam", Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/none"))
    with pytest.raises(AccessDenied) as denied:
        outsider.create_user(UserName="x")
    assert isinstance(denied.value, ClientError)
    assert (denied.value.status, denied.value.response["ResponseMetadata"]["HTTPStatusCode"]) == (403, 403)
    iam = client(server.guard, "iam", Principal.from_arn(ADMIN))
    with pytest.raises(IamGuardError) as missing:
        iam.get_user(UserName="none")
    assert (missing.value.code, missing.value.status) == ("NoSuchEntity", 500)
    assert str(missing.value).startswith("An error occurred (NoSuchEntity) when calling the GetUser operation: ")


def test_each_operation_refuses_a_caller_without_permission(server: Running, client_for: Any) -> None:
    """The answer is that over HTTP, and nothing is changed."""
    client_for("none")
    over_http = server.client(("AKIA000000000000NONE", "secret-of-none"))
    in_process = client(server.guard, "iam", Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/none"))
    for name, parameters in {
        "create_user": {"UserName": "x"},
        "delete_user": {"UserName": "admin"},
        "list_users": {},
        "put_user_policy": {"UserName": "none", "PolicyName": "p", "PolicyDocument": DOCUMENT},
        "attach_user_policy": {"UserName": "none", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
    }.items():
        answers = [answer_of(lambda: getattr(asking, name)(**parameters)) for asking in (in_process, over_http)]  # noqa: B023
        assert answers[0] == answers[1]
        assert answers[0][1]["Error"]["Code"] == "AccessDenied"


def test_decision_after_a_call_sees_its_change(server: Running, admin: Client) -> None:
    admin.create_user(UserName="new")
    new = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/new")
    assert not server.guard.decide(new, "docs:Get", "*").allowed
    admin.put_user_policy(UserName="new", PolicyName="p", PolicyDocument=DOCUMENT)
    assert server.guard.decide(new, "docs:Get", "*").allowed
    admin.delete_user_policy(UserName="new", PolicyName="p")
    assert not server.guard.decide(new, "docs:Get", "*").allowed


def test_parameters_and_answers_are_copies(admin: Client) -> None:
    tags = [{"Key": "a", "Value": "b"}]
    made = admin.create_user(UserName="rita", Tags=tags)
    made["User"]["Tags"][0]["Value"] = "changed"
    tags[0]["Value"] = "changed too"
    found = admin.get_user(UserName="rita")["User"]
    assert found["Tags"] == [{"Key": "a", "Value": "b"}]
    assert isinstance(found["CreateDate"], datetime)
    assert found["CreateDate"].tzinfo is not None


@table(("service", "principal"), [("s3", ADMIN), ("organizations", ADMIN), ("iam", "arn:aws:iam::1:user/x")])
def test_unknown_service_or_caller_is_an_error(server: Running, service: str, principal: str) -> None:
    caller: Any = Principal.from_arn(principal) if service != "iam" else principal
    with pytest.raises(ConfigurationError):
        client(server.guard, service, caller)


def test_client_makes_no_urls(admin: Client) -> None:
    with pytest.raises(ConfigurationError, match="credentials"):
        admin.generate_presigned_url("get_user")


def test_settings_of_aws_tools_are_not_read(tmp_path: Path) -> None:
    """Profiles, credentials and endpoints of the environment are none of a client in the process."""
    (tmp_path / "config").write_text("[default]\nregion = nowhere\nendpoint_url = http://127.0.0.1:9\n")
    program = (
        "from iam_guard import Principal, open_guard\nfrom iam_guard.api.client import client\n"
        "guard = open_guard('sqlite://', create=True, audit='audit.jsonl')\n"
        "iam = client(guard, 'iam', Principal.from_arn('arn:aws:iam::111122223333:user/none'))\n"
        "try:\n    iam.list_users()\nexcept iam.exceptions.ClientError as error:\n"
        "    print(error.response['Error']['Code'])\n"
    )
    environment = {"AWS_PROFILE": "missing", "AWS_CONFIG_FILE": str(tmp_path / "config"), "PATH": ""}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("AccessDenied\n", 0), done.stderr


# --- the caller of the current request ---------------------------------------------------------------------------


@requires("docs:GetDocument", resource="*")
async def who(request: Request) -> Response:
    return PlainTextResponse(current_client("sts").get_caller_identity()["Arn"])


@requires("docs:GetDocument", resource="*")
def make(request: Request) -> Response:
    current_client("iam").create_user(UserName=request.query_params["name"])
    return PlainTextResponse("made")


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[SignedIn]:
    with signed_in(tmp_path, sign_in_url="/signin") as made:
        yield made


def application(guard: Guard) -> TestClient:
    routes = [Route("/who", who), Route("/make", make, methods=["GET", "POST"])]
    app = Starlette(routes=routes)
    return TestClient(GuardMiddleware(app, guard=guard), base_url=f"https://{HOST}", follow_redirects=False)


def permit(harness: SignedIn, *actions: str) -> None:
    statements = [allow(["docs:*", *actions])]
    text = json.dumps({"Version": "2012-10-17", "Statement": statements})
    with harness.guard.store.write_transaction() as records:
        changed = {"text": text, "digest": "0" * 64}
        assert records.update(inline_policies, changed, identity_id=harness.person.user_id)
    harness.guard.refresh()


def users(harness: SignedIn) -> set[str]:
    with harness.guard.store.read_transaction() as records:
        return {row["name"] for row in records.all(identities)}


def test_current_client_acts_as_the_person(harness: SignedIn) -> None:
    """With the request's id in the record; a denial of the client answers 403."""
    permit(harness)
    web = application(harness.guard)
    assert web.get("/who", headers=harness.cookie).text == harness.person.arn
    refused = web.post("/make?name=ann", headers={**harness.cookie, **harness.csrf})
    assert (refused.status_code, "ann" in users(harness)) == (403, False)
    permit(harness, "iam:CreateUser")
    made = web.post("/make?name=ann", headers={**harness.cookie, **harness.csrf})
    assert (made.status_code, "ann" in users(harness)) == (200, True)
    record = next(record for record in reversed(harness.records()) if record["eventName"] == "CreateUser")
    assert record["requestID"] == made.headers["x-amzn-requestid"]
    assert record["userIdentity"]["arn"] == harness.person.arn


@table(
    ("method", "headers", "status"),
    [
        ("GET", {}, 403),
        ("GET", {"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 403),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 403),
        ("GET", {"sec-fetch-site": "same-site"}, 403),
        ("POST", {}, 403),
        ("POST", {"origin": "https://evil.example"}, 403),
        ("GET", SAME_ORIGIN, 200),
        ("POST", SAME_ORIGIN, 200),
    ],
)
def test_another_site_can_change_nothing(harness: SignedIn, method: str, headers: dict[str, str], status: int) -> None:
    """Whatever the method of the handler; reads are allowed."""
    permit(harness, "iam:CreateUser")
    name = secrets.token_hex(4)
    answer = application(harness.guard).request(method, f"/make?name={name}", headers={**harness.cookie, **headers})
    assert (answer.status_code, name in users(harness)) == (status, status == 200)


def test_client_ends_with_its_request(server: Running) -> None:
    admin = Principal.from_arn(ADMIN)
    with serving(CurrentCall(server.guard, admin, Call("request-1"))) as call:
        kept = current_client("iam")
        assert kept.get_user(UserName="admin")["ResponseMetadata"]["RequestId"] == "request-1"
    call.is_over = True
    with pytest.raises(ConfigurationError, match="over"):
        kept.get_user(UserName="admin")
    with pytest.raises(ConfigurationError):
        current_client("iam")
