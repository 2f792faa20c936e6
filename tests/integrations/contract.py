"""The contract of an adapter: every row of the table, through the framework's test client and through a real server.

An adapter's test defines how its application is built, called and served, and what it lacks:

    class TestFlask(Contract):
        adapter = Adapter(build, call, serve, lacks={"websocket": "WSGI has none"})

`build(guard)` returns the application of `tests.integrations.application`, without a middleware for None. `call(app)`
is a context manager that yields a function from `Sent` to `Answer`, and `serve(app)` one that yields the address of a
server.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSRequest
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from iam_guard import Guard, open_guard
from iam_guard.audit.consumer.reader import read_records
from iam_guard.testing.coverage.route_measurement import RouteMeasurement
from tests.authn.issuer import Issuer, publishing
from tests.integrations.application import (
    ACME,
    CONCURRENT_CALLERS,
    ISSUER,
    MAX_BODY,
    READER,
    SECRET,
    api_key_of,
    background_calls,
    barrier,
    docs,
    ran,
    resources,
    seed,
)
from tests.integrations.cookie_contract import check_session_cookie
from tests.integrations.scenarios import SCENARIOS, OidcToken, Scenario, bearer, user

SECONDS = 60
POLICY_VIOLATION = 1008


class Sent(NamedTuple):
    """A sent request; `method` is `WEBSOCKET` for a handshake, `target` is the raw path and query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """A response. An accepted WebSocket has status 101; `closed` is the close code of a rejected one."""

    status: int
    headers: Mapping[str, str] = {}
    """Names in lower case."""
    body: bytes = b""
    messages: tuple[str, ...] = ()
    closed: int | None = None


Send = Callable[[Sent], Answer]


@dataclass(frozen=True, slots=True)
class Adapter:
    """The test setup of a framework."""

    build: Callable[[Guard | None], Any]
    call: Callable[[Any], AbstractContextManager[Send]]
    serve: Callable[[Any], AbstractContextManager[str]]
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Missing features of the framework, with the reason."""
    base: str = "http://testserver"
    """The base URL of the test client."""


def needed(*modules: str) -> None:
    """Skip the tests of an adapter if its framework is not installed; fail in CI, unless the Makefile left it out."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    left_out = os.environ.get("IAM_GUARD_TEST_WITHOUT")
    if missing and "CI" in os.environ and left_out not in modules:
        pytest.fail(f"not installed: {', '.join(missing)}", pytrace=False)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}", allow_module_level=True)


# --- ways to send --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def through_starlette(app: Any) -> Iterator[Send]:
    """Call an ASGI application with Starlette's test client."""
    client = TestClient(app, raise_server_exceptions=False, follow_redirects=False)

    def send(sent: Sent) -> Answer:
        if sent.method == "WEBSOCKET":
            return _handshake(client, sent)
        answer = client.request(sent.method, sent.target, headers=dict(sent.headers), content=sent.body)
        return Answer(answer.status_code, dict(answer.headers), answer.content)

    yield send


def _handshake(client: TestClient, sent: Sent) -> Answer:
    messages: list[str] = []
    try:
        with client.websocket_connect(sent.target, headers=dict(sent.headers)) as socket:
            with contextlib.suppress(WebSocketDisconnect):
                while True:
                    messages.append(socket.receive_text())
            return Answer(101, messages=tuple(messages))
    except WebSocketDenialResponse as refused:
        return Answer(refused.status_code, dict(refused.headers), refused.content)
    except WebSocketDisconnect as refused:
        return Answer(403, closed=refused.code)


def over(address: str) -> Send:
    """Return a function that sends requests unchanged to a real server."""
    url = urlsplit(address)
    assert url.hostname is not None

    def send(sent: Sent) -> Answer:
        if sent.method == "WEBSOCKET":
            return _connect(address, sent)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request(sent.method, sent.target, body=sent.body or None, headers=dict(sent.headers))
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, headers, answer.read())

    return send


def _connect(address: str, sent: Sent) -> Answer:
    url = address.replace("http", "ws", 1) + sent.target
    try:
        with connect(url, additional_headers=dict(sent.headers), open_timeout=SECONDS) as socket:
            return Answer(101, messages=tuple(str(each) for each in socket))
    except InvalidStatus as refused:
        headers = {name.lower(): value for name, value in refused.response.headers.raw_items()}
        return Answer(refused.response.status_code, headers, bytes(refused.response.body or b""))


