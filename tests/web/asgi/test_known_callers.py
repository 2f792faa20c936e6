"""Repeated requests of known callers through the middleware: with, without, and with unexpected bodies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from unittest import mock

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from iam_guard import Guard, GuardMiddleware, Service, open_guard
from iam_guard.authn.api_key import format_api_key
from iam_guard.authn.credential_verifier import Authenticator
from tests.conftest import ADA, SEED, Sign
from tests.guard.test_known_credentials import counted
from tests.tables import table

docs = Service("docs")
PATH = "/documents/7"
API_KEY = format_api_key("ADASKEY1", "adasApiSecret0123456789abcdefghijklmnopq")
EMPTY = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


@docs.requires("GetDocument", resource="document/{id}")
async def echo(request: Request) -> PlainTextResponse:
    """Answer with the body, and what the server says after it."""
    body = await request.body()
    after = await request.receive()
    return PlainTextResponse(f"{body.decode()}|{after['type']}")


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    path = tmp_path / "iam.yaml"
    keys = "        api_keys: [{id: ADASKEY1, secret: adasApiSecret0123456789abcdefghijklmnopq}]\n"
    path.write_text(SEED.replace("      - name: rita\n", f"{keys}      - name: rita\n"))
    return path


@pytest.fixture
def guard(seed: Path) -> Iterator[Guard]:
    opened = open_guard(str(seed), services=[docs], epoch_poll=3600)  # no poll, however slow the machine is
    yield opened
    opened.close()


Headers: TypeAlias = Mapping[str, str] | list[tuple[bytes, bytes]]


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return [(b"host", b"testserver"), *pairs]


class Server:
    """Calls the application as a server does, with these messages of the client."""

    def __init__(self, guard: Guard) -> None:
        route = Route("/documents/{id}", echo, methods=["GET", "PUT"])
        self.app = Starlette(routes=[route], middleware=[Middleware(GuardMiddleware, guard=guard)])

    def answer(
        self, headers: Headers, *messages: Mapping[str, Any], method: str = "GET", **more: Any
    ) -> tuple[int, str]:
        """Return the status, and the body of a success or the error code."""
        pairs = encoded(headers) if isinstance(headers, Mapping) else headers
        scope = {
            "type": "http",
            "method": method,
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "headers": pairs,
            "client": ("127.0.0.1", 5000),
            **more,
        }
        waiting, sent = list(messages), []

        async def receive() -> Mapping[str, Any]:
            message = waiting.pop(0)
            return message() if callable(message) else message

        async def send(message: Mapping[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        body = b"".join(message.get("body", b"") for message in sent).decode()
        status = sent[0]["status"]
        return status, body if status == 200 else json.loads(body)["code"]


@contextmanager
def without_authenticator() -> Iterator[None]:
    """Fail if a request is verified in full."""
    with mock.patch.object(Authenticator, "authenticate", side_effect=AssertionError("verified in full")):
        yield


def test_known_signer_reads_no_body(guard: Guard, sign: Sign) -> None:
    """The application receives the server's messages in order."""
    server, headers = Server(guard), sign(ADA, "GET", PATH)
    assert server.answer(headers, EMPTY, GONE) == (200, "|http.disconnect")
    with without_authenticator():
        for message in (EMPTY, {"type": "http.request"}, {"type": "http.request", "body": b""}):
            assert server.answer(headers, message, GONE) == (200, "|http.disconnect")
        announced = {**headers, "content-length": "0"}
    assert server.answer(announced, EMPTY, GONE) == (200, "|http.disconnect")
    with without_authenticator():
        assert server.answer(announced, EMPTY, GONE) == (200, "|http.disconnect")


@table("headers", [{"x-api-key": API_KEY}, {"authorization": f"Bearer {API_KEY}"}], ids=["header", "bearer"])
def test_known_api_key_leaves_body_alone(guard: Guard, headers: Mapping[str, str]) -> None:
    """Its body is not covered."""
    server, text = Server(guard), {"type": "http.request", "body": b"text"}
    assert server.answer(headers, text, GONE) == (200, "text|http.disconnect")
    with without_authenticator():
        assert server.answer(headers, text, GONE, method="PUT") == (200, "text|http.disconnect")


@table("raw_path", [b"/documents/%ff", b"/documents/\xff"])
def test_known_api_key_with_invalid_path_is_refused(guard: Guard, raw_path: bytes) -> None:
    """The path must be UTF-8."""
    server, headers = Server(guard), {"x-api-key": API_KEY}
    assert server.answer(headers, EMPTY, GONE)[0] == 200
    assert server.answer(headers, EMPTY, GONE, raw_path=raw_path)[0] == 400


