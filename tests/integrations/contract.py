"""The contract of an adapter: every row of the table, through the framework's test client and through a real server.

An adapter's test says how its application is built, called and served, and what it lacks:

    class TestFlask(Contract):
        adapter = Adapter(build, call, serve, lacks={"websocket": "WSGI has none"})

`build(guard)` gives the application of `tests.integrations.application`, with nothing in front of it for None.
`call(app)` is a context manager that gives a function from `Sent` to `Answer`, and `serve(app)` one that gives the
address of a server.
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
from iam_guard.audit.consumer.reader import read
from iam_guard.testing.route_coverage import route_json
from iam_guard.testing.route_measurement import RouteMeasurement
from tests.authn.issuer import Issuer, publishing
from tests.integrations.application import (
    ACME,
    CROWD,
    HELD,
    ISSUER,
    READER,
    SECRET,
    api_key_of,
    docs,
    meeting,
    ran,
    resources,
    seed,
    told,
)
from tests.integrations.scenarios import SCENARIOS, OidcToken, Scenario, bearer, user

SECONDS = 60
POLICY_VIOLATION = 1008


class Sent(NamedTuple):
    """A request as it goes out; `method` is `WEBSOCKET` for a handshake, `target` is path and query on the wire."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """What came back. A WebSocket that was accepted has status 101; `closed` is the code with which one was refused."""

    status: int
    headers: Mapping[str, str] = {}
    """Names in lower case."""
    body: bytes = b""
    messages: tuple[str, ...] = ()
    closed: int | None = None


Send = Callable[[Sent], Answer]


@dataclass(frozen=True, slots=True)
class Adapter:
    """How a framework is tested."""

    build: Callable[[Guard | None], Any]
    call: Callable[[Any], AbstractContextManager[Send]]
    serve: Callable[[Any], AbstractContextManager[str]]
    lacks: Mapping[str, str] = field(default_factory=dict)
    """What the framework has not, with the reason."""
    base: str = "http://testserver"
    """The address that the test client sends to."""


def needed(*modules: str) -> None:
    """Skip the tests of an adapter where its framework is not installed; in CI that is a failure."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing and "CI" in os.environ:
        pytest.fail(f"not installed: {', '.join(missing)}", pytrace=False)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}", allow_module_level=True)


# --- ways to send --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def through_starlette(app: Any) -> Iterator[Send]:
    """Call an ASGI application by Starlette's test client."""
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
    """Send to a real server, byte for byte as the row says."""
    where = urlsplit(address)
    assert where.hostname is not None

    def send(sent: Sent) -> Answer:
        if sent.method == "WEBSOCKET":
            return _connect(address, sent)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=SECONDS)
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


# --- who sends -----------------------------------------------------------------------------------------------------


class Caller:
    """Sends rows to one application, and reads the audit records that they leave."""

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
        """Return the audit records since the last call; a line that is being written comes with the next."""
        records = list(read(self._audit, on_broken=lambda _: None)) if self._audit.exists() else []
        new, self._read = records[self._read :], len(records)
        return new

    def records_of(self, row: Scenario) -> list[dict[str, Any]]:
        """Return the new records; wait where a background task may be on its way."""
        found = self.records()
        deadline = time.monotonic() + SECONDS
        while row.told is not None and (len(found) < len(row.records) or not told) and time.monotonic() < deadline:
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
        max_body=HELD,
        oidc_addresses=(issuer.at,),
        oidc_timeout=60.0,
        oidc_roles=(f"{ISSUER} sub=* {READER}",),
    )
    with contextlib.closing(guard):
        yield guard


# --- the contract --------------------------------------------------------------------------------------------------


