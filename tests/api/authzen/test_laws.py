"""Laws on generated stores and questions: AuthZEN answers as `Guard.decide`, alone, in batches and in searches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from iam_guard.api.authzen.evaluations import EVALUATE, AuthzenCaller, EvaluationApi
from iam_guard.api.authzen.searches import SearchApi
from iam_guard.audit.trail import Trail
from iam_guard.errors import IamGuardError
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import create_store
from iam_guard.store.policies.stored_principals import ANY_SESSION
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.api.authzen.conftest import ACME, GLOBEX, declare, document, policy, subject
from tests.audit.list_sink import ListSink
from tests.tables import table

ACTIONS = ["docs:GetDocument", "docs:PutDocument", "docs:DeleteDocument"]
NAMES = ["ann", "bob", "cid", "dan"]
STORES, QUESTIONS = 25, 60


def draw_statement(chance: Random) -> dict[str, Any]:
    arns = ["*", document(1)["id"], document("*")["id"], document(2, GLOBEX)["id"]]
    statement: dict[str, Any] = {
        "Effect": chance.choice(["Allow", "Allow", "Allow", "Deny"]),
        "Action": chance.choice([*ACTIONS, "docs:*", "docs:Get*"]),
        "Resource": chance.choice(arns),
    }
    if chance.random() < 0.5:
        statement["Condition"] = chance.choice(
            [
                {"StringEquals": {"docs:Kind": "report"}},
                {"StringNotEquals": {"docs:Kind": "secret"}},
                {"StringLike": {"aws:PrincipalTag/team": "r*"}},
                {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
                {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
                {"Bool": {"aws:SecureTransport": "true"}},
                {"StringLike": {"aws:userid": "AROA*"}},
                {"ForAnyValue:StringEquals": {"aws:TagKeys": ["team", "cost"]}},
                {"Null": {"aws:RequestTag/team": "false"}},
            ]
        )
    return statement


def draw_member(chance: Random, name: str) -> dict[str, Any]:
    inline = {"inline": {"own": policy(*(draw_statement(chance) for _ in range(chance.randint(1, 4))))}}
    tags = {"tags": {"team": chance.choice(["red", "blue"])}} if chance.random() < 0.5 else {}
    return {"name": name, **tags, **(inline if chance.random() < 0.9 else {})}


def draw_seed(chance: Random) -> dict[str, Any]:
    trust = policy({"Effect": "Allow", "Principal": {"AWS": ACME}, "Action": "sts:AssumeRole"})
    roles = [{**draw_member(chance, "reader"), "trust": trust}]
    users = [draw_member(chance, name) for name in NAMES]
    return {
        "version": 1,
        "accounts": [
            {"id": ACME, "name": "acme", "users": users, "roles": roles},
            {"id": GLOBEX, "name": "globex", "users": [draw_member(chance, "ann")]},
        ],
    }


def open_generated(chance: Random) -> Guard:
    settings = Settings()
    store = create_store("sqlite://", settings)
    apply_seed(store, load_seed_text(json.dumps(draw_seed(chance))))
    guard = Guard(CachedStore(store, settings), Trail(ListSink()), settings, catalogues=[declare().catalogue])
    for number, account in ((1, ACME), (2, GLOBEX)):
        shared = {**draw_statement(chance), "Resource": "*", "Principal": {"AWS": subject(chance.choice(NAMES))["id"]}}
        guard.resource_policies.put(document(number, account)["id"], policy(shared))
    return guard


def draw_context(chance: Random) -> dict[str, Any]:
    pool: dict[str, Any] = {
        "docs:Kind": chance.choice(["report", "secret"]),
        "aws:SourceIp": chance.choice(["10.1.1.1", "192.0.2.1"]),
        "aws:SecureTransport": chance.choice([True, False]),
        "aws:TagKeys": chance.sample(["team", "cost", "other"], 2),
        "aws:RequestTag/team": "red",
        "time": {"ignored": True},
    }
    return {key: pool[key] for key in chance.sample(list(pool), chance.randint(0, 4))}


def draw_question(chance: Random) -> dict[str, Any]:
    who = chance.choice(
        [subject(chance.choice([*NAMES, "missing"])), subject("reader", kind="role"), subject("", kind="root")]
    )
    resource = chance.choice([document(1), document(9), document(2, GLOBEX), {"type": "document", "id": "*"}])
    context = draw_context(chance)
    return {"subject": who, "action": {"name": chance.choice(ACTIONS)}, "resource": resource, "context": context}


def caller_of(guard: Guard) -> AuthzenCaller:
    """Return a caller that may ask about both accounts: each of their root users shares that."""
    root = Principal.from_arn(subject("", kind="root")["id"])
    settings = guard.settings
    arn = f"arn:{settings.partition}:iam-guard:{settings.region}:{GLOBEX}:authzen"
    shared = {"Effect": "Allow", "Principal": {"AWS": root.arn}, "Action": EVALUATE, "Resource": arn}
    guard.resource_policies.put(arn, policy(shared))
    return AuthzenCaller(guard, root, Call("request", source_ip="10.9.9.9", secure=True, kind="http"), EVALUATE)


def principal_of(entity: Mapping[str, str]) -> Principal:
    if entity["type"] != "role":
        return Principal.from_arn(entity["id"])
    session = f"arn:aws:sts::{ACME}:assumed-role/reader/{ANY_SESSION}"
    return Principal.from_arn(session, role_arn=entity["id"])


def decided_by_guard(guard: Guard, question: Mapping[str, Any]) -> bool:
    context = {key: value for key, value in question["context"].items() if key != "time"}
    action, resource = question["action"]["name"], question["resource"]["id"]
    return guard.decide(principal_of(question["subject"]), action, resource, context).allowed


@table("seed", range(STORES))
def test_evaluation_is_what_the_guard_decides(seed: int) -> None:
    """Whatever the caller's own connection is."""
    chance = Random(seed)
    guard = open_generated(chance)
    api, caller = EvaluationApi(guard), caller_of(guard)
    questions = [draw_question(chance) for _ in range(QUESTIONS)]
    singles = [api.evaluation(caller, question) for question in questions]
    expected = [decided_by_guard(guard, question) for question in questions]
    assert [answer["decision"] for answer in singles] == expected
    assert any(expected)
    assert not all(expected)
    for semantic, last in (("execute_all", None), ("deny_on_first_deny", False), ("permit_on_first_permit", True)):
        for size in (1, 2, 7, QUESTIONS):
            options = {"evaluations_semantic": semantic}
            batch = api.evaluations(caller, {"evaluations": questions[:size], "options": options})["evaluations"]
            stop = next((place for place in range(size) if expected[place] is last), size - 1)
            assert batch == singles[: stop + 1], semantic
    guard.close()