# --- the sender -----------------------------------------------------------------------------------------------------


class Caller:
    """Sends rows to one application, and reads the resulting audit records."""

    def __init__(self, send: Send, base: str, audit: Path, issuer: Issuer) -> None:
        self.send = send
        self._base = base
        self._audit = audit
        self._issuer = issuer
        self._read = 0

    def ask(self, row: Scenario) -> Answer:
        """Sign and send a row."""
        request = AWSRequest("GET" if row.method == "WEBSOCKET" else row.method, self._base + row.path)
        request.data = row.content
        for name, value in row.headers.items():
            request.headers[name] = value
        by = bearer(self._issuer.token(sub=row.by.subject)) if isinstance(row.by, OidcToken) else row.by
        if by is not None:
            by(request)
        headers = {str(name): str(value) for name, value in request.headers.items()}
        target = request.url.removeprefix(self._base)
        return self.send(Sent(row.method, target, headers, row.content if row.sent is None else row.sent))

    def records(self) -> list[dict[str, Any]]:
        """Return the audit records since the last call; incomplete lines are returned by the next call."""
        records = list(read_records(self._audit, on_broken=lambda _: None)) if self._audit.exists() else []
        new, self._read = records[self._read :], len(records)
        return new

    def records_of(self, row: Scenario) -> list[dict[str, Any]]:
        """Return the new records; wait for the row's background task."""
        found = self.records()
        deadline = time.monotonic() + SECONDS
        while (
            row.background_call is not None
            and (len(found) < len(row.records) or not background_calls)
            and time.monotonic() < deadline
        ):
            time.sleep(0.002)
            found += self.records()
        return found


@contextlib.contextmanager
def opened(folder: Path, issuer: Issuer) -> Iterator[Guard]:
    """Open a guard on the seed of the contract; its audit trail is `audit.jsonl` in the folder."""
    (folder / "iam.json").write_text(seed())
    guard = open_guard(
        folder / "iam.json",
        services=[docs],
        resources=resources,
        audit=str(folder / "audit.jsonl"),
        max_body=MAX_BODY,
        oidc_addresses=(issuer.at,),
        oidc_timeout=60.0,
        oidc_roles=(f"{ISSUER} sub=* {READER}",),
    )
    with contextlib.closing(guard):
        yield guard


# --- the contract --------------------------------------------------------------------------------------------------


