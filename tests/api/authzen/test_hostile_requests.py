"""Hostile and broken requests: each is refused with a status and a message as text, and reveals nothing."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

from tests.api.authzen.conftest import ACME, DecisionPoint, document, question, subject
from tests.tables import table

GOOD = question("bob", 1)
DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
TEXT = json.dumps(GOOD).encode()


def changed(**members: Any) -> dict[str, Any]:
    return {**GOOD, **members}


def about(**members: Any) -> dict[str, Any]:
    return changed(subject={**GOOD["subject"], **members})


def on(**members: Any) -> dict[str, Any]:
    return changed(resource={**GOOD["resource"], **members})


def given(key: str, value: Any) -> dict[str, Any]:
    return changed(context={key: value})


@table(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe{}",
        TEXT[:-1] + b',"subject":{}}',
        TEXT[:-1] + b',"x":NaN}',
        TEXT[:-1] + b',"x":1e999}',
        TEXT[:-1] + b',"x":' + b"9" * 5000 + b"}",
        TEXT[:-1] + b',"x":"\\ud800"}',
        DEEP,
        b"[" * 100_000,
        {},
        {"subject": {}, "action": {}, "resource": {}},
        changed(subject=None),
        changed(subject="user"),
        changed(subject=[GOOD["subject"]]),
        about(type="User"),
        about(type="session"),
        about(type="anonymous"),
        about(type=["user"]),
        about(type=""),
        about(type="role"),
        about(id=""),
        about(id=None),
        about(id=7),
        about(id="bob"),
        about(id="*"),
        about(id="anonymous"),
        about(id=f"arn:aws:iam::{ACME}:user/"),
        about(id=f"arn:aws:iam::{ACME}:root"),
        about(id="arn:aws:iam::*:user/bob"),
        about(id="arn:aws:iam:::user/bob"),
        about(id="arn:aws:iam::1234:user/bob"),
        about(id="arn:aws:iam::１１１１２２２２３３３３:user/bob"),
        about(id=f"arn:aws-cn:iam::{ACME}:user/bob"),
        about(id=f"arn:aws:sts::{ACME}:assumed-role/reader/x"),
        about(id=f"arn:aws:iam::{ACME}:user/bob\n"),
        about(id=f"arn:aws:iam::{ACME}:user/{'b' * 3000}"),
        changed(subject={"type": "root", "id": "arn:aws:iam:::root"}),
        changed(subject={"type": "root", "id": f"arn:aws:iam::{ACME}:root/x"}),
        changed(action="docs:GetDocument"),
        changed(action={"name": "GetDocument"}),
        changed(action={"name": "docs:*"}),
        changed(action={"name": "*"}),
        changed(action={"name": "docs:Get Document"}),
        changed(action={"name": "docs:GetDocument\x00"}),
        changed(action={"name": ["docs:GetDocument"]}),
        changed(action={"name": "iam:CreateUser"}),
        changed(action={"name": "sts:AssumeRole"}),
        changed(action={"name": "iam-guard:EvaluateAccess"}),
        changed(action={"name": "aws:Anything"}),
        changed(resource=document(1)["id"]),
        on(id="1"),
        on(id="arn:aws:docs"),
        on(id="arn:aws:docs:us-east-1:*:document/1"),
        on(id="arn:aws-cn:docs:us-east-1::document/1"),
        on(id=f"arn:aws:docs:us-east-1:{ACME}:"),
        on(id=f"arn:aws:docs:us-east-1:{ACME}:folder/1"),
        on(id=f"arn:aws:other:us-east-1:{ACME}:document/1"),
        on(id=document(1)["id"] + "\x1f"),
        on(id=document(1)["id"] + "x" * 3000),
        on(type="folder"),
        on(type="unknown"),
        on(type=7),
        changed(context=[]),
        changed(context=None),
        given("aws:PrincipalTag/team", "red"),
        given("AWS:PrincipalArn", subject("ann")["id"]),
        given("aws:userid", "x"),
        given("aws:ResourceTag/team", "red"),
        given("aws:ResourceAccount", ACME),
        given("aws:PrincipalOrgID", "o-1"),
        given("aws:MultiFactorAuthPresent", True),
        given("aws:CurrentTime", "2020-01-01T00:00:00Z"),
        given("aws:ViaAWSService", True),
        given("iam:PassedToService", "x"),
        given("sts:ExternalId", "x"),
        given("iam-guard:Key", "x"),
        given("docs:Kind", "report"),
        given("DOCS:kind", "report"),
        given("docs:Other", None),
        given("docs:Other", {"a": "b"}),
        given("docs:Other", [["a"]]),
        given("docs:Other", ["a", None]),
        given("aws:SourceIp", ["10.0.0.1", "10.0.0.2"]),
        given("aws:RequestTag/team", ["red"]),
        changed(context={"docs:Other": "a", "docs:other": "b"}),
        changed(context={f"docs:Key{number}": "a" for number in range(101)}),
    ],
)
def test_broken_evaluation_is_refused(point: DecisionPoint, body: Any) -> None:
    """Alone and as the only evaluation of a request for several."""
    for path in ("evaluation", "evaluations"):
        response = point.post(path, body)
        assert (response.status_code, response.headers["content-type"]) == (400, "text/plain; charset=utf-8")
        assert 0 < len(response.text) < 500


@table(
    "body",
    [
        changed(evaluations={}),
        changed(evaluations="all"),
        changed(evaluations=[None]),
        changed(evaluations=[{}, "x"]),
        changed(evaluations=[{}] * 1001),
        changed(evaluations=[{}], options=[]),
        changed(evaluations=[{}], options={"evaluations_semantic": "EXECUTE_ALL"}),
        changed(evaluations=[{}], options={"evaluations_semantic": None}),
        changed(evaluations=[{}], options={"evaluations_semantic": ["execute_all"]}),
        changed(options={"evaluations_semantic": "permit_on_first_deny"}),
    ],
)
def test_broken_batch_is_refused(point: DecisionPoint, body: Any) -> None:
    assert point.post("evaluations", body).status_code == 400


@table(
    "headers, status",
    [
        ({"content-type": "text/plain"}, 400),
        ({"content-type": "application/jsonp"}, 400),
        ({"content-type": ""}, 400),
        ({"content-type": "application/json; charset=utf-8"}, 200),
        ({"content-type": "Application/JSON"}, 200),
        ({"content-encoding": "gzip"}, 200),
        ({"authorization": "Bearer igk_none"}, 401),
        ({"authorization": "Basic dXNlcjpwYXNz"}, 401),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=x"}, 401),
        ({"x-request-id": "x" * 257}, 400),
        ({"x-request-id": "a\tb"}, 400),
    ],
)
def test_headers_are_checked(point: DecisionPoint, headers: dict[str, str], status: int) -> None:
    response = point.post("evaluation", GOOD, **headers)
    assert response.status_code == status
    assert ("www-authenticate" in response.headers) is (status == 401)


@table("body", [GOOD, b"{", b"x" * 100_000])
def test_unauthenticated_client_learns_nothing(point: DecisionPoint, body: Any) -> None:
    """Not even whether its request is well-formed; its body beyond the first bytes is not read."""
    for cookie in ({}, {"cookie": "iam_guard_session=AAAA; __Host-iam-guard-session=AAAA"}):
        response = point.post("evaluation", body, None, **cookie)
        assert (response.status_code, response.headers["www-authenticate"][:6]) == (401, "Bearer")
        assert response.text == "User: anonymous is not authorized to perform: iam-guard:EvaluateAccess"


@table(
    "method, path, status",
    [
        ("GET", "/access/v1/evaluation", 405),
        ("PUT", "/access/v1/evaluation", 405),
        ("OPTIONS", "/access/v1/evaluation", 405),
        ("POST", "/.well-known/authzen-configuration", 405),
        ("HEAD", "/.well-known/authzen-configuration", 200),
        ("POST", "/access/v1/evaluation/", 404),
        ("POST", "/access/v1/search", 404),
        ("POST", "/access/v2/evaluation", 404),
        ("GET", "/", 404),
    ],
)
def test_other_methods_and_paths_are_refused(point: DecisionPoint, method: str, path: str, status: int) -> None:
    response = point.client.request(method, point.url + path)
    assert response.status_code == status
    assert ("allow" in response.headers) is (status == 405)


def test_long_body_is_refused(point: DecisionPoint) -> None:
    body = json.dumps(changed(context={"text": "x" * (2 * 1024 * 1024)})).encode()
    assert point.post("evaluation", body).status_code == 413


def test_broken_off_body_is_recorded_and_survived(point: DecisionPoint) -> None:
    address = urlsplit(point.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0))) as connection:
        connection.sendall(b"POST /access/v1/evaluation HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    assert point.decision(GOOD) is True


def test_refused_request_of_a_caller_is_recorded(point: DecisionPoint) -> None:
    """With the caller and the error, and without what was sent."""
    point.sink.lines.clear()
    assert point.post("evaluation", given("aws:userid", "known-to-the-caller")).status_code == 400
    allowed, record = point.sink.records
    assert "errorCode" not in allowed
    assert record["userIdentity"] == record["userIdentity"] | {"arn": subject("pep")["id"]}  # type: ignore[operator]
    assert (record["eventName"], record["errorCode"]) == ("EvaluateAccess", "InvalidInput")
    assert "known-to-the-caller" not in json.dumps(record)
