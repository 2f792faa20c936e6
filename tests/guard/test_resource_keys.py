"""The keys and tags of a resource count in every way to ask a guard."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from iam_guard import Decision, Guard, Principal, Resource, Service, compile_policies, open_guard
from iam_guard.audit.consumer.reader import read_records
from iam_guard.evaluation.authorization_message import authorization_message
from iam_guard.evaluation.authorizer import Authorizer
from iam_guard.model.request import AccessRequest
from iam_guard.testing.assertions import assert_allowed, assert_denied
from iam_guard.web.refusal import encoded_message
from tests.tables import table

ACME = "111122223333"
ADA = Principal.from_arn(f"arn:aws:iam::{ACME}:user/ada")
DOCUMENT = f"arn:aws:docs:us-east-1:{ACME}:document/7"
SECRET = {"StringEquals": {"docs:Class": "secret"}}
NOT_BLUE = {"StringNotEquals": {"aws:ResourceTag/team": "blue"}}


def statement(effect: str, action: str, condition: Any = None) -> dict[str, Any]:
    more = {} if condition is None else {"Condition": condition}
    return {"Effect": effect, "Action": f"docs:{action}", "Resource": "*", **more}


STATEMENTS = [
    statement("Allow", "ReadIfSecret", SECRET),
    statement("Allow", "ReadIfTwoMembers", {"ForAllValues:StringEquals": {"docs:Members": ["a", "b"]}}),
    statement("Allow", "ReadIfOwn", {"StringEquals": {"docs:Owner": "${aws:username}"}}),
    statement("Allow", "ReadIfBlue", {"StringEquals": {"aws:ResourceTag/team": "blue"}}),
    statement("Allow", "ReadIfNotBlue", NOT_BLUE),
    statement("Allow", "ReadAny"),
    statement("Allow", "ReadUnlessSecret"),
    statement("Deny", "ReadUnlessSecret", SECRET),
    statement("Allow", "ReadUnlessNotBlue"),
    statement("Deny", "ReadUnlessNotBlue", NOT_BLUE),
]
POLICY = {"Version": "2012-10-17", "Statement": STATEMENTS}
SEED = {
    "version": 1,
    "accounts": [
        {
            "id": ACME,
            "users": [{"name": "ada", "inline": {"P": POLICY}}],
            "resources": [{"arn": DOCUMENT, "tags": {"team": "blue"}}],
        }
    ],
}


class Loaded:
    """A loader of the application; `resource` is what it returns."""

    resource: Resource | None = None

    def __call__(self, arn: str) -> Resource | None:
        return self.resource


LOADED = Loaded()


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "audit.jsonl"


@pytest.fixture(scope="module")
def guards(trail: Path) -> Iterator[tuple[Guard, Guard]]:
    """A guard without a loader of resources, and one with it."""
    seed = trail.with_name("iam.json")
    seed.write_text(json.dumps(SEED))
    without = open_guard(
        seed, services=[Service("docs")], audit=str(trail), audit_condition_keys=["docs:*", "aws:*"], epoch_poll=3600.0
    )
    loading = open_guard(seed, services=[Service("docs")], audit="", resources=LOADED, epoch_poll=3600.0)
    yield without, loading
    without.close()
    loading.close()


Ask = Callable[[tuple[Guard, Guard], str, Resource, Any], Decision]


def by_loader(guards: tuple[Guard, Guard], action: str, resource: Resource, context: Any) -> Decision:
    LOADED.resource = resource
    (decision,) = guards[1].ask(ADA, [(action, resource.arn)], context)
    return decision


def from_cache(guards: tuple[Guard, Guard], action: str, resource: Resource, context: Any) -> Decision:
    guards[0].decide(ADA, action, resource, context)
    decision = guards[0].decide_from_cache(ADA, action, resource, context)
    assert decision is not None
    return decision


WAYS: dict[str, Ask] = {
    "decide": lambda guards, action, resource, context: guards[0].decide(ADA, action, resource, context),
    "from cache": from_cache,
    "ask": lambda guards, action, resource, context: guards[0].ask(ADA, [(action, resource)], context)[0],
    "by ARN": by_loader,
}


@table("way", WAYS)
@table(
    ("action", "described", "context", "allowed"),
    [
        ("ReadIfSecret", {"keys": {"docs:Class": "secret"}}, None, True),
        ("ReadIfSecret", {"keys": {"DOCS:class": lambda: "secret"}}, None, True),
        ("ReadIfSecret", {"keys": {"docs:Class": "open"}}, None, False),
        ("ReadIfSecret", {"keys": {"docs:Class": "open"}}, {"docs:Class": "secret"}, True),
        ("ReadIfSecret", {"keys": {"docs:Class": "secret"}}, {"docs:Class": "open"}, False),
        ("ReadIfSecret", {}, None, False),
        ("ReadIfTwoMembers", {"keys": {"docs:Members": ["b", "a"]}}, None, True),
        ("ReadIfTwoMembers", {"keys": {"docs:Members": ["b", "c"]}}, None, False),
        ("ReadIfOwn", {"keys": {"docs:Owner": "ada"}}, None, True),
        ("ReadUnlessSecret", {"keys": {"docs:Class": "secret"}}, None, False),
        ("ReadUnlessSecret", {"keys": {"docs:Class": "open"}}, None, True),
        ("ReadUnlessSecret", {"keys": {"docs:Class": float("nan")}}, None, False),
        ("ReadAny", {"keys": {"docs:Class": float("nan")}}, None, True),
        ("ReadIfBlue", {"tags": {"team": "red"}, "keys": {"docs:Class": "x"}}, None, False),
        ("ReadIfBlue", {"keys": {"docs:Class": "x"}}, None, True),
        ("ReadAny", {"tags": {"Team": "red", "team": "green"}}, None, True),
        ("ReadIfNotBlue", {"tags": {"Team": "red", "team": "green"}}, None, False),
        ("ReadUnlessNotBlue", {"tags": {"Team": "blue", "team": "blue"}}, None, False),
        ("ReadUnlessNotBlue", {"tags": {"team": "blue"}}, None, True),
        ("ReadIfNotBlue", {"tags": {"Team": "red", "team": "green"}}, {"aws:ResourceTag/team": "red"}, True),
    ],
)
def test_resource_keys_count_however_it_is_asked(
    guards: tuple[Guard, Guard], way: str, action: str, described: Any, context: Any, allowed: bool
) -> None:
    """Also tags of the store, where the loader returns none; an unusable key counts where it is read (C-45)."""
    resource = Resource(DOCUMENT, ACME, **described)
    decision = WAYS[way](guards, f"docs:{action}", resource, context)
    assert (decision.allowed, decision.error) == (allowed, None)
    assert guards[0].explain(ADA, f"docs:{action}", resource, context).outcome is decision.outcome


@table(
    ("action", "described", "key"),
    [
        ("ReadIfNotBlue", {"tags": {"Team": "red", "team": "green"}}, "aws:ResourceTag/team"),
        ("ReadUnlessSecret", {"keys": {"docs:Class": float("nan")}}, "docs:Class"),
    ],
)
def test_unusable_key_is_explained_and_withheld(
    guards: tuple[Guard, Guard], trail: Path, action: str, described: Any, key: str
) -> None:
    """The explanation names the error, the record has the key without a value, the sealed message leaves it out."""
    guard, resource = guards[0], Resource(DOCUMENT, ACME, **described)
    decision = guard.decide(ADA, f"docs:{action}", resource)
    for explanation in (guard.explain(ADA, f"docs:{action}", resource), decision.explain()):
        assert "it could not be evaluated: ContextError" in json.dumps(explanation.to_dict())
    assert encoded_message(guard, decision)
    assert key.lower() not in dict(decision.request.context)
    *_, record = read_records(trail)
    (condition,) = record["iamGuard"]["conditions"]
    assert condition == {"key": condition["key"], "withheld": True}
    assert condition["key"].lower() == key.lower()


def test_message_to_another_account_hides_resource_keys(guards: tuple[Guard, Guard]) -> None:
    """X-7: the resource's data belongs to its owner."""
    resource = Resource(DOCUMENT, "444455556666", tags={"team": "red"}, keys={"docs:Class": "hidden"})
    decision = guards[0].decide(ADA, "docs:ReadIfSecret", resource)
    conditions = authorization_message(decision)["context"]["conditions"]["items"]
    assert not [shown for shown in map(str, conditions) if "hidden" in shown or "red" in shown]
    own = authorization_message(
        guards[0].decide(ADA, "docs:ReadIfSecret", Resource(DOCUMENT, keys={"docs:Class": "x"}))
    )
    assert "docs:class" in {item["key"].lower() for item in own["context"]["conditions"]["items"]}


