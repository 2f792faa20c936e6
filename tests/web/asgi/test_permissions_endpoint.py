"""Permission queries of a front end: same answers as attempts, recorded as queries (issue G)."""

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
from iam_guard.audit.consumer.reader import read_records
from iam_guard.audit.export.ocsf import ocsf_event
from iam_guard.audit.export.otel_event import log_record
from iam_guard.errors import InvalidInput
from iam_guard.settings import Settings
from iam_guard.web import permissions
from iam_guard.web.permissions import MAX_QUESTIONS, PermissionQuestions
from tests.conftest import ACME, ADA, RITA, Sign

docs = Service("docs")
OTHER = "999999999999"
ARN = "arn:aws:docs:us-east-1:111122223333:document/{}"
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
    """Return a function that posts a document as a caller."""
    with TestClient(Starlette(routes=ROUTES, middleware=[Middleware(GuardMiddleware, guard=guard)])) as client:

        def post(document: Any, key: tuple[str, str] | None = RITA) -> Any:
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            headers = {} if key is None else sign(key, "POST", "/permissions", body=body)
            return client.post("/permissions", content=body, headers=headers)

        yield post


def test_answers_equal_those_of_attempts(ask: Ask) -> None:
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


def test_resource_alone_queries_all_actions_of_its_type(ask: Ask) -> None:
    answers = ask({"resources": ["document/7"]}).json()["answers"]
    assert [(each["action"], each["allowed"]) for each in answers] == [
        ("docs:GetDocument", True),
        ("docs:PutDocument", False),
    ]
    comment = f"arn:aws:docs:us-east-1:{ACME}:document/7/comment/9"
    actions = {each["action"] for each in ask({"resources": [comment]}).json()["answers"]}
    assert actions == {"docs:GetComment", "docs:GetDocument", "docs:PutDocument"}, "a document's id may have slashes"


def test_action_with_loader_is_queried_by_its_declared_types() -> None:
    """A declared type by name, or a type that follows from another action's template."""
    things = Service("things")
    things.requires("GetThing", resource="thing/{thing_id}")
    for action in ("PutThing", "DeleteThing", "CopyBox"):
        things.requires(action, resource=lambda thing_id: None)
    questions = PermissionQuestions([things])
    caller = Principal.from_arn(f"arn:aws:iam::{ACME}:user/rita")

    def actions_of(resource: str) -> list[str]:
        return [each.action for each in questions.read({"resources": [resource]}, caller, Settings())]

    assert actions_of("thing/7") == ["things:GetThing"]
    things.declare_action("PutThing", resource_types=["thing"])
    things.declare_resource_type("box", "box/{box_id}")
    things.declare_action("CopyBox", resource_types=["box"])
    assert actions_of("thing/7") == ["things:GetThing", "things:PutThing"]
    assert actions_of("box/7") == ["things:CopyBox"]


def test_all_questions_of_a_call_are_one_query_record(ask: Ask, guard: Guard, audit_file: Path) -> None:
    answer = ask({"resources": ["document/7"]})
    guard.close()
    (record,) = read_records(audit_file)
    details = record["iamGuard"]
    assert (record["eventName"], details["kind"], details["enforced"]) == ("AskPermissions", "permissions_asked", False)
    assert record["requestID"] == answer.headers["x-amzn-requestid"]
    assert record["userIdentity"]["arn"].endswith(":user/rita")
    arn = f"arn:aws:docs:us-east-1:{ACME}:document/7"
    assert [(each["action"], each["resource"], each["outcome"]) for each in details["answers"]] == [
        ("docs:GetDocument", arn, "Allowed"),
        ("docs:PutDocument", arn, "ImplicitlyDenied"),
    ]
    assert "errorCode" not in record
    assert ocsf_event(record)["class_uid"] == 6003
    assert log_record(record)


def test_anonymous_caller_gets_401_for_any_question(ask: Ask) -> None:
    for document in ({"resources": ["document/7"]}, {"resources": ["nothing/7"]}, ["not a question"]):
        assert ask(document, None).status_code == 401
    assert ask({"resources": ["document/7"]}, ("AKIATESTNOBODY000001", "x" * 40)).status_code == 401


def test_body_of_anonymous_caller_is_not_read(guard: Guard) -> None:
    app = GuardMiddleware(Starlette(routes=ROUTES), guard=guard)
    statuses = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was read")

    async def send(message: MutableMapping[str, Any]) -> None:
        statuses.append(message.get("status"))

    scope = {"type": "http", "method": "POST", "path": "/permissions", "raw_path": b"/permissions", "headers": []}
    asyncio.run(app({**scope, "query_string": b"", "scheme": "http"}, receive, send))
    assert statuses[0] == 401


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"{", "expected JSON"),
        (b"[" * 100_000, "expected JSON"),
        ([], "expected an object"),
        ({"question": []}, "expected an object"),
        ({"questions": "docs:GetDocument"}, "expected a list"),
        ({"questions": ["docs:GetDocument"]}, "in each question"),
        ({"questions": [{"action": "docs:GetDocument", "ressource": "*"}]}, "in each question"),
        ({"questions": [{"action": "docs:Nothing"}]}, "expected an action of this application"),
        ({"questions": [{"action": "iam:CreateUser"}]}, "expected an action of this application"),
        ({"questions": [{"action": "docs:*"}]}, "expected an action of this application"),
        ({"questions": [{"action": 7}]}, "expected a string"),
        ({"questions": [{"action": "docs:GetDocument", "resource": "x" * 3000}]}, "expected a string"),
        ({"resources": ["folder/7"]}, "no action is declared for `folder/7`"),
        ({"questions": [{"action": "docs:GetDocument", "resource": "document/\ud83d"}]}, "a string"),
        ({"resources": ["document/7"] * MAX_QUESTIONS}, f"at most {MAX_QUESTIONS} questions"),
        ({"resources": ["document/7"] * (MAX_QUESTIONS + 1)}, f"a list of at most {MAX_QUESTIONS}"),
        (b'"' + b"x" * 300_000 + b'"', "bytes"),
    ],
)
def test_invalid_question_is_rejected_with_reason(ask: Ask, document: Any, message: str) -> None:
    answer = ask(document)
    assert answer.status_code == 400, answer.text
    assert message in answer.json()["detail"]


