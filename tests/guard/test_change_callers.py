"""Changes that an application makes in Python record on whose request it made them."""

from __future__ import annotations

import contextvars
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, GuardWsgiMiddleware, Principal, public
from iam_guard.audit.consumer.personal_records import PersonRecords
from iam_guard.audit.consumer.record_filter import record_filter
from iam_guard.audit.export.ocsf import ocsf_event
from iam_guard.audit.record.privacy import PrivacyRules, Treatment
from iam_guard.model.request import Call
from iam_guard.web.call_context import CurrentCall, current_call, serving
from tests.signed_in import ACME, ADA, RITA, SignedIn, docs, signed_in

SHARED = f"arn:aws:docs:us-east-1:{ACME}:document/7"
OTHER_ACCOUNT = "444455556666"
POLICY = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}}


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[SignedIn]:
    with signed_in(tmp_path) as made:
        yield made


def changes(harness: SignedIn) -> list[dict[str, Any]]:
    return [record for record in harness.records() if record["eventType"] == "AwsServiceEvent"]


def share(guard: Guard) -> None:
    guard.sharing.share(SHARED, with_account=OTHER_ACCOUNT, external=True, actions="docs:GetDocument")


def app_of(harness: SignedIn, later: list[threading.Thread] | None = None) -> Any:
    later = [] if later is None else later
    guard = harness.guard

    def change_all() -> None:
        share(guard)
        guard.accounts.create("Globex")
        guard.api_keys.create(ADA)

    @docs.requires("PutDocument", resource="document/{name}")
    async def in_threads(request: Request) -> JSONResponse:
        await anyio.to_thread.run_sync(change_all)
        return JSONResponse(None)

    @docs.requires("PutDocument", resource="document/{name}")
    def in_a_copied_context(request: Request) -> JSONResponse:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(share, guard))
        thread.start()
        thread.join()
        return JSONResponse(None)

    @docs.requires("PutDocument", resource="document/{name}")
    def afterwards(request: Request) -> JSONResponse:
        context = contextvars.copy_context()
        later.append(threading.Thread(target=context.run, args=(share, guard)))
        return JSONResponse(None)

    @public
    def sign_up(request: Request) -> JSONResponse:
        guard.accounts.create("Initech")
        return JSONResponse(None)

    routes = [
        Route("/threads/{name}", in_threads, methods=["POST"]),
        Route("/context/{name}", in_a_copied_context, methods=["POST"]),
        Route("/afterwards/{name}", afterwards, methods=["POST"]),
        Route("/signup", sign_up, methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guard)])


def test_change_in_a_request_has_its_caller(harness: SignedIn) -> None:
    """`userIdentity` stays the application, which acts without a decision."""
    key = harness.guard.api_keys.create(RITA)
    client = TestClient(app_of(harness), client=("192.0.2.9", 5000), headers={"authorization": f"Bearer {key.text}"})
    answers = [client.post(f"/{path}/7") for path in ("threads", "context")]
    [before, *records] = changes(harness)
    assert (before["requestID"], "caller" in before["iamGuard"]) == (None, False)
    ids = [answer.headers["x-amzn-requestid"] for answer in answers]
    assert [(record["eventName"], record["requestID"]) for record in records] == [
        ("ShareResource", ids[0]),
        ("CreateAccount", ids[0]),
        ("CreateApiKey", ids[0]),
        ("ShareResource", ids[1]),
    ]
    for record in records:
        assert record["userIdentity"] == {"type": "AWSService", "invokedBy": "docs"}
        assert (record["sourceIPAddress"], record["userAgent"]) == ("192.0.2.9", "testclient")
        assert "method" not in record["requestParameters"]
        caller = record["iamGuard"]["caller"]
        assert (caller["type"], caller["arn"], caller["userName"], caller["accountId"]) == (
            "IAMUser",
            RITA,
            "rita",
            ACME,
        )
        assert caller["credentialId"] == key.id
        assert record["iamGuard"]["version"] == "1.4"


def test_caller_may_be_anonymous(harness: SignedIn) -> None:
    """As of a sign-up: the record has the request all the same."""
    answer = TestClient(app_of(harness)).post("/signup")
    [record] = changes(harness)
    assert record["requestID"] == answer.headers["x-amzn-requestid"]
    assert record["iamGuard"]["caller"]["accountId"] == "anonymous"


