"""AuthZEN searches: what they find, an evaluation allows; pages, tokens and callers."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from iam_guard.api.authzen.entities import Document
from iam_guard.api.authzen.evaluations import AuthzenCaller
from iam_guard.api.authzen.searches import SEARCH_SUBJECTS, SearchApi
from iam_guard.errors import InvalidInput
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.store.identifiers import random_id
from iam_guard.store.schema import identities
from tests.api.authzen.conftest import (
    ACME,
    GLOBEX,
    DecisionPoint,
    declare,
    document,
    open_point,
    question,
    subject,
)
from tests.tables import table

READ = {"name": "docs:GetDocument"}
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def of_subjects(number: int, kind: str = "user", account: str = ACME, **members: Any) -> dict[str, Any]:
    return {"subject": {"type": kind}, "action": READ, "resource": document(number, account), **members}


def of_resources(name: str, kind: str = "document", account: str = ACME, **members: Any) -> dict[str, Any]:
    return {"subject": subject(name, account), "action": READ, "resource": {"type": kind}, **members}


def of_actions(name: str, resource: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"subject": subject(name), "resource": resource, **members}


def found(point: DecisionPoint, kind: str, body: dict[str, Any], caller: str = "pep") -> list[Any]:
    """Return all results, page by page."""
    results, token = [], ""
    while True:
        page = {**body.get("page", {}), **({"token": token} if token else {})}
        answer = point.answer(f"search/{kind}", {**body, "page": page}, caller)
        assert answer["page"]["count"] == len(answer["results"])
        results += answer["results"]
        token = answer["page"]["next_token"]
        if not token:
            return results


@table(
    "body, names",
    [
        (of_subjects(1), ["ann", "bob", "cid"]),
        (of_subjects(4), ["ann", "bob"]),
        (of_subjects(1, context={"aws:SourceIp": "10.0.0.1"}), ["ann", "bob", "cid", "kim"]),
        (of_subjects(2), ["bob", "cid"]),
        (of_subjects(1) | {"subject": {"type": "user", "id": "ignored", "properties": {}}}, ["ann", "bob", "cid"]),
        (of_subjects(1, page={"limit": 1}), ["ann", "bob", "cid"]),
        (of_subjects(1, page={"limit": 2}), ["ann", "bob", "cid"]),
        (of_subjects(1, page={"limit": 3}), ["ann", "bob", "cid"]),
        (of_subjects(1, page={"limit": 100_000}), ["ann", "bob", "cid"]),
        (of_subjects(1, "role"), ["team/reader"]),
        (of_subjects(1, "root"), [""]),
    ],
)
def test_subjects_are_found(point: DecisionPoint, body: Any, names: list[str]) -> None:
    kind = body["subject"]["type"]
    results = found(point, "subject", body)
    assert results == [subject(name, kind=kind) for name in names]
    for entity in results:
        assert point.decision(question("ann", 1) | {**body, "subject": entity})


def test_subjects_are_those_of_the_resources_account(point: DecisionPoint) -> None:
    assert found(point, "subject", of_subjects(5, account=GLOBEX), "gpep") == [
        subject("admin", GLOBEX),
        subject("gus", GLOBEX),
    ]


@table(
    "body, numbers",
    [
        (of_resources("ann"), [1, 4]),
        (of_resources("bob"), [1, 2, 3, 4]),
        (of_resources("cid"), [1, 2, 3]),
        (of_resources("kim"), []),
        (of_resources("kim", context={"aws:SourceIp": "10.0.0.1"}), [1, 2, 3, 4]),
        (of_resources("loc"), []),
        (of_resources("missing"), []),
        (of_resources("bob", page={"limit": 1}), [1, 2, 3, 4]),
        (of_resources("bob", page={"limit": 3}), [1, 2, 3, 4]),
        (of_resources("bob", page={"limit": 4}), [1, 2, 3, 4]),
        (of_resources("bob") | {"resource": {**document(1), "properties": {}}}, [1, 2, 3, 4]),
    ],
)
def test_resources_are_found(point: DecisionPoint, body: Any, numbers: list[int]) -> None:
    results = found(point, "resource", body)
    assert results == [document(number) for number in numbers]
    for entity in results:
        assert point.decision({**body, "resource": entity})


@table(
    "body, names",
    [
        (of_actions("bob", document(1)), ["docs:GetDocument", "docs:PutDocument"]),
        (of_actions("bob", document(1), page={"limit": 1}), ["docs:GetDocument", "docs:PutDocument"]),
        (of_actions("ann", document(1)), ["docs:GetDocument"]),
        (of_actions("ann", document(2)), []),
        (of_actions("missing", document(2)), []),
        (of_actions("kim", document(2), context={"aws:SourceIp": "10.0.0.1"}), ["docs:GetDocument"]),
        (of_actions("bob", {"type": "folder", "id": f"arn:aws:docs:us-east-1:{ACME}:folder/a"}), []),
    ],
)
def test_actions_are_found(point: DecisionPoint, body: Any, names: list[str]) -> None:
    results = found(point, "action", body)
    assert results == [{"name": name} for name in names]
    for entity in results:
        assert point.decision({**body, "action": entity})


def test_last_page_has_no_token(point: DecisionPoint) -> None:
    """A page that ends with the last candidate may be followed by an empty one, and never misses a result."""
    first = point.answer("search/subject", of_subjects(1, page={"limit": 2}))
    assert [entity["id"][-3:] for entity in first["results"]] == ["ann", "bob"]
    second = point.answer("search/subject", of_subjects(1, page={"token": first["page"]["next_token"]}))
    assert ([entity["id"][-3:] for entity in second["results"]], second["page"]["next_token"]) == (["cid"], "")


# --- refusals ----------------------------------------------------------------------------------------------------


@table(
    "kind, body, caller, status",
    [
        ("subject", of_subjects(1), "weak", 403),
        ("subject", of_subjects(1), None, 401),
        ("subject", of_subjects(5, account=GLOBEX), "pep", 403),
        ("subject", of_subjects(1, "group"), "pep", 400),
        ("subject", of_subjects(1, page={"limit": 0}), "pep", 400),
        ("subject", of_subjects(1, page={"limit": True}), "pep", 400),
        ("subject", of_subjects(1, page={"limit": "5"}), "pep", 400),
        ("subject", of_subjects(1, page={"token": 5}), "pep", 400),
        ("subject", of_subjects(1, page={"token": "alsehrq3495u8"}), "pep", 400),
        ("subject", of_subjects(1, page={"token": "A" * 9000}), "pep", 400),
        ("subject", of_subjects(1, page=[]), "pep", 400),
        ("subject", of_subjects(1, context={"aws:PrincipalTag/team": "red"}), "pep", 400),
        ("resource", of_resources("ann"), "weak", 403),
        ("resource", of_resources("gus", account=GLOBEX), "pep", 403),
        ("resource", of_resources("ann", "folder"), "pep", 400),
        ("resource", of_resources("ann", "unknown"), "pep", 400),
        ("resource", of_resources("ann", context={"docs:Kind": "report"}), "pep", 400),
        ("action", of_actions("ann", document(1)), "weak", 403),
        ("action", of_actions("ann", document(5, GLOBEX)), "pep", 403),
        ("action", of_actions("ann", {"type": "document", "id": "*"}), "pep", 400),
        ("action", of_actions("ann", {"type": "user", "id": subject("ann")["id"]}), "pep", 400),
        ("action", of_actions("ann", {"type": "folder", "id": document(1)["id"]}), "pep", 400),
    ],
)
def test_search_is_refused(point: DecisionPoint, kind: str, body: Any, caller: str | None, status: int) -> None:
    response = point.post(f"search/{kind}", body, caller)
    assert (response.status_code, response.headers["content-type"]) == (status, "text/plain; charset=utf-8")


@table(
    "kind, body, caller",
    [
        ("subject", of_subjects(2), "pep"),
        ("subject", of_subjects(1, context={"time": "now"}), "pep"),
        ("subject", of_subjects(1, "role"), "pep"),
        ("subject", of_subjects(1), "other"),
        ("resource", of_resources("ann"), "pep"),
        ("action", of_actions("ann", document(1)), "pep"),
    ],
)
def test_token_is_valid_for_its_search_alone(point: DecisionPoint, kind: str, body: Any, caller: str) -> None:
    token = point.answer("search/subject", of_subjects(1, page={"limit": 1}))["page"]["next_token"]
    altered = token[:-1] + ("A" if token[-1] != "A" else "B")
    assert point.post("search/subject", of_subjects(1, page={"token": altered})).status_code == 400
    assert point.post(f"search/{kind}", {**body, "page": {"token": token}}, caller).status_code == 400
    assert point.post("search/subject", of_subjects(1, page={"token": token})).status_code == 200


# --- without a server --------------------------------------------------------------------------------------------


@pytest.fixture
def guard() -> Iterator[Guard]:
    with open_point(declare()) as (opened, _):
        yield opened


def asking(guard: Guard) -> AuthzenCaller:
    caller = Principal.from_arn(subject("pep")["id"])
    return AuthzenCaller(guard, caller, Call("request"), SEARCH_SUBJECTS)


def add_users(guard: Guard, names: list[str], **members: str) -> None:
    """Add users without policies."""
    with guard.store.write_transaction() as records:
        known: Any = records.one(identities, account=ACME, kind="user", folded="weak")
        for name in names:
            own = {"id": random_id("AIDA", name), "name": name, "folded": name}
            records.insert(identities, **{**known, **own, **members})


def pages(api: SearchApi, caller: AuthzenCaller, body: Document) -> list[int]:
    """Return the number of results of each page."""
    counts, token = [], ""
    while True:
        answer = api.subjects(caller, {**body, "page": {"token": token}})
        counts.append(answer["page"]["count"])
        token = answer["page"]["next_token"]
        if not token:
            return counts


def test_page_ends_after_many_decisions(guard: Guard) -> None:
    """A page without results ends, too, and the next one goes on."""
    add_users(guard, [f"b{number:04}" for number in range(1500)])
    assert pages(SearchApi(guard, lambda: 0.0), asking(guard), of_subjects(1)) == [0, 2]


def test_page_ends_after_some_seconds(guard: Guard) -> None:
    add_users(guard, [f"b{number:04}" for number in range(250)])
    ticks = iter(range(0, 1000, 5))
    assert pages(SearchApi(guard, lambda: next(ticks)), asking(guard), of_subjects(1)) == [0, 0, 2]


def test_odd_path_of_a_user_ends_no_search(guard: Guard) -> None:
    """IAM accepts any character from `!` to DEL in a path."""
    add_users(guard, ["b"], path="/a:b/*\x7f/")
    assert pages(SearchApi(guard), asking(guard), of_subjects(1)) == [2]


def test_token_expires(guard: Guard) -> None:
    """A token is valid for one hour."""
    now = [NOW]
    guard.clock = clock_of(now)
    api, caller = SearchApi(guard), asking(guard)
    token = api.subjects(caller, of_subjects(1, page={"limit": 1}))["page"]["next_token"]
    now[0] += timedelta(seconds=3599)
    assert api.subjects(caller, of_subjects(1, page={"token": token}))["page"]["count"] == 1
    now[0] += timedelta(seconds=1)
    with pytest.raises(InvalidInput, match="has expired"):
        api.subjects(caller, of_subjects(1, page={"token": token}))


def clock_of(now: list[datetime]) -> Callable[[], datetime]:
    return lambda: now[0]


def test_token_reveals_nothing(guard: Guard) -> None:
    token = SearchApi(guard).subjects(asking(guard), of_subjects(1, page={"limit": 1}))["page"]["next_token"]
    assert b"bob" not in base64.urlsafe_b64decode(token + "===")
