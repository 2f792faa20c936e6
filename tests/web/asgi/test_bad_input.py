"""Bad input over a real server: a clear error each time, no traceback for the client, and no lost audit record."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from unittest import mock

import botocore.auth
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, Service
from iam_guard.audit.consumer.reader import read_records
from tests.conftest import ADA, Sign
from tests.effort import effort

docs = Service("docs")


@docs.requires("GetDocument", resource="document/{document_id}")
async def document(request: Request) -> Response:
    await request.body()
    return PlainTextResponse("read")


@pytest.fixture
def port(guard: Guard) -> Iterator[int]:
    """Serve a guarded application with uvicorn; return its port."""
    app = Starlette(
        routes=[Route("/documents/{document_id}", document, methods=["GET", "POST"])],
        middleware=[Middleware(GuardMiddleware, guard=guard)],
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(60)
    listener.close()


def send(port: int, raw: bytes, *, close: bool = False) -> bytes:
    """Send raw bytes and return the response; with `close`, disconnect after sending."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(raw)
        if close:
            return b""
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def request(method: str, path: str, headers: dict[str, str] | list[tuple[str, str]], body: bytes = b"") -> bytes:
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    lines = [f"{method} {path} HTTP/1.1", "host: testserver", "connection: close"]
    lines += [f"{name}: {value}" for name, value in pairs if name.lower() not in ("host", "connection")]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def waited_for(audit_file: Path, number: int) -> list[str]:
    """Return the error codes of the trail once it has so many records."""
    for _ in range(3000):
        if audit_file.exists() and audit_file.read_bytes().count(b"\n") >= number:
            break
        time.sleep(0.02)
    return [str(record.get("errorCode", "")) for record in read_records(audit_file)]


def test_valid_request_is_accepted(port: int, sign: Sign) -> None:
    """The control case for the tests below."""
    assert status(send(port, request("GET", "/documents/7", sign(ADA, "GET", "/documents/7")))) == 200


SIGNATURE = "a" * 64
SCOPE = "AKIATESTADA000000001/20261124/us-east-1/docs/aws4_request"
GOOD = f"Credential={SCOPE}, SignedHeaders=host;x-amz-date, Signature={SIGNATURE}"
DATE = ("x-amz-date", "20261124T000000Z")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        pytest.param([("authorization", "")], "MissingAuthenticationToken", id="empty"),
        pytest.param([("authorization", "Basic YWRhOmFkYQ==")], "MissingAuthenticationToken", id="basic"),
        pytest.param([("authorization", "AWS4-HMAC-SHA256")], "IncompleteSignature", id="no parts"),
        pytest.param([("authorization", "AWS4-HMAC-SHA256 Credential=x")], "IncompleteSignature", id="one part"),
        pytest.param([("authorization", f"AWS4-HMAC-SHA256 {GOOD}")], "IncompleteSignature", id="no date"),
        pytest.param(
            [("authorization", f"AWS4-HMAC-SHA256 {GOOD}"), ("x-amz-date", "now")], "IncompleteSignature", id="bad date"
        ),
        pytest.param([("authorization", f"AWS4-HMAC-SHA256 {GOOD}"), DATE], "SignatureDoesNotMatch", id="old date"),
        pytest.param(
            [("authorization", f"AWS4-HMAC-SHA256 {GOOD}"), ("authorization", "Bearer x"), DATE],
            "IncompleteSignature",
            id="two headers",
        ),
        pytest.param(
            [("authorization", f"AWS4-HMAC-SHA256 {GOOD}"), ("x-api-key", "igk_x"), DATE],
            "IncompleteSignature",
            id="two kinds",
        ),
        pytest.param([("authorization", "Bearer not-a-key")], "InvalidClientTokenId", id="no api key"),
        pytest.param([("authorization", "Bearer \xff\xfe")], "IncompleteSignature", id="not ascii"),
        pytest.param([("authorization", "AWS AKIATESTADA000000001:c2ln")], "IncompleteSignature", id="version 2"),
        pytest.param([("authorization", "AWS4-HMAC-SHA256 " + "," * 30000)], "IncompleteSignature", id="commas"),
    ],
)
def test_malformed_credentials_are_rejected(
    port: int, headers: list[tuple[str, str]], code: str, audit_file: Path
) -> None:
    """Each with its code, as RFC 9457, and recorded."""
    answer = send(port, request("GET", "/documents/7", headers))
    assert status(answer) == 401
    assert b"application/problem+json" in answer
    assert f'"code": "{code}"'.encode() in answer
    assert b"Traceback" not in answer
    assert waited_for(audit_file, 1) == [code]