class Contract:
    """What every adapter must hold; a test class of pytest once it has an `adapter`."""

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
        """Whoever calls the application, through its test client or over a connection."""
        folder = tmp_path_factory.mktemp("contract")
        with contextlib.ExitStack() as until_the_end:
            app = cls.adapter.build(until_the_end.enter_context(opened(folder, issuer)))
            if request.param == "client":
                send, base = until_the_end.enter_context(cls.adapter.call(app)), cls.adapter.base
            else:
                base = until_the_end.enter_context(cls.adapter.serve(app))
                send = over(base)
            yield Caller(send, base, folder / "audit.jsonl", issuer)

    @pytest.mark.parametrize("row", SCENARIOS, ids=lambda row: row.name)
    def test_what_comes_of_a_request(self, caller: Caller, row: Scenario) -> None:
        """Status, code, body and audit record of the row."""
        lacking = [self.adapter.lacks[need] for need in sorted(row.needs) if need in self.adapter.lacks]
        if lacking:
            pytest.skip("; ".join(lacking))
        caller.records()
        ran.clear()
        told.clear()
        answer = caller.ask(row)
        records = caller.records_of(row)
        _check_answer(row, answer)
        noted = [
            f"{record['eventName']} {record.get('errorCode') or record['iamGuard']['outcome']}" for record in records
        ]
        assert noted in (list(row.records), list(row.records_instead or row.records))
        if records and "x-amzn-requestid" in answer.headers:
            assert {record["requestID"] for record in records} == {answer.headers["x-amzn-requestid"]}
        if row.code is not None:
            assert ran == []
        if row.told is not None:
            assert told == [row.told]

    def test_route_coverage_knows_which_route_was_asked(self, caller: Caller) -> None:
        """Allowed and refused, and none of the others that the same action guards (issue G, route coverage)."""
        key = {"authorization": f"Bearer {api_key_of(0)}"}
        with RouteMeasurement() as measured:
            for path, headers in (("/documents/7", key), ("/documents/7", {}), ("/class/7", key)):
                caller.send(Sent("GET", path, headers, b""))
        listed = route_json(measured.routes)["routes"]
        seen = {each["path"].split("/")[1]: (each["allowed"], each["refused"]) for each in listed if each["allowed"]}
        assert seen == {"documents": (True, True), "class": (True, False)}
        assert sum(each["refused"] for each in listed) == 1

    def test_a_missing_middleware_lets_nobody_in(self) -> None:
        """Without the guard in front a guarded handler does not run, whoever calls."""
        app = self.adapter.build(None)
        with self.adapter.call(app) as send:
            ran.clear()
            for method in ("GET", "PUT", "DELETE"):
                answer = send(Sent(method, "/documents/7", {}, b""))
                assert (answer.status, SECRET.encode() in answer.body) == (500, False)
            if "websocket" not in self.adapter.lacks:
                with contextlib.suppress(Exception):  # what a framework makes of it differs
                    assert send(Sent("WEBSOCKET", "/watch/7", {}, b"")).messages == ()
            assert ran == []

    @pytest.mark.parametrize(("path", "together"), [("/who", CROWD), ("/who-sync", 4)])
    def test_a_crowd_of_callers(self, caller: Caller, path: str, together: int, request: pytest.FixtureRequest) -> None:
        """A hundred callers at the same time: each handler sees its own, and each record is of one of them."""
        if request.node.callspec.params["caller"] == "client":
            pytest.skip("a test client sends one request after another")
        caller.records()
        meeting.begin(together)

        def ask(number: int) -> dict[str, str]:
            headers = {"authorization": f"Bearer {api_key_of(number)}"}
            answer = caller.send(Sent("GET", f"{path}/{number}", headers, b""))
            assert answer.status == 200, answer
            body: dict[str, str] = json.loads(answer.body)
            return body

        with ThreadPoolExecutor(CROWD) as pool:
            answers = list(pool.map(ask, range(CROWD)))
        meeting.begin(0)
        assert [each["caller"] for each in answers] == [user(f"caller-{number:03}") for number in range(CROWD)]
        assert [each["document"] for each in answers] == [str(number) for number in range(CROWD)]
        told_of = {record["userIdentity"]["arn"]: record["resources"][0]["ARN"] for record in caller.records()}
        assert told_of == {
            user(f"caller-{number:03}"): f"arn:aws:docs:us-east-1:{ACME}:document/{number}" for number in range(CROWD)
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