def test_change_after_the_response_has_no_caller(harness: SignedIn) -> None:
    key = harness.guard.api_keys.create(RITA)
    later: list[threading.Thread] = []
    TestClient(app_of(harness, later)).post("/afterwards/7", headers={"authorization": f"Bearer {key.text}"})
    for thread in later:
        thread.start()
        thread.join()
    record = changes(harness)[-1]
    assert (record["eventName"], record["requestID"]) == ("ShareResource", None)
    assert "caller" not in record["iamGuard"]
    assert record["sourceIPAddress"] == "docs"


def test_change_in_a_wsgi_application_has_its_caller(harness: SignedIn) -> None:
    key = harness.guard.api_keys.create(RITA)

    @docs.requires("PutDocument")
    def put() -> bytes:
        share(harness.guard)
        return b"put"

    def app(environ: Any, start_response: Any) -> list[bytes]:
        body = put()
        start_response("200 OK", [])
        return [body]

    sent: dict[str, str] = {}
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "docs.example",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "wsgi.url_scheme": "http",
        "HTTP_AUTHORIZATION": f"Bearer {key.text}",
    }
    guarded = GuardWsgiMiddleware(app, guard=harness.guard)
    parts = guarded(environ, lambda status, headers, exc_info=None: sent.update(headers))
    assert b"".join(parts) == b"put"
    record = changes(harness)[-1]
    assert (record["requestID"], record["sourceIPAddress"]) == (sent["x-amzn-requestid"], "192.0.2.7")
    assert record["iamGuard"]["caller"]["arn"] == RITA


def test_callers_at_once_are_not_confused(harness: SignedIn) -> None:
    """Each thread serves another caller; all change at the same time."""
    count = 8
    barrier = threading.Barrier(count)

    def change(number: int) -> None:
        caller = Principal.from_arn(f"arn:aws:iam::{ACME}:user/u{number}")
        with serving(CurrentCall(harness.guard, caller, Call(f"r{number}"))):
            barrier.wait()
            harness.guard.resource_policies.put(f"{SHARED}{number}", POLICY)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(change, range(count)))
    found = {record["requestParameters"]["resourceArn"][-1]: record for record in changes(harness)}
    assert len(found) == count
    for number, record in found.items():
        assert (record["requestID"], record["iamGuard"]["caller"]["userName"]) == (f"r{number}", f"u{number}")


def test_call_of_another_guard_is_no_caller(harness: SignedIn, tmp_path: Path) -> None:
    """Its caller belongs to another store."""
    (tmp_path / "other").mkdir()
    with signed_in(tmp_path / "other") as other:
        caller = Principal.from_arn(RITA)
        with serving(CurrentCall(other.guard, caller, Call("r1"))):
            assert current_call().guard is other.guard
            share(harness.guard)
            share(other.guard)
        assert [record["requestID"] for record in changes(harness)] == [None]
        assert [record["requestID"] for record in changes(other)] == ["r1"]


def record_of_a_change(harness: SignedIn) -> dict[str, Any]:
    with serving(CurrentCall(harness.guard, Principal.from_arn(RITA), Call("r1", source_ip="192.0.2.9"))):
        harness.guard.api_keys.create(ADA)
    [record] = changes(harness)
    return record


def test_caller_is_found_and_exported(harness: SignedIn) -> None:
    record = record_of_a_change(harness)
    assert record_filter([f"caller={RITA}"])(record)
    assert not record_filter([f"caller={ADA}"])(record)
    persons = PersonRecords(ACME, ["rita"], [RITA], [])
    assert persons.relation(record) == "caller"
    assert PersonRecords(ACME, ["ada"], [ADA], []).relation(record) == "named"
    assert RITA in json.dumps(ocsf_event(record))


def test_privacy_rules_of_the_caller_apply(harness: SignedIn) -> None:
    """A rule for `userIdentity` keeps the same member of `iamGuard.caller` out of the record."""
    record = record_of_a_change(harness)
    rules = PrivacyRules({Treatment.MASK: ["/userIdentity/arn"], Treatment.DROP: ["/userIdentity/userName"]})
    clean: Any = rules.apply(record)
    assert clean["iamGuard"]["caller"]["arn"] == "[redacted]"
    assert "userName" not in clean["iamGuard"]["caller"]
    assert "/iamGuard/caller/arn" in clean["iamGuard"]["redacted"]