@table("seed", range(STORES))
def test_search_finds_what_the_guard_allows(seed: int) -> None:
    """All of it, and nothing else."""
    chance = Random(1000 + seed)
    guard = open_generated(chance)
    api, caller = SearchApi(guard), caller_of(guard)
    for _ in range(QUESTIONS // 6):
        question = draw_question(chance) | {"resource": chance.choice([document(1), document(9)])}
        users = [subject(name) for name in NAMES]
        expected = [entity for entity in users if decided_by_guard(guard, question | {"subject": entity})]
        assert api.subjects(caller, question | {"subject": {"type": "user"}})["results"] == expected
        names = [name for name in sorted(ACTIONS) if decided_by_guard(guard, question | {"action": {"name": name}})]
        assert api.actions(caller, question)["results"] == [{"name": name} for name in names]
    guard.close()


def test_caller_without_permission_gets_no_answer() -> None:
    chance = Random(5)
    guard = open_generated(chance)
    missing = Principal.from_arn(subject("missing")["id"])
    caller = AuthzenCaller(guard, missing, Call("request"), EVALUATE)
    for _ in range(QUESTIONS):
        with pytest.raises(IamGuardError, match="not authorized to perform: iam-guard:EvaluateAccess"):
            EvaluationApi(guard).evaluation(caller, draw_question(chance))
    guard.close()