def test_clock_skew_message_is_parsed_by_clients(port: int, sign: Sign, audit_file: Path) -> None:
    """Clients correct their clock from this message."""
    early = botocore.auth.get_current_datetime() - timedelta(minutes=6)
    with mock.patch("botocore.auth.get_current_datetime", return_value=early):
        headers = sign(ADA, "GET", "/documents/7")
    answer = send(port, request("GET", "/documents/7", headers))
    assert b"Signature expired: " in answer
    assert b"is now earlier than" in answer
    assert waited_for(audit_file, 1) == ["SignatureDoesNotMatch"]


def test_path_with_invalid_utf8_is_rejected(port: int, sign: Sign, audit_file: Path) -> None:
    """Two spellings of one path must not be two resources."""
    answer = send(port, request("GET", "/documents/%ff%fe", sign(ADA, "GET", "/documents/7")))
    assert status(answer) == 400
    assert b"expected a path in UTF-8" in answer
    assert waited_for(audit_file, 1) == ["MalformedRequest"]


def test_repeated_query_keys_are_signed_in_order(port: int, sign: Sign) -> None:
    """The signed query is accepted; another order, or one more value, is not."""
    headers = sign(ADA, "GET", "/documents/7?a=1&a=2")
    assert status(send(port, request("GET", "/documents/7?a=1&a=2", headers))) == 200
    assert status(send(port, request("GET", "/documents/7?a=1&a=2&a=3", headers))) == 401
    assert status(send(port, request("GET", "/documents/7?a=1", headers))) == 401


def test_repeated_header_is_rejected_unless_signed(port: int, sign: Sign) -> None:
    """A second value of a signed header changes the signed request."""
    headers = list(sign(ADA, "GET", "/documents/7", headers={"x-amz-meta": "a"}).items())
    assert status(send(port, request("GET", "/documents/7", headers))) == 200
    assert status(send(port, request("GET", "/documents/7", [*headers, ("x-amz-meta", "b")]))) == 401
    assert status(send(port, request("GET", "/documents/7", [*headers, ("x-amz-date", "20261124T000000Z")]))) == 401


def test_truncated_body_is_recorded(port: int, sign: Sign, audit_file: Path) -> None:
    """The client has disconnected, and the attempt is recorded."""
    headers = {**sign(ADA, "POST", "/documents/7", body=b"x" * 100), "content-length": "100"}
    send(port, request("POST", "/documents/7", headers, b"x" * 10), close=True)
    assert waited_for(audit_file, 1) == ["MalformedRequest"]


def test_changed_body_is_rejected(port: int, sign: Sign) -> None:
    """With and without a declared hash."""
    for declared in ({}, {"x-amz-content-sha256": hashlib.sha256(b"good").hexdigest()}):
        headers = {**sign(ADA, "POST", "/documents/7", body=b"good", headers=declared), "content-length": "4"}
        assert status(send(port, request("POST", "/documents/7", headers, b"good"))) == 200
        assert status(send(port, request("POST", "/documents/7", headers, b"evil"))) == 401


def test_huge_authorization_header_is_rejected_fast(guard: Guard, audit_file: Path) -> None:
    """Many servers reject it first; otherwise it is recorded without being parsed."""
    app = Starlette(
        routes=[Route("/documents/{document_id}", document)], middleware=[Middleware(GuardMiddleware, guard=guard)]
    )
    client = TestClient(app)

    statuses: list[int] = []

    def ask() -> None:
        floods = ({"authorization": part * (1 << 20)} for part in ("A", ",", "Bearer "))
        statuses.extend(client.get("/documents/7", headers=flood).status_code for flood in floods)

    assert effort(ask, rounds=1) < 2000
    assert statuses == [413] * 3
    assert waited_for(audit_file, 3) == ["RequestEntityTooLarge"] * 3
    assert audit_file.stat().st_size < 20_000
