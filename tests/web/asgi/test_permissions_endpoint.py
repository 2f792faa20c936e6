"""What a front end may ask for its user: answered like the attempt would be, recorded as no attempt (issue G)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, Principal, Resource, Service, open_guard, permissions_endpoint
from iam_guard.audit.consumer.reader import read
from iam_guard.audit.export.ocsf import ocsf_event
from iam_guard.audit.export.otel_event import log_record
from iam_guard.errors import InvalidInput
from iam_guard.settings import Settings
from iam_guard.web import permissions
from iam_guard.web.permissions import MAX_QUESTIONS, PermissionQuestions
from tests.conftest import ACME, ADA, RITA, Sign

docs = Service("docs")
OTHER = "999999999999"
COMMENT = "arn:aws:docs:{region}:{owner}:document/{document_id}/comment/{comment_id}"


@docs.requires("GetDocument", resource="document/{document_id}")
async def get_document(request: Request) -> Response:
    return PlainTextResponse("seen")


@docs.requires("PutDocument", resource="document/{document_id}")
async def put_document(request: Request) -> Response:
    return PlainTextResponse("put")


@docs.requires("GetComment", resource=COMMENT)
async def get_comment(request: Request) -> Response:
    return PlainTextResponse("seen")


@docs.requires("ListDocuments")
async def list_documents(request: Request) -> Response:
    return PlainTextResponse("none")


ROUTES = [
    Route("/documents/{document_id}", get_document, methods=["GET"]),
    Route("/documents/{document_id}", put_document, methods=["PUT"]),
    Route("/documents", list_documents),
    Route("/accounts/{owner}/{document_id}/comments/{comment_id}", get_comment),
    Route("/permissions", permissions_endpoint(docs), methods=["POST"]),
]
Ask = Callable[..., Any]


@pytest.fixture
def ask(guard: Guard, sign: Sign) -> Iterator[Ask]:
    """Post a document as somebody."""
    with TestClient(Starlette(routes=ROUTES, middleware=[Middleware(GuardMiddleware, guard=guard)])) as client:

        def post(document: Any, key: tuple[str, str] | None = RITA) -> Any:
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            headers = {} if key is None else sign(key, "POST", "/permissions", body=body)
            return client.post("/permissions", content=body, headers=headers)

        yield post


def test_answers_are_those_of_the_attempts(ask: Ask) -> None:
    questions = [
        {"action": "docs:GetDocument", "resource": "document/7"},
        {"action": "docs:PutDocument", "resource": "document/7"},
        {"action": "docs:GetDocument", "resource": f"arn:aws:docs:us-east-1:{OTHER}:document/7"},
        {"action": "docs:ListDocuments"},
    ]
    rita, ada = ask({"questions": questions}), ask({"questions": questions}, ADA)
    assert rita.headers["cache-control"] == "no-store"
    assert [each["allowed"] for each in rita.json()["answers"]] == [True, False, False, False]
    assert [each["allowed"] for each in ada.json()["answers"]] == [True, True, False, True]
    assert rita.json()["answers"][1] == {"action": "docs:PutDocument", "resource": "document/7", "allowed": False}


def test_resource_alone_stands_for_the_actions_declared_for_its_kind(ask: Ask) -> None:
    told = ask({"resources": ["document/7"]}).json()["answers"]
    assert [(each["action"], each["allowed"]) for each in told] == [
        ("docs:GetDocument", True),
        ("docs:PutDocument", False),
    ]
    comment = f"arn:aws:docs:us-east-1:{ACME}:document/7/comment/9"
    actions = {each["action"] for each in ask({"resources": [comment]}).json()["answers"]}
    assert actions == {"docs:GetComment", "docs:GetDocument", "docs:PutDocument"}, "a document's id may have slashes"


def test_an_action_with_a_loader_is_asked_about_once_it_says_what_it_takes() -> None:
    """A type by its name: one that was declared, or one that follows from the template of another action."""
    things = Service("things")
    things.requires("GetThing", resource="thing/{thing_id}")
    for action in ("PutThing", "DeleteThing", "CopyBox"):
        things.requires(action, resource=lambda thing_id: None)
    questions = PermissionQuestions([things])
    caller = Principal.from_arn(f"arn:aws:iam::{ACME}:user/rita")

    def asked(resource: str) -> list[str]:
        return [each.action for each in questions.read({"resources": [resource]}, caller, Settings())]

    assert asked("thing/7") == ["things:GetThing"]
    things.declare_action("PutThing", resource_types=["thing"])
    things.declare_resource_type("box", "box/{box_id}")
    things.declare_action("CopyBox", resource_types=["box"])
    assert asked("thing/7") == ["things:GetThing", "things:PutThing"]
    assert asked("box/7") == ["things:CopyBox"]


def test_all_questions_of_a_call_are_one_record_and_no_attempt(ask: Ask, guard: Guard, audit_file: Path) -> None:
    answer = ask({"resources": ["document/7"]})
    guard.close()
    (record,) = read(audit_file)
    said = record["iamGuard"]
    assert (record["eventName"], said["kind"], said["enforced"]) == ("AskPermissions", "permissions_asked", False)
    assert record["requestID"] == answer.headers["x-amzn-requestid"]
    assert record["userIdentity"]["arn"].endswith(":user/rita")
    arn = f"arn:aws:docs:us-east-1:{ACME}:document/7"
    assert [(each["action"], each["resource"], each["outcome"]) for each in said["answers"]] == [
        ("docs:GetDocument", arn, "Allowed"),
        ("docs:PutDocument", arn, "ImplicitlyDenied"),
    ]
    assert "errorCode" not in record
    assert ocsf_event(record)["class_uid"] == 6003
    assert log_record(record)


def test_stranger_is_asked_to_sign_in_whatever_was_asked(ask: Ask) -> None:
    for document in ({"resources": ["document/7"]}, {"resources": ["nothing/7"]}, ["nothing that can be asked"]):
        assert ask(document, None).status_code == 401
    assert ask({"resources": ["document/7"]}, ("AKIATESTNOBODY000001", "x" * 40)).status_code == 401


def test_nothing_is_read_of_the_body_of_a_stranger(guard: Guard) -> None:
    app = GuardMiddleware(Starlette(routes=ROUTES), guard=guard)
    said = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was asked for")

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message.get("status"))

    scope = {"type": "http", "method": "POST", "path": "/permissions", "raw_path": b"/permissions", "headers": []}
    asyncio.run(app({**scope, "query_string": b"", "scheme": "http"}, receive, send))
    assert said[0] == 401


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"{", "expected JSON"),
        (b"[" * 100_000, "expected JSON"),
        ([], "expected an object"),
        ({"question": []}, "expected an object"),
        ({"questions": "docs:GetDocument"}, "expected a list"),
        ({"questions": ["docs:GetDocument"]}, "each question to have `action`"),
        ({"questions": [{"action": "docs:GetDocument", "ressource": "*"}]}, "each question to have `action`"),
        ({"questions": [{"action": "docs:Nothing"}]}, "expected an action of this application"),
        ({"questions": [{"action": "iam:CreateUser"}]}, "expected an action of this application"),
        ({"questions": [{"action": "docs:*"}]}, "expected an action of this application"),
        ({"questions": [{"action": 7}]}, "expected a text"),
        ({"questions": [{"action": "docs:GetDocument", "resource": "x" * 3000}]}, "expected a text"),
        ({"resources": ["folder/7"]}, "no action is declared for `folder/7`"),
        ({"questions": [{"action": "docs:GetDocument", "resource": "document/\ud83d"}]}, "a text"),
        ({"resources": ["document/7"] * MAX_QUESTIONS}, f"at most {MAX_QUESTIONS} questions"),
        ({"resources": ["document/7"] * (MAX_QUESTIONS + 1)}, f"a list of at most {MAX_QUESTIONS}"),
        (b'"' + b"x" * 300_000 + b'"', "bytes"),
    ],
)
def test_what_cannot_be_asked_is_said(ask: Ask, document: Any, said: str) -> None:
    answer = ask(document)
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["detail"]


def test_what_is_too_much_costs_no_more_than_what_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused on the event loop, so before every resource was compared with every action."""
    compared: list[str] = []
    monkeypatch.setattr(permissions, "_is_like", lambda arn, *_: compared.append(arn) is None)
    many = Service("many")
    for number in range(60):
        many.requirement(f"Do{number}", resource=f"thing/{number}/{{name}}")
    ada, document = Principal.from_arn(f"arn:aws:iam::{ACME}:user/ada"), {"resources": ["thing/1/x"] * MAX_QUESTIONS}
    with pytest.raises(InvalidInput, match="at most"):
        PermissionQuestions([many]).read(document, ada, Settings())
    assert len(compared) == 120


