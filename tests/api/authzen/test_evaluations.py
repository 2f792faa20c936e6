"""AuthZEN evaluations: the examples of the specification with our entities, semantics, callers and records."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.testclient import TestClient

from iam_guard import GuardMiddleware, Principal
from iam_guard.analysis.reference.own_references import with_own_references
from iam_guard.api.authzen import evaluations
from iam_guard.api.authzen.app import METADATA, authzen_api
from iam_guard.api.authzen.evaluations import EVALUATE
from iam_guard.api.authzen.searches import SEARCH_ACTIONS, SEARCH_RESOURCES, SEARCH_SUBJECTS
from iam_guard.authn.api_key import format_api_key
from iam_guard.errors import ConfigurationError
from tests.api.authzen.conftest import (
    ACME,
    GLOBEX,
    MISSING,
    SECRET,
    DecisionPoint,
    declare,
    document,
    open_point,
    question,
    subject,
)
from tests.tables import table

DENIED = {"reason": "the subject is not authorized to perform the action on the resource"}
UNKNOWN = {"reason": "the subject does not exist"}
READ = {"name": "docs:GetDocument"}


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


def batch(*numbers: int, name: str = "ann", **members: Any) -> dict[str, Any]:
    """Return the specification's batch: one subject and action, several documents."""
    items = [{"resource": document(number)} for number in numbers]
    return {"subject": subject(name), "action": READ, "evaluations": items, **members}


# --- one evaluation ----------------------------------------------------------------------------------------------


@table(
    "body, decision, context",
    [
        (question("ann", 1), True, None),
        (question("ann", 2), False, DENIED),
        (question("ann", 1, action="docs:PutDocument"), False, DENIED),
        (question("bob", 2, action="docs:PutDocument"), True, None),
        (question("cid", 4), False, DENIED),
        (question("ann", 1, context={"time": "1985-10-26T01:22-07:00"}), True, None),
        (question("ann", 1, context={"schema": "https://schema.example.com/x.json", "nested": {"a": [1]}}), True, None),
        (question("ann", 1) | {"action": {**READ, "properties": {"method": "GET"}}}, True, None),
        (question("ann", 2) | {"subject": {**subject("ann"), "properties": {"team": "blue"}}}, False, DENIED),
        (question("ann", 2) | {"resource": {**document(2), "properties": {"tags": {"team": "red"}}}}, False, DENIED),
        (question("kim", 1, context={"aws:SourceIp": "10.1.2.3"}), True, None),
        (question("kim", 1, context={"AWS:sourceip": "11.1.2.3"}), False, DENIED),
        (question("kim", 1), False, DENIED),
        (question("loc", 1), False, DENIED),
        (question("bob", 99), True, None),
        (question("missing", 1), False, UNKNOWN),
        (question("ANN", 1), False, UNKNOWN),
        (question("bob", 1) | {"subject": subject("team/reader", kind="role")}, True, None),
        (question("bob", 1) | {"subject": subject("reader", kind="role")}, False, UNKNOWN),
        (question("bob", 1) | {"subject": subject("", kind="root")}, True, None),
        (question("bob", 1) | {"resource": {"type": "document", "id": "*"}}, True, None),
        (question("bob", 1, extra={"ignored": True}), True, None),
    ],
)
def test_evaluation_is_decided(point: DecisionPoint, body: Any, decision: bool, context: Any) -> None:
    expected = {"decision": decision} | ({} if context is None else {"context": context})
    assert point.answer("evaluation", body) == expected


def test_connection_of_the_caller_decides_nothing(point: DecisionPoint) -> None:
    """`loc` may read from 127.0.0.1, where the caller is, and not the subject."""
    principal = Principal.from_arn(subject("loc")["id"])
    assert point.decision(question("loc", 1)) is False
    assert point.guard.decide(principal, "docs:GetDocument", document(1)["id"], {"aws:SourceIp": "127.0.0.1"}).allowed


def test_decision_without_policy_of_a_table_uses_the_store() -> None:
    """Without a resource loader, the tags of the store and the context decide."""
    with open_point(declare()) as (guard, _), TestClient(authzen_api(guard)) as client:
        headers = {"authorization": "Bearer " + format_api_key("KEYPEP", SECRET)}
        for context, decision in (({}, True), ({"docs:Kind": "secret"}, False), ({"docs:kind": "report"}, True)):
            sent = client.post("/access/v1/evaluation", headers=headers, json=question("cid", 4, context=context))
            assert sent.json()["decision"] is decision
        assert client.post("/access/v1/search/resource", headers=headers, json=question("cid", 4)).status_code == 404
        assert client.get(METADATA).status_code == 404


