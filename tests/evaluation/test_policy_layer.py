"""Many statements are decided as each would be alone: the index loses none and keeps the order."""

from __future__ import annotations

import random
from typing import Any

import pytest

from iam_guard import AccessRequest, Decision, Outcome, Principal, compile_policies
from iam_guard.evaluation import compiler as compiling
from iam_guard.evaluation import policy_layer
from iam_guard.evaluation.bundle import bundle
from tests.tables import table

A, B = "111122223333", "444455556666"
ADA = Principal.from_arn(f"arn:aws:iam::{A}:user/ada")
DOCS = f"arn:aws:docs:us-east-1:{A}"
WRITTEN = [
    "*",
    f"{DOCS}:document/7",
    f"{DOCS}:document/77",
    f"{DOCS}:document/7*",
    f"{DOCS}:document/?",
    f"{DOCS}:document/*",
    f"{DOCS}:folder/${{aws:username}}",
    f"{DOCS}:folder/${{docs:none}}",
    f"{DOCS}:*",
    f"arn:aws:docs:us-east-1:{B}:document/7",
    "arn:aws:docs:*:*:document/7",
    "arn:aws:docs:*:?*:*",
    "arn:aws:docs:::x",
]
SHORT = ["arn:aws:docs", "arn:aws:docs:*", "arn:aws:docs:us-east-1", DOCS]
"""Completed with `:*` where they are allowed (rule G-64)."""
RESOURCES = [
    "*",
    f"{DOCS}:document/7",
    f"{DOCS}:document/77",
    f"{DOCS}:document/8",
    f"{DOCS}:document/",
    f"{DOCS}:folder/ada",
    f"{DOCS}:folder/${{aws:username}}",
    f"arn:aws:docs:us-east-1:{A}:",
    "arn:aws:docs:::x",
    "arn:aws:other:::x",
]


def statements(rng: random.Random, type: str, number: int) -> list[dict[str, Any]]:
    """Draw statements about one action that differ in effect and resource."""
    found = []
    for _ in range(number):
        written = WRITTEN + (SHORT if type == "identity" else [])
        resources = rng.sample(written[1:], rng.randint(1, 3)) if rng.random() < 0.97 else ["*"]
        named: dict[str, Any] = {"NotResource": resources} if rng.random() < 0.05 else {"Resource": resources}
        if type == "resource":
            named = {**named, "Principal": "*"} if rng.random() < 0.95 else {"Principal": "*"}
        found.append({"Effect": rng.choice(["Allow", "Allow", "Deny"]), "Action": "docs:Get", **named})
    return found


def decided(type: str, resource: str, *documents: list[dict[str, Any]]) -> Decision:
    policies = [{"Version": "2012-10-17", "Statement": document} for document in documents]
    documents: dict[str, Any] = {"identity": policies} if type == "identity" else {"resource": policies[0]}
    return compile_policies(**documents).decide(AccessRequest(ADA, "docs:Get", resource))


@table("number", [2, 8, 9, 24])
@table("type", ["identity", "resource"])
def test_indexed_statements_are_decided_as_each_alone(type: str, number: int) -> None:
    """M-1, E-2, E-90: a Deny if any alone denies, else an Allow if any alone allows; the first one is reported."""
    rng = random.Random(f"{type} {number}")
    outcomes = set()
    for _ in range(8):
        drawn = statements(rng, type, number)
        for resource in RESOURCES:
            alone = [decided(type, resource, [each]).outcome for each in drawn]
            together = decided(type, resource, drawn)
            expected = min(alone, key=[Outcome.EXPLICITLY_DENIED, Outcome.ALLOWED, Outcome.IMPLICITLY_DENIED].index)
            outcomes.add(expected)
            assert together.outcome is expected, (resource, drawn)
            if expected is not Outcome.IMPLICITLY_DENIED:
                assert together.reasons[0].statement == alone.index(expected), (resource, drawn)
    assert len(outcomes) >= 2


def test_statements_of_many_policies_keep_their_order() -> None:
    """E-90: the first policy with an applying statement is reported, for any form of its resource."""
    rng = random.Random("order")
    for _ in range(30):
        drawn = [[{"Effect": "Deny", "Action": "docs:Get", "Resource": text}] for text in WRITTEN]
        rng.shuffle(drawn)
        for resource in RESOURCES:
            denying = [
                number
                for number, each in enumerate(drawn, 1)
                if decided("identity", resource, each).outcome is Outcome.EXPLICITLY_DENIED
            ]
            (reason,) = decided("identity", resource, *drawn).reasons
            assert (reason.policy.name if reason.policy else None) == f"identity-based policy #{denying[0]}"


FILLERS = [{"Resource": f"arn:aws:docs:::filler/{number}"} for number in range(12)]
NEVER_MATCHING = {"NotResource": "*"}
"""A candidate for any resource that matches none."""


@table("first", [[], [NEVER_MATCHING]], ids=["", "after one that never matches"])
@table("effect", ["Allow", "Deny"])
@table("written", WRITTEN + SHORT)
def test_index_finds_one_statement_among_many(written: str, effect: str, first: list[dict[str, Any]]) -> None:
    """M-10 to M-12, G-64, V-4: a lost Deny would be a wrong Allow; every form of a resource, in many positions."""
    one = {"Resource": [written, "arn:aws:docs:::filler/0"]}
    for resource in RESOURCES:
        alone = decided("identity", resource, [{"Effect": effect, "Action": "docs:Get", **one}]).outcome
        for place in (0, 6, 12):
            drawn = [*first, *FILLERS[:place], one, *FILLERS[place:]]
            statements = [{"Effect": effect, "Action": "docs:Get", **each} for each in drawn]
            assert decided("identity", resource, statements).outcome is alone, (resource, place)


@pytest.mark.parametrize(("limit", "is_remembered"), [(2, True), (1, False)])
def test_number_of_cached_actions_is_limited(limit: int, is_remembered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Actions from callers do not fill the memory; a cached action is not resolved again."""
    for module in (policy_layer, compiling):
        monkeypatch.setattr(module, "MAX_ACTIONS", limit)
    statement = {"Sid": f"Limit{limit}", "Effect": "Allow", "Action": "docs:*", "Resource": "*"}  # compiled here first
    policies = bundle(identity=[{"Version": "2012-10-17", "Statement": statement}])
    (policy,) = policies.identity
    denied = bundle(identity=[{"Version": "2012-10-17", "Statement": {**statement, "Effect": "Deny"}}]).identity
    allows, about = policies.identity.allows("docs:first", "*"), policy.content.about("docs:first")
    assert policies.identity.allows("docs:first", "*") is allows
    assert denied.allows("docs:first", "*") == ()
    assert denied.denies("docs:first", "*") is denied.denies("docs:first", "*")
    assert policy.content.about("docs:first") is about
    policies.identity.allows("docs:second", "*")
    assert (policies.identity.allows("docs:first", "*") is allows) is is_remembered
    assert (policy.content.about("docs:first") is about) is is_remembered
