"""Error responses with explanations: who gets them, about what, and how they are recorded (issue G, explain)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, Resource, Service, open_guard
from iam_guard.audit.consumer.reader import read_records
from iam_guard.audit.verify.signing_keys import create_signing_key_file
from iam_guard.web.denial_explanations import problem_explained
from tests.conftest import Sign

docs = Service("docs")

EVA = ("AKIATESTEVA000000001", "eva-secret-0123456789abcdefghijklmnopqrs")
NED = ("AKIATESTNED000000001", "ned-secret-0123456789abcdefghijklmnopqrs")
SEED = """
version: 1
accounts:
  - id: "111122223333"
    name: acme
    users:
      - name: eva
        inline:
          Explain:
            Version: "2012-10-17"
            Statement:
              - {Effect: Allow, Action: "iam:ExplainDecision", Resource: "arn:aws:iam::111122223333:user/eva"}
              - {Sid: NoSecrets, Effect: Deny, Action: "docs:*", Resource: "arn:aws:docs:*:*:document/secret"}
        access_keys: [{id: AKIATESTEVA000000001, secret: eva-secret-0123456789abcdefghijklmnopqrs}]
      - name: ned
        inline:
          Nothing: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "docs:List*", Resource: "*"}]}
        access_keys: [{id: AKIATESTNED000000001, secret: ned-secret-0123456789abcdefghijklmnopqrs}]
"""


@docs.requires("GetDocument", resource="document/{name}")
async def get_document(request: Request) -> Response:
    return PlainTextResponse("seen")


@docs.requires("GetDocument", resource="document/{name}", conceal=True)
async def get_hidden(request: Request) -> Response:
    return PlainTextResponse("seen")


def foreign(name: str) -> Resource:
    return Resource(f"arn:aws:docs:us-east-1:999999999999:document/{name}", "999999999999")


@docs.requires("GetDocument", resource=foreign)
async def get_foreign(request: Request) -> Response:
    return PlainTextResponse("seen")


Ask = Callable[..., Any]


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    return tmp_path / "trail"


@contextmanager
def asking(guard: Guard, sign: Sign) -> Iterator[Ask]:
    routes = [
        Route("/documents/{name}", get_document),
        Route("/hidden/{name}", get_hidden),
        Route("/foreign/{name}", get_foreign),
    ]
    middleware = [Middleware(GuardMiddleware, guard=guard, refusal=problem_explained(guard))]
    with TestClient(Starlette(routes=routes, middleware=middleware)) as client:
        yield lambda path, key=None: client.get(path, headers={} if key is None else sign(key, "GET", path))


@pytest.fixture
def ask(tmp_path: Path, trail: Path, sign: Sign) -> Iterator[Ask]:
    """Send requests to an application with a durable trail, where decisions about our own actions wait for the disk."""
    seed, key = tmp_path / "iam.yaml", tmp_path / "audit-key"
    seed.write_text(SEED)
    create_signing_key_file(key)
    guard = open_guard(seed, services=[Service("docs")], audit=f"{trail}/", audit_key_file=str(key))
    with asking(guard, sign) as ask:
        yield ask
    guard.close()


def test_permitted_caller_gets_statement_and_nearest_miss(ask: Ask) -> None:
    answer = ask("/documents/secret", EVA)
    assert answer.status_code == 403
    explanation = answer.json()["explanation"]
    assert explanation["outcome"] == "ExplicitlyDenied"
    (identity,) = [each for each in explanation["types"] if each["type"] == "identity-based policy"]
    (policy,) = identity["levels"][0]["policies"]
    assert [each["sid"] for each in policy["statements"] if each["decides"]] == ["NoSecrets"]
    assert ask("/documents/7", EVA).json()["explanation"]["outcome"] == "ImplicitlyDenied"


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/documents/7", NED, 403),
        ("/documents/7", None, 401),
        ("/hidden/secret", EVA, 404),
        ("/foreign/7", EVA, 403),
    ],
    ids=["without permission", "anonymous", "concealed", "another account's resource"],
)
def test_other_callers_get_no_explanation(ask: Ask, path: str, key: tuple[str, str] | None, status: int) -> None:
    answer = ask(path, key)
    assert answer.status_code == status
    assert "explanation" not in answer.json()
    assert "NoSecrets" not in answer.text


def test_explain_decision_is_recorded(tmp_path: Path, sign: Sign) -> None:
    """With the same request id, and the caller's ARN as the resource."""
    (tmp_path / "iam.yaml").write_text(SEED)
    guard = open_guard(tmp_path / "iam.yaml", services=[Service("docs")], audit=str(tmp_path / "audit.jsonl"))
    with asking(guard, sign) as ask:
        ask("/documents/7", EVA)
        ask("/documents/7", NED)
    guard.close()
    records = list(read_records(tmp_path / "audit.jsonl"))
    outcomes = [(each["eventName"], each["iamGuard"]["outcome"]) for each in records]
    assert outcomes == [
        ("GetDocument", "ImplicitlyDenied"),
        ("ExplainDecision", "Allowed"),
        ("GetDocument", "ImplicitlyDenied"),
        ("ExplainDecision", "ImplicitlyDenied"),
    ]
    assert records[0]["requestID"] == records[1]["requestID"]
    assert records[1]["sourceIPAddress"] == records[0]["sourceIPAddress"]
    assert records[1]["resources"] == [{"ARN": "arn:aws:iam::111122223333:user/eva", "accountId": "111122223333"}]


def test_policies_of_the_organization_are_not_shown() -> None:
    """Only that one of them denies; the statements belong to the management account."""
    from iam_guard import AccessRequest, Principal, compile_policies
    from iam_guard.evaluation.explanation import without_organization

    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:*", "Resource": "*"}]}
    deny = {
        "Version": "2012-10-17",
        "Statement": [{"Sid": "Hidden", "Effect": "Deny", "Action": "docs:Get*", "Resource": "*"}],
    }
    caller = Principal.from_arn("arn:aws:iam::111122223333:user/eva")
    authorizer = compile_policies(identity=[allow], scps=[[allow, deny]])
    arn = "arn:aws:docs:us-east-1:111122223333:document/7"
    whole = authorizer.decide(AccessRequest(caller, "docs:GetDocument", arn)).explain()
    text = json.dumps(without_organization(whole).to_dict())
    assert "Hidden" in json.dumps(whole.to_dict())
    assert "Hidden" not in text
    assert "a Deny applies" in text