def test_known_signer_sends_body(guard: Guard, sign: Sign) -> None:
    """The hash of what was received is verified."""
    server = Server(guard)
    headers = {**sign(ADA, "PUT", PATH, body=b"some text"), "content-length": "9"}
    parts = ({"type": "http.request", "body": b"some ", "more_body": True}, {"type": "http.request", "body": b"text"})
    assert server.answer(headers, *parts, GONE, method="PUT") == (200, "some text|http.disconnect")
    with without_authenticator():
        assert server.answer(headers, *parts, GONE, method="PUT") == (200, "some text|http.disconnect")
    other = {"type": "http.request", "body": b"some test"}
    assert server.answer(headers, other, GONE, method="PUT") == (401, "SignatureDoesNotMatch")


def test_body_that_was_not_announced_is_verified(guard: Guard, sign: Sign) -> None:
    """HTTP/2 needs no `content-length`."""
    server, text = Server(guard), {"type": "http.request", "body": b"text"}
    late = ({**EMPTY, "more_body": True}, text)
    headers, with_text = sign(ADA, "PUT", PATH), sign(ADA, "PUT", PATH, body=b"text")
    assert server.answer(headers, EMPTY, GONE, method="PUT") == (200, "|http.disconnect")
    for _ in range(2):
        for messages in ((text,), late):
            assert server.answer(headers, *messages, GONE, method="PUT") == (401, "SignatureDoesNotMatch")
            assert server.answer(with_text, *messages, GONE, method="PUT") == (200, "text|http.disconnect")
    assert server.answer(headers, GONE, method="PUT")[0] == 400


def test_key_deactivated_before_end_of_request_is_refused(guard: Guard, seed: Path, sign: Sign) -> None:
    """A client may delay the end of its request."""
    server, headers = Server(guard), sign(ADA, "GET", PATH)
    assert server.answer(headers, EMPTY, GONE)[0] == 200

    def deactivated() -> Mapping[str, Any]:
        seed.write_text(seed.read_text().replace(f"id: {ADA[0]},", f"id: {ADA[0]}, status: Inactive,"))
        guard.refresh()
        return EMPTY

    assert server.answer(headers, deactivated, GONE) == (401, "InvalidClientTokenId")  # type: ignore[arg-type]


@table(
    "change", [{"path": "/documents/8"}, {"query_string": b"a=b"}, {"method": "PUT"}], ids=["path", "query", "method"]
)
def test_other_request_with_known_headers_is_refused(guard: Guard, sign: Sign, change: dict[str, Any]) -> None:
    """The signature is verified each time."""
    server, headers = Server(guard), sign(ADA, "GET", PATH)
    assert server.answer(headers, EMPTY, GONE)[0] == 200
    change = change | ({"raw_path": change["path"].encode()} if "path" in change else {})
    assert server.answer(headers, EMPTY, GONE, **change) == (401, "SignatureDoesNotMatch")


@table("first", [True, False], ids=["before", "after"])
def test_repeated_header_of_known_caller_is_refused(guard: Guard, sign: Sign, first: bool) -> None:
    """The application may read another one than was verified."""
    server, signed, key = Server(guard), sign(ADA, "GET", PATH), {"x-api-key": API_KEY}
    for headers, name in ((signed, b"host"), (signed, b"x-amz-date"), (key, b"x-api-key")):
        assert server.answer(headers, EMPTY, GONE)[0] == 200
        pairs = encoded(headers)
        pairs.insert(0 if first else len(pairs), (name, b"other"))
        assert server.answer(pairs, EMPTY, GONE)[0] in (400, 401)


def test_refused_requests_take_the_same_work(guard: Guard, sign: Sign) -> None:
    """Known and unknown signers and API keys (R-31)."""
    server = Server(guard)
    known = sign(ADA, "GET", PATH), {"x-api-key": API_KEY}
    for headers in known:
        assert server.answer(headers, EMPTY, GONE)[0] == 200
    missing = "AKIATESTMISSING00001"
    signed = [sign((id, "guess"), "GET", PATH) for id in (ADA[0], missing)]
    keys = [{"x-api-key": format_api_key(id, "guess" * 8)} for id in ("ADASKEY1", "MISSINGKEY")]
    for pair in (signed, keys):
        server.answer(pair[1], EMPTY, GONE)  # so that the store's answer is cached
        counts = []
        for headers in pair:
            with counted(guard) as work:
                assert server.answer(headers, EMPTY, GONE)[0] == 401
            counts.append(work.counts)
        assert counts[0] == counts[1]
    with without_authenticator():
        assert [server.answer(headers, EMPTY, GONE)[0] for headers in known] == [200, 200]
