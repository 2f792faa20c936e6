"""`curl --aws-sigv4` speaks to us without an SDK: what we say, byte for byte, when we answer and when we refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from tests.clients.conftest import Name
from tests.clients.programs import REGION, on_machine, run
from tests.clients.serving import Server

VERSION = "2010-05-08"
NAMESPACE = f"https://iam.amazonaws.com/doc/{VERSION}/"
INVALID_TOKEN = "The security token included in the request is invalid."
WRONG_SIGNATURE = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What curl got."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def root(self) -> ElementTree.Element:
        return ElementTree.fromstring(self.body)  # noqa: S314  our own server's answer

    def text(self, path: str) -> str | None:
        """Return the text of the element at `path`, whatever its namespace: faults of the protocol have another one."""
        return self.root.findtext("/".join(f"{{*}}{step}" for step in path.split("/")))


Ask = Callable[..., Answer]


@pytest.fixture
def ask(server: Server, variables: dict[str, str]) -> Ask:
    """Make one call with curl; `key=None` leaves it unsigned, `get=True` puts the parameters into the URL."""
    curl = on_machine("curl")

    def asked(
        parameters: dict[str, str],
        *,
        get: bool = False,
        key: tuple[str, str] | None = server.key,
        service: str = "iam",
        region: str = REGION,
    ) -> Answer:
        command = [curl, "--disable", "--silent", "--show-error", "--include", *(["--get"] if get else [])]
        if key is not None:
            command += ["--aws-sigv4", f"aws:amz:{region}:{service}", "--user", ":".join(key)]
        for name, value in sorted(parameters.items()):  # an old curl signs a query as it stands
            command += ["--data-urlencode", f"{name}={value}"]
        ended = run([*command, f"{server.url}/"], variables)
        assert ended.returncode == 0, ended.stderr
        return parse(ended.stdout)

    return asked


def parse(text: str) -> Answer:
    head, _, body = text.partition("\n\n")
    status, *lines = head.splitlines()
    headers = (line.partition(": ") for line in lines)
    return Answer(int(status.split()[1]), {name.lower(): value for name, _, value in headers}, body)


def call(action: str, **parameters: str) -> dict[str, str]:
    return {"Action": action, "Version": VERSION, **parameters}


def test_a_call(ask: Ask, server: Server, name: Name) -> None:
    """POST and GET are answered alike: XML in IAM's namespace, with the id of the request in it and in a header."""
    ada = name("ada")
    tags = {"Tags.member.1.Key": "who", "Tags.member.1.Value": "Ada é=+ /"}
    made = ask(call("CreateUser", UserName=ada, Path="/a+b&c<d>%2F/", **tags))
    assert made.status == 200, made.body
    assert made.text("CreateUserResult/User/Arn") == server.arn(f"user/a+b&c<d>%2F/{ada}")

    for get in (False, True):
        answer = ask(call("GetUser", UserName=ada), get=get)
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"].partition(";")[0] == "text/xml"
        assert answer.root.tag == f"{{{NAMESPACE}}}GetUserResponse"
        assert answer.text("GetUserResult/User/Path") == "/a+b&c<d>%2F/"
        assert answer.text("GetUserResult/User/Tags/member/Value") == "Ada é=+ /"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", answer.text("GetUserResult/User/CreateDate") or "")
        assert answer.headers["x-amzn-requestid"] == answer.text("ResponseMetadata/RequestId")


def test_an_operation_without_output(ask: Ask, name: Name) -> None:
    """An operation that gives nothing has no result element, but the id of the request."""
    ask(call("CreateUser", UserName=name("ada")))
    answer = ask(call("DeleteUser", UserName=name("ada")))
    assert answer.status == 200
    assert [element.tag for element in answer.root] == [f"{{{NAMESPACE}}}ResponseMetadata"]


def test_a_document_is_percent_encoded(ask: Ask, name: Name) -> None:
    """A policy document comes back percent-encoded, with no `+` for a space."""
    document = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}})
    who = {"UserName": name("ada"), "PolicyName": "All"}
    ask(call("CreateUser", UserName=name("ada")))
    ask(call("PutUserPolicy", PolicyDocument=document, **who))
    encoded = ask(call("GetUserPolicy", **who), get=True).text("GetUserPolicyResult/PolicyDocument") or ""
    assert encoded.startswith("%7B%22Version%22%3A%20%222012-10-17%22%2C%20%22Statement%22")
    assert "+" not in encoded


@pytest.mark.parametrize("get", [False, True], ids=["POST", "GET"])
def test_an_error_of_the_operation(ask: Ask, name: Name, get: bool) -> None:
    """An error is XML with AWS's code and sentence, and the id of the request."""
    answer = ask(call("GetUser", UserName=name("nobody")), get=get)
    message = f"The user with name {name('nobody')} cannot be found."
    assert_refused(answer, 404, "NoSuchEntity", message)
    assert answer.root.tag == f"{{{NAMESPACE}}}ErrorResponse"


def test_a_wrong_secret(ask: Ask, server: Server) -> None:
    """A signature made with another secret is refused, whatever was asked."""
    answer = ask(call("GetUser"), key=(server.access_key, "wrong"))
    assert_refused(answer, 403, "SignatureDoesNotMatch", WRONG_SIGNATURE)


def test_a_wrong_service(ask: Ask) -> None:
    """A signature for another service is refused."""
    answer = ask(call("GetUser"), service="s3")
    assert_refused(answer, 403, "SignatureDoesNotMatch")


def test_any_region(ask: Ask) -> None:
    """IAM has no region: a signature for any is accepted."""
    assert ask(call("ListUsers"), region="eu-west-1").status == 200


def test_an_unknown_key(ask: Ask) -> None:
    """A key that nobody has is refused."""
    answer = ask(call("GetUser"), key=("AKIATESTNOBODY000001", "secret"))
    assert_refused(answer, 403, "InvalidClientTokenId", INVALID_TOKEN)


@pytest.mark.parametrize("get", [False, True], ids=["POST", "GET"])
def test_no_signature(ask: Ask, get: bool) -> None:
    """A call without a signature is refused."""
    answer = ask(call("ListUsers"), key=None, get=get)
    assert_refused(answer, 403, "MissingAuthenticationToken", "Request is missing Authentication Token")


def test_an_unknown_action(ask: Ask) -> None:
    """An operation that IAM has not is named in the refusal."""
    answer = ask(call("MakeCoffee"))
    assert_refused(answer, 400, "InvalidAction", f"Could not find operation MakeCoffee for version {VERSION}")


def test_no_action(ask: Ask) -> None:
    """A call must say what it asks."""
    assert_refused(ask({"Version": VERSION}), 400, "MissingAction")


def assert_refused(answer: Answer, status: int, code: str, message: str | None = None) -> None:
    assert (answer.status, answer.text("Error/Code")) == (status, code), answer.body
    assert answer.root.tag.endswith("}ErrorResponse")
    assert answer.headers["content-type"].partition(";")[0] == "text/xml"
    assert answer.text("Error/Type") == "Sender"
    assert message is None or (answer.text("Error/Message") or "").startswith(message), answer.body
    assert answer.headers["x-amzn-requestid"] == answer.text("RequestId")