class Contract:
    """The contract of every adapter; subclasses with an `adapter` are pytest classes."""

    adapter: ClassVar[Adapter]

    @pytest.fixture(scope="class")
    @classmethod
    def issuer(cls) -> Iterator[Issuer]:
        with publishing(Issuer(ISSUER)) as made:
            yield made

    @pytest.fixture(scope="class", params=["client", "server"])
    @classmethod
    def caller(
        cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, issuer: Issuer
    ) -> Iterator[Caller]:
        """Yield a sender with the test client, or with a real server."""
        folder = tmp_path_factory.mktemp("contract")
        with contextlib.ExitStack() as stack:
            app = cls.adapter.build(stack.enter_context(opened(folder, issuer)))
            if request.param == "client":
                send, base = stack.enter_context(cls.adapter.call(app)), cls.adapter.base
            else:
                base = stack.enter_context(cls.adapter.serve(app))
                send = over(base)
            yield Caller(send, base, folder / "audit.jsonl", issuer)

    @pytest.mark.parametrize("row", SCENARIOS, ids=lambda row: row.name)
    def test_request_has_the_expected_result(self, caller: Caller, row: Scenario) -> None:
        """Status, code, body and audit record of the row."""
        lacking = [self.adapter.lacks[need] for need in sorted(row.needs) if need in self.adapter.lacks]
        if lacking:
            pytest.skip("; ".join(lacking))
        caller.records()
        ran.clear()
        background_calls.clear()
        answer = caller.ask(row)
        records = caller.records_of(row)
        _check_answer(row, answer)
        recorded = [
            f"{record['eventName']} {record.get('errorCode') or record['iamGuard']['outcome']}" for record in records
        ]
        assert recorded in (list(row.records), list(row.records_instead or row.records))
        if records and "x-amzn-requestid" in answer.headers:
            assert {record["requestID"] for record in records} == {answer.headers["x-amzn-requestid"]}
        if row.code is not None:
            assert ran == []
        if row.background_call is not None:
            assert background_calls == [row.background_call]

    def test_route_coverage_counts_the_requested_route(self, caller: Caller) -> None:
        """Allowed and denied, and no other route with the same action (issue G, route coverage)."""
        key = {"authorization": f"Bearer {api_key_of(0)}"}
        with RouteMeasurement() as measured:
            for path, headers in (("/documents/7", key), ("/documents/7", {}), ("/class/7", key)):
                caller.send(Sent("GET", path, headers, b""))
        listed = measured.to_json()["routes"]
        seen = {each["path"].split("/")[1]: (each["allowed"], each["refused"]) for each in listed if each["allowed"]}
        assert seen == {"documents": (True, True), "class": (True, False)}
        assert sum(each["refused"] for each in listed) == 1

    def test_session_cookie_is_a_credential(self, tmp_path: Path) -> None:
        """A browser that is signed in, through a real server."""
        check_session_cookie(self.adapter.build, self.adapter.serve, tmp_path, "websocket" in self.adapter.lacks)

    def test_missing_middleware_denies_every_caller(self) -> None:
        """Without the middleware a guarded handler does not run for any caller."""
        app = self.adapter.build(None)
        with self.adapter.call(app) as send:
            ran.clear()
            for method in ("GET", "PUT", "DELETE"):
                answer = send(Sent(method, "/documents/7", {}, b""))
                assert (answer.status, SECRET.encode() in answer.body) == (500, False)
            if "websocket" not in self.adapter.lacks:
                with contextlib.suppress(Exception):  # frameworks handle it differently
                    assert send(Sent("WEBSOCKET", "/watch/7", {}, b"")).messages == ()
            assert ran == []

    @pytest.mark.parametrize(("path", "together"), [("/who", CONCURRENT_CALLERS), ("/who-sync", 4)])
    def test_concurrent_callers_are_kept_apart(
        self, caller: Caller, path: str, together: int, request: pytest.FixtureRequest
    ) -> None:
        """A hundred concurrent callers: each handler has its own, and each record belongs to one of them."""
        if request.node.callspec.params["caller"] == "client":
            pytest.skip("a test client sends one request after another")
        caller.records()
        barrier.reset(together)

        def ask(number: int) -> dict[str, str]:
            headers = {"authorization": f"Bearer {api_key_of(number)}"}
            answer = caller.send(Sent("GET", f"{path}/{number}", headers, b""))
            assert answer.status == 200, answer
            body: dict[str, str] = json.loads(answer.body)
            return body

        with ThreadPoolExecutor(CONCURRENT_CALLERS) as pool:
            answers = list(pool.map(ask, range(CONCURRENT_CALLERS)))
        barrier.reset(0)
        assert [each["caller"] for each in answers] == [
            user(f"caller-{number:03}") for number in range(CONCURRENT_CALLERS)
        ]
        assert [each["document"] for each in answers] == [str(number) for number in range(CONCURRENT_CALLERS)]
        resources = {record["userIdentity"]["arn"]: record["resources"][0]["ARN"] for record in caller.records()}
        assert resources == {
            user(f"caller-{number:03}"): f"arn:aws:docs:us-east-1:{ACME}:document/{number}"
            for number in range(CONCURRENT_CALLERS)
        }


def _check_answer(row: Scenario, answer: Answer) -> None:
    expected = (row.status,) if isinstance(row.status, int) else row.status
    if row.method == "WEBSOCKET" and answer.closed is not None:
        assert 101 not in expected
        assert answer.closed == POLICY_VIOLATION
        return
    assert answer.status in expected, answer
    text = answer.body.decode()
    if answer.status >= 400:
        assert SECRET not in text
    if row.code is not None and text:
        problem = json.loads(text)
        assert (problem["code"], problem["status"]) == (row.code, answer.status)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        assert problem["requestId"] == answer.headers["x-amzn-requestid"]
        assert ("www-authenticate" in answer.headers) is (answer.status == 401)
    if isinstance(row.body, str):
        assert text == row.body
    elif row.body is not None:
        body = json.loads(text)
        assert {name: body.get(name) for name in row.body} == dict(row.body)
    assert answer.messages == row.messages
    assert {name: answer.headers.get(name) for name in row.answered} == dict(row.answered)
