"""`curl --aws-sigv4` calls the API without an SDK: the exact responses and errors."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from tests.clients.conftest import Name
from tests.clients.programs import REGION, installed_on_machine, run
from tests.clients.serving import Server

VERSION = "2010-05-08"
NAMESPACE = f"https://iam.amazonaws.com/doc/{VERSION}/"
INVALID_TOKEN = "The security token included in the request is invalid."
WRONG_SIGNATURE = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)


@dataclass(frozen=True, slots=True)
class Response:
    """The HTTP response that curl received."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def root(self) -> ElementTree.Element:
        return ElementTree.fromstring(self.body)  # noqa: S314  the response of the test's own server

    def text(self, path: str) -> str | None:
        """Return the text of the element at `path` in any namespace; protocol errors have another one."""
        return self.root.findtext("/".join(f"{{*}}{step}" for step in path.split("/")))


Call = Callable[..., Response]


@pytest.fixture
def call_api(server: Server, variables: dict[str, str]) -> Call:
    """Return a function that calls the API with curl; `key=None`: unsigned, `get=True`: parameters in the URL."""
    curl = installed_on_machine("curl")

    def call_with_curl(
        parameters: dict[str, str],
        *,
        get: bool = False,
        key: tuple[str, str] | None = server.key,
        service: str = "iam",
        region: str = REGION,
    ) -> Response:
        command = [curl, "--disable", "--silent", "--show-error", "--include", *(["--get"] if get else [])]
        if key is not None:
            command += ["--aws-sigv4", f"aws:amz:{region}:{service}", "--user", ":".join(key)]
        for name, value in sorted(parameters.items()):  # old versions of curl do not sort a query before they sign it
            command += ["--data-urlencode", f"{name}={value}"]
        completed = run([*command, f"{server.url}/"], variables)
        assert completed.returncode == 0, completed.stderr
        return parse(completed.stdout)

    return call_with_curl


def parse(text: str) -> Response:
    head, _, body = text.partition("\n\n")
    status, *lines = head.splitlines()
    headers = (line.partition(": ") for line in lines)
    return Response(int(status.split()[1]), {name.lower(): value for name, _, value in headers}, body)


def call(action: str, **parameters: str) -> dict[str, str]:
    return {"Action": action, "Version": VERSION, **parameters}


def test_post_and_get_return_xml_with_the_request_id(call_api: Call, server: Server, name: Name) -> None:
    """XML in IAM's namespace, with the request's id in the body and in a header."""
    ada = name("ada")
    tags = {"Tags.member.1.Key": "who", "Tags.member.1.Value": "Ada é=+ /"}
    created = call_api(call("CreateUser", UserName=ada, Path="/a+b&c<d>%2F/", **tags))
    assert created.status == 200, created.body
    assert created.text("CreateUserResult/User/Arn") == server.arn(f"user/a+b&c<d>%2F/{ada}")

    for get in (False, True):
        response = call_api(call("GetUser", UserName=ada), get=get)
        assert response.status == 200, response.body
        assert response.headers["content-type"].partition(";")[0] == "text/xml"
        assert response.root.tag == f"{{{NAMESPACE}}}GetUserResponse"
        assert response.text("GetUserResult/User/Path") == "/a+b&c<d>%2F/"
        assert response.text("GetUserResult/User/Tags/member/Value") == "Ada é=+ /"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", response.text("GetUserResult/User/CreateDate") or "")
        assert response.headers["x-amzn-requestid"] == response.text("ResponseMetadata/RequestId")


def test_operation_without_output_returns_only_the_request_id(call_api: Call, name: Name) -> None:
    """There is no result element."""
    call_api(call("CreateUser", UserName=name("ada")))
    response = call_api(call("DeleteUser", UserName=name("ada")))
    assert response.status == 200
    assert [element.tag for element in response.root] == [f"{{{NAMESPACE}}}ResponseMetadata"]


def test_document_is_percent_encoded(call_api: Call, name: Name) -> None:
    """A policy document is returned percent-encoded, with no `+` for a space."""
    document = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}})
    who = {"UserName": name("ada"), "PolicyName": "All"}
    call_api(call("CreateUser", UserName=name("ada")))
    call_api(call("PutUserPolicy", PolicyDocument=document, **who))
    encoded = call_api(call("GetUserPolicy", **who), get=True).text("GetUserPolicyResult/PolicyDocument") or ""
    assert encoded.startswith("%7B%22Version%22%3A%20%222012-10-17%22%2C%20%22Statement%22")
    assert "+" not in encoded


@pytest.mark.parametrize("get", [False, True], ids=["POST", "GET"])
def test_operation_error_is_xml_with_code_and_message(call_api: Call, name: Name, get: bool) -> None:
    """AWS's code and message, and the id of the request."""
    response = call_api(call("GetUser", UserName=name("nobody")), get=get)
    message = f"The user with name {name('nobody')} cannot be found."
    assert_refused(response, 404, "NoSuchEntity", message)
    assert response.root.tag == f"{{{NAMESPACE}}}ErrorResponse"


def test_wrong_secret_is_refused(call_api: Call, server: Server) -> None:
    """For any operation."""
    response = call_api(call("GetUser"), key=(server.access_key, "wrong"))
    assert_refused(response, 403, "SignatureDoesNotMatch", WRONG_SIGNATURE)


def test_signature_for_another_service_is_refused(call_api: Call) -> None:
    """The service is part of the signature."""
    response = call_api(call("GetUser"), service="s3")
    assert_refused(response, 403, "SignatureDoesNotMatch")


def test_signature_for_any_region_is_accepted(call_api: Call) -> None:
    """IAM has no region."""
    assert call_api(call("ListUsers"), region="eu-west-1").status == 200


def test_unknown_key_is_refused(call_api: Call) -> None:
    """With AWS's message."""
    response = call_api(call("GetUser"), key=("AKIATESTNOBODY000001", "secret"))
    assert_refused(response, 403, "InvalidClientTokenId", INVALID_TOKEN)


@pytest.mark.parametrize("get", [False, True], ids=["POST", "GET"])
def test_unsigned_call_is_refused(call_api: Call, get: bool) -> None:
    """With AWS's message."""
    response = call_api(call("ListUsers"), key=None, get=get)
    assert_refused(response, 403, "MissingAuthenticationToken", "Request is missing Authentication Token")


def test_unknown_action_is_refused(call_api: Call) -> None:
    """The message has its name."""
    response = call_api(call("MakeCoffee"))
    assert_refused(response, 400, "InvalidAction", f"Could not find operation MakeCoffee for version {VERSION}")


def test_call_without_action_is_refused(call_api: Call) -> None:
    """`Action` is required."""
    assert_refused(call_api({"Version": VERSION}), 400, "MissingAction")


def assert_refused(response: Response, status: int, code: str, message: str | None = None) -> None:
    assert (response.status, response.text("Error/Code")) == (status, code), response.body
    assert response.root.tag.endswith("}ErrorResponse")
    assert response.headers["content-type"].partition(";")[0] == "text/xml"
    assert response.text("Error/Type") == "Sender"
    assert message is None or (response.text("Error/Message") or "").startswith(message), response.body
    assert response.headers["x-amzn-requestid"] == response.text("RequestId")