def test_value_of_resource_is_computed_only_if_read(guards: tuple[Guard, Guard]) -> None:
    """A column that is loaded later costs nothing unless a statement names it."""
    read_keys: list[str] = []

    def expensive() -> str:
        read_keys.append("docs:Class")
        return "secret"

    resource = Resource(DOCUMENT, ACME, keys={"docs:Class": expensive})
    assert guards[0].decide(ADA, "docs:ReadAny", resource).allowed
    assert read_keys == []
    assert guards[0].decide(ADA, "docs:ReadIfSecret", resource).allowed
    assert read_keys


def test_decision_equals_that_of_compiled_policies(guards: tuple[Guard, Guard]) -> None:
    """`for_resource` supplies what the guard supplies of the resource."""
    authorizer = compile_policies([POLICY])
    for row in ({"docs:Class": "secret", "docs:Owner": "ada"}, {"docs:Class": "open", "docs:Members": "a"}):
        resource = Resource(DOCUMENT, ACME, {"team": "red"}, keys=row)
        for action in {statement["Action"] for statement in STATEMENTS}:
            request = AccessRequest.for_resource(ADA, action, resource)
            assert authorizer.decide(request).outcome is guards[0].decide(ADA, action, resource).outcome, action
            assert assertions_agree(authorizer, action, resource)


def assertions_agree(authorizer: Authorizer, action: str, resource: Resource) -> bool:
    is_allowed = authorizer.decide(AccessRequest.for_resource(ADA, action, resource)).allowed
    decision = (assert_allowed if is_allowed else assert_denied)(authorizer, ADA, action, resource)
    return decision.allowed is is_allowed