# --- several evaluations -----------------------------------------------------------------------------------------

YES, NO = {"decision": True}, {"decision": False, "context": DENIED}


@table(
    "body, expected",
    [
        (batch(1, 2, 4), [YES, NO, YES]),
        (batch(1, 2, 4, options={"evaluations_semantic": "execute_all", "another_option": "value"}), [YES, NO, YES]),
        (batch(1, 2, 4, options={"evaluations_semantic": "deny_on_first_deny"}), [YES, NO]),
        (batch(1, 2, 4, options={"evaluations_semantic": "permit_on_first_permit"}), [YES]),
        (batch(2, 3, 4, options={"evaluations_semantic": "permit_on_first_permit"}), [NO, NO, YES]),
        (batch(2, 3, options={"evaluations_semantic": "permit_on_first_permit"}), [NO, NO]),
        ({"evaluations": [question("ann", 1), question("bob", 2), question("ann", 3)]}, [YES, YES, NO]),
        (
            {
                **without(batch(1, 2), "evaluations"),
                "evaluations": [
                    {"resource": document(1)},
                    {"resource": document(2)},
                    {"resource": document(1), "action": {"name": "docs:PutDocument"}},
                    {"resource": document(2), "subject": subject("bob")},
                ],
            },
            [YES, NO, NO, YES],
        ),
        (
            {
                **question("kim", 1, context={"aws:SourceIp": "10.0.0.1"}),
                "evaluations": [{}, {"context": {"aws:SourceIp": "11.0.0.1"}}, {"context": {}}],
            },
            [YES, NO, NO],
        ),
    ],
)
def test_batch_has_defaults_and_semantics(point: DecisionPoint, body: Any, expected: Any) -> None:
    assert point.answer("evaluations", body) == {"evaluations": expected}


@table("body", [question("ann", 1), question("ann", 2), {**question("ann", 1), "evaluations": []}])
def test_request_without_evaluations_is_one_evaluation(point: DecisionPoint, body: Any) -> None:
    assert point.answer("evaluations", body) == point.answer("evaluation", body)


def test_errors_of_items_do_not_end_a_batch(point: DecisionPoint) -> None:
    """Each error has the status that the same evaluation has alone."""
    items = [
        question("ann", 1),
        without(question("ann", 1), "resource"),
        {**question("ann", 1), "subject": subject("gus", GLOBEX)},
        question("ann", 1, context={"aws:PrincipalTag/team": "blue"}),
        question("ann", 1),
    ]
    answers = point.answer("evaluations", {"evaluations": items})["evaluations"]
    statuses = [answer.get("context", {}).get("error", {}).get("status", 200) for answer in answers]
    assert statuses == [point.post("evaluation", item).status_code for item in items] == [200, 400, 403, 400, 200]
    assert [answer["decision"] for answer in answers] == [True, False, False, False, True]
    stopped = {"evaluations": items, "options": {"evaluations_semantic": "deny_on_first_deny"}}
    assert point.answer("evaluations", stopped)["evaluations"] == answers[:2]


def test_thousand_evaluations_are_answered(point: DecisionPoint) -> None:
    """A batch has at most 1,000 evaluations, and all of them are recorded."""
    point.sink.lines.clear()
    assert len(point.answer("evaluations", batch(*[1] * 1000))["evaluations"]) == 1000
    assert [len(record["iamGuard"]["answers"]) for record in point.records("AskPermissions")] == [100] * 10
    assert point.post("evaluations", batch(*[1] * 1001)).status_code == 400


def test_batch_pauses_after_each_millisecond() -> None:
    """A batch of 1,000 held the interpreter for a quarter of a second; each step of others waited 5 ms for it."""
    clock, slept = [0.0], list[float]()
    steps = []
    for item in evaluations.in_steps(range(1_000), used=lambda: clock[0], sleep=slept.append):
        steps.append(item)
        clock[0] += 0.0004
    assert steps == list(range(1_000))
    assert slept == [pytest.approx(0.0036)] * 333