def test_wildcard_in_a_resource_is_a_character(ask: Ask) -> None:
    """As in a path (rule M-21): nobody learns about all resources at once."""
    (get, put) = ask({"resources": ["document/*"]}).json()["answers"]
    assert (get["allowed"], put["allowed"]) == (True, False)


def test_denial_is_the_answer_where_nothing_can_be_decided(tmp_path: Path) -> None:
    (tmp_path / "iam.yaml").write_text("{version: 1, accounts: [{id: '111122223333'}]}")
    guard = open_guard(tmp_path / "iam.yaml", resources=broken)
    rita = Principal.from_arn(f"arn:aws:iam::{ACME}:user/rita")
    (found,) = guard.ask(rita, [("docs:GetDocument", f"arn:aws:docs:us-east-1:{ACME}:document/7")])
    guard.close()
    assert (found.allowed, found.error) == (False, "unexpected RuntimeError")


def broken(arn: str) -> Resource | None:
    raise RuntimeError("the application's table is gone")


JSON = st.recursive(
    st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@settings(max_examples=200)
@given(JSON)
def test_no_document_is_more_than_refused(document: Any) -> None:
    rita = Principal.from_arn(f"arn:aws:iam::{ACME}:user/rita")
    for each in (document, {"questions": document}, {"resources": document}, {"questions": [document]}):
        try:
            PermissionQuestions([docs]).read(each, rita, Settings())
        except InvalidInput:
            continue
        assert each in ({}, {"questions": []}, {"resources": []})