def test_too_many_questions_are_rejected_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check runs on the event loop, so it stops before each resource is compared with every action."""
    compared: list[str] = []
    monkeypatch.setattr(permissions, "matches_template", lambda arn, *_: compared.append(arn) is None)
    many = Service("many")
    for number in range(60):
        many.requirement(f"Do{number}", resource=f"thing/{number}/{{name}}")
    ada, document = Principal.from_arn(f"arn:aws:iam::{ACME}:user/ada"), {"resources": ["thing/1/x"] * MAX_QUESTIONS}
    with pytest.raises(InvalidInput, match="at most"):
        PermissionQuestions([many]).read(document, ada, Settings())
    assert len(compared) == 120


def test_wildcard_in_a_resource_is_literal(ask: Ask) -> None:
    """As in a path (rule M-21): one question can't cover all resources."""
    (get, put) = ask({"resources": ["document/*"]}).json()["answers"]
    assert (get["allowed"], put["allowed"]) == (True, False)


def test_undecidable_question_is_denied(tmp_path: Path) -> None:
    (tmp_path / "iam.yaml").write_text("{version: 1, accounts: [{id: '111122223333'}]}")
    guard = open_guard(tmp_path / "iam.yaml", resources=broken)
    rita = Principal.from_arn(f"arn:aws:iam::{ACME}:user/rita")
    (found,) = guard.ask(rita, [("docs:GetDocument", f"arn:aws:docs:us-east-1:{ACME}:document/7")])
    guard.close()
    assert (found.allowed, found.error) == (False, "unexpected RuntimeError")


OF_CLASS = """
version: 1
accounts:
  - id: "111122223333"
    users:
      - name: rita
        inline:
          Read:
            Version: "2012-10-17"
            Statement:
              - {Effect: Allow, Action: "docs:Get*", Resource: "*", Condition: {StringEquals: {"docs:Class": open}}}
              - {Effect: Allow, Action: "docs:Put*", Resource: "*", Condition: {StringEquals: {"aws:ResourceTag/t": x}}}
        access_keys: [{id: AKIATESTRITA00000001, secret: rita-secret-0123456789abcdefghijklmnopqr}]
"""


def described(arn: str) -> Resource:
    """Return the resource with the keys and tags of its row."""
    is_open = arn.endswith("/7")
    return Resource(arn, tags={"t": "x" if is_open else "y"}, keys={"docs:Class": "open" if is_open else "secret"})


def test_keys_of_resource_count_for_questions_and_attempts(tmp_path: Path, sign: Sign) -> None:
    """From the guard's loader for ARNs and templates, and from that of a route."""

    @docs.requires("GetLoaded", resource=lambda document_id: described(ARN.format(document_id)))
    async def get_loaded(request: Request) -> Response:
        return PlainTextResponse("seen")

    (tmp_path / "iam.yaml").write_text(OF_CLASS)
    guard = open_guard(tmp_path / "iam.yaml", services=[docs], resources=described, audit="")
    routes = [*ROUTES, Route("/loaded/{document_id}", get_loaded)]
    body = json.dumps({"resources": ["document/7", "document/8"]}).encode()
    with TestClient(Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guard)])) as client:
        answers = client.post("/permissions", content=body, headers=sign(RITA, "POST", "/permissions", body=body))
        for answer in answers.json()["answers"]:
            path = f"/{answer['resource'].replace('document', 'documents')}"
            method = "GET" if answer["action"] == "docs:GetDocument" else "PUT"
            attempt = client.request(method, path, headers=sign(RITA, method, path))
            assert (attempt.status_code == 200) is answer["allowed"] is path.endswith("7"), answer
        loaded = [client.get(path, headers=sign(RITA, "GET", path)).status_code for path in ("/loaded/7", "/loaded/8")]
    guard.close()
    assert (len(answers.json()["answers"]), loaded) == (4, [200, 403])


def broken(arn: str) -> Resource | None:
    raise RuntimeError("the application's table is gone")


JSON = st.recursive(
    st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@settings(max_examples=200)
@given(JSON)
def test_invalid_document_never_raises_another_error(document: Any) -> None:
    rita = Principal.from_arn(f"arn:aws:iam::{ACME}:user/rita")
    for body in (document, {"questions": document}, {"resources": document}, {"questions": [document]}):
        try:
            PermissionQuestions([docs]).read(body, rita, Settings())
        except InvalidInput:
            continue
        assert body in ({}, {"questions": []}, {"resources": []})