@table("body", [batch(*[1] * 9), {**batch(*[1] * 9), "padding": "x" * 5_000}])
def test_batches_wait_for_each_other_alone(
    point: DecisionPoint, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any]
) -> None:
    """Their parts are paced, and a single evaluation has threads that no batch takes."""
    begun, go_on = threading.Event(), threading.Event()

    def wait(items: Sequence[Any]) -> Iterator[Any]:
        if len(items) > 1:
            begun.set()
            assert go_on.wait(60)
        yield from items

    monkeypatch.setattr(evaluations, "in_steps", wait)
    with ThreadPoolExecutor(12) as threads:
        batches = [threads.submit(point.answer, "evaluations", body) for _ in range(12)]
        assert begun.wait(60)
        assert point.decision(question("ann", 1))
        go_on.set()
        assert {len(batched.result()["evaluations"]) for batched in batches} == {9}


# --- callers -----------------------------------------------------------------------------------------------------


def test_record_names_caller_and_subject(point: DecisionPoint) -> None:
    point.sink.lines.clear()
    point.decision(question("ann", 1))
    permission, asked = point.records("EvaluateAccess")[0], point.records("AskPermissions")[0]
    assert permission["userIdentity"]["arn"] == asked["userIdentity"]["arn"] == subject("pep")["id"]
    answer = asked["iamGuard"]["answers"][0]
    assert (answer["principal"], answer["resource"]) == (subject("ann")["id"], document(1)["id"])
    assert permission["requestID"] == asked["requestID"]


@table(
    "caller, account, status",
    [
        ("pep", ACME, 200),
        ("weak", ACME, 403),
        ("ann", ACME, 403),
        ("pep", GLOBEX, 403),
        ("pep", MISSING, 403),
        ("gpep", ACME, 403),
        ("gpep", GLOBEX, 200),
        ("admin", GLOBEX, 200),
        ("admin", ACME, 403),
    ],
)
def test_caller_needs_permission_on_the_account(point: DecisionPoint, caller: str, account: str, status: int) -> None:
    body = question("ann", 1) | {"subject": subject("gus", account), "resource": document(5, account)}
    assert point.post("evaluation", body, caller).status_code == status


def test_other_accounts_look_like_missing_ones(point: DecisionPoint) -> None:
    """The caller learns nothing about existing users, resources and accounts without a permission."""
    bodies = [question("bob", 5) | {"resource": document(5, account)} for account in (GLOBEX, MISSING)]
    bodies += [question("bob", 1) | {"subject": subject(name, GLOBEX)} for name in ("gus", "missing")]
    answers = [point.post("evaluation", body) for body in bodies]
    assert {answer.status_code for answer in answers} == {403}
    assert answers[0].text.replace(GLOBEX, MISSING) == answers[1].text
    assert answers[2].text == answers[3].text


def test_resource_of_a_hidden_owner_looks_missing(point: DecisionPoint) -> None:
    """The store knows that the folder is of the other account, which the caller may not ask about."""
    folders = [{"type": "folder", "id": f"arn:aws:docs:::folder/{name}"} for name in ("their", "missing")]
    body = {"subject": subject("bob"), "action": READ}
    answers = [point.answer("evaluation", {**body, "resource": folder}) for folder in folders]
    assert answers[0] == answers[1] == {"decision": False, "context": DENIED}
    assert point.guard.decide(Principal.from_arn(subject("bob")["id"]), READ["name"], folders[0]["id"]).allowed


def test_batch_is_about_hundred_accounts(point: DecisionPoint) -> None:
    """The permission for each is decided and recorded."""
    items = [{"subject": subject("ann", f"{number:012}")} for number in range(1000)]
    body = {**without(question("ann", 1), "subject"), "evaluations": items}
    point.sink.lines.clear()
    answers = point.answer("evaluations", body)["evaluations"]
    assert {answer["context"]["error"]["status"] for answer in answers[:100]} == {403}
    assert {answer["context"]["error"]["status"] for answer in answers[100:]} == {400}
    assert len(point.sink.records) == 100


def test_resource_policy_lets_another_account_ask() -> None:
    """The policy of an account's `authzen` resource shares the right to ask about it."""
    with open_point(declare()) as (guard, _), TestClient(authzen_api(guard)) as client:
        headers = {"authorization": "Bearer " + format_api_key("KEYPEP", SECRET)}
        body = question("gus", 5) | {"subject": subject("gus", GLOBEX), "resource": document(5, GLOBEX)}
        assert client.post("/access/v1/evaluation", headers=headers, json=body).status_code == 403
        arn = f"arn:aws:iam-guard:us-east-1:{GLOBEX}:authzen"
        shared = {"Effect": "Allow", "Principal": {"AWS": subject("pep")["id"]}, "Action": "iam-guard:EvaluateAccess"}
        guard.resource_policies.put(arn, {"Version": "2012-10-17", "Statement": [{**shared, "Resource": arn}]})
        assert client.post("/access/v1/evaluation", headers=headers, json=body).json() == {"decision": True}
        assert client.post("/access/v1/search/action", headers=headers, json=body).status_code == 403


def test_signed_requests_are_accepted(point: DecisionPoint) -> None:
    key = {"id": "AKIAPEPKEY0000000001", "secret": "pep-secret"}
    with open_point(declare(), access_keys={"pep": key}) as (guard, _), TestClient(authzen_api(guard)) as client:
        url, body = "http://pdp.example.com/access/v1/evaluation", json.dumps(question("bob", 1)).encode()
        request = AWSRequest("POST", url, data=body, headers={"content-type": "application/json"})
        SigV4Auth(Credentials(key["id"], key["secret"]), "iam-guard", "us-east-1").add_auth(request)
        headers = dict(request.headers.items())
        assert client.post(url, content=body, headers=headers).json() == {"decision": True}
        other = json.dumps(question("ann", 1)).encode()
        assert client.post(url, content=other, headers=headers).status_code == 401


def test_linter_knows_the_permissions() -> None:
    """So a policy for callers has no unknown action."""
    (reference,) = [known for known in with_own_references(()) if known.name == "iam-guard"]
    names = {f"iam-guard:{action.name}" for action in reference.actions}
    assert {EVALUATE, SEARCH_ACTIONS, SEARCH_RESOURCES, SEARCH_SUBJECTS} <= names


# --- the application ---------------------------------------------------------------------------------------------


def test_metadata_names_the_endpoints(point: DecisionPoint) -> None:
    response = point.client.get(point.url + METADATA)
    base = "https://pdp.example.com"
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == {
        "policy_decision_point": base,
        "access_evaluation_endpoint": f"{base}/access/v1/evaluation",
        "access_evaluations_endpoint": f"{base}/access/v1/evaluations",
        "search_subject_endpoint": f"{base}/access/v1/search/subject",
        "search_resource_endpoint": f"{base}/access/v1/search/resource",
        "search_action_endpoint": f"{base}/access/v1/search/action",
    }


@table("url", ["http://pdp.example.com", "https://pdp.example.com?a=b", "https://", "ftp://localhost", "pdp"])
def test_wrong_identifier_is_refused(point: DecisionPoint, url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected an HTTPS URL"):
        authzen_api(point.guard, url=url)


@table(
    "path, body, headers",
    [
        ("evaluation", question("ann", 1), {}),
        ("evaluation", b"{", {}),
        ("evaluation", question("ann", 1), {"content-type": "text/plain"}),
        ("nothing", {}, {}),
    ],
)
def test_request_id_is_returned(point: DecisionPoint, path: str, body: Any, headers: dict[str, str]) -> None:
    response = point.post(path, body, **headers, **{"x-request-id": "bfe9eb29 ab87/4ca3"})
    assert response.headers["x-request-id"] == "bfe9eb29 ab87/4ca3"
    assert "x-request-id" not in point.post(path, body, **headers).headers


def test_mounted_behind_a_guard_authenticates_itself() -> None:
    with open_point(declare()) as (guard, _):
        routes, middleware = [Mount("/pdp", authzen_api(guard))], [Middleware(GuardMiddleware, guard=guard)]
        client = TestClient(Starlette(routes=routes, middleware=middleware))
        headers = {"authorization": "Bearer " + format_api_key("KEYPEP", SECRET)}
        assert client.post("/pdp/access/v1/evaluation", headers=headers, json=question("bob", 1)).json() == YES
        assert client.post("/pdp/access/v1/evaluation", json=question("bob", 1)).status_code == 401
