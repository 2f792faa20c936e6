"""What a request makes true and false of each statement: what the explanation says, as far as elements are asked."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from typing import Any

import pytest

from iam_guard import AccessRequest, Principal, compile_policies
from iam_guard.errors import IamGuardError
from iam_guard.evaluation.explainer import explain
from iam_guard.evaluation.statement_coverage import exercise
from tests.evaluation.test_explain_laws import asked
from tests.oracle.generate import generate_case

ANN = Principal.from_arn("arn:aws:iam::111122223333:user/ann")
DOCUMENT = "arn:aws:docs:us-east-1:111122223333:document/7"


def of(statement: dict[str, Any], action: str = "docs:Get", resource: str = DOCUMENT, **context: str) -> Any:
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", **statement}]}
    authorizer = compile_policies(identity=[document])
    keys = {f"docs:{key}": value for key, value in context.items()}
    [found] = authorizer.exercised(authorizer.decide(AccessRequest(ANN, action, resource, keys)))
    return found.applies, dict(found.elements)


@pytest.mark.parametrize(
    ("statement", "action", "context", "applies", "elements"),
    [
        ({"Action": "docs:*"}, "docs:Get", {}, True, {"Action": True, "Resource": True}),
        ({"Action": "docs:*"}, "mail:Get", {}, False, {"Action": False}),
        ({"NotAction": "docs:*"}, "docs:Get", {}, False, {"NotAction": False}),
        ({"Action": "*", "Resource": "arn:aws:s3:::b"}, "docs:Get", {}, False, {"Action": True, "Resource": False}),
        (
            {"Action": "*", "Condition": {"StringEquals": {"docs:A": "1", "docs:B": "1"}, "Null": {"docs:C": "true"}}},
            "docs:Get",
            {"A": "0", "B": "1"},
            False,
            {"Action": True, "Resource": True, "Condition/0": False, "Condition/1": True, "Condition/2": True},
        ),
    ],
)
def test_an_element_is_asked_where_those_before_it_matched(
    statement: dict[str, Any], action: str, context: dict[str, str], applies: bool, elements: dict[str, bool]
) -> None:
    """A request about something else tries no condition; the conditions count each by itself."""
    assert of(statement, action, **context) == (applies, elements)


def test_a_condition_that_cannot_be_evaluated_is_neither() -> None:
    """C-45."""
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"docs:A": "1"}}}
        ],
    }
    authorizer = compile_policies(identity=[document])
    decision = authorizer.decide(AccessRequest(ANN, "docs:Get", DOCUMENT, {"docs:A": lambda: 1 // 0}))
    [found] = authorizer.exercised(decision)
    assert (found.applies, dict(found.elements)) == (True, {"Action": True, "Resource": True})


def test_a_decision_that_could_not_be_made_exercises_nothing() -> None:
    """Nor does one that no policy was asked for (E-66)."""
    authorizer = compile_policies(identity=[{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}])
    assert list(authorizer.exercised(authorizer.decide(AccessRequest(ANN, "docs", DOCUMENT)))) == []
    assert list(authorizer.exercised(authorizer.decide(AccessRequest(ANN, "sts:GetCallerIdentity", "*")))) == []


def test_the_decision_stays_as_it_is() -> None:
    """What it has read is what the audit trail tells, whoever looks on."""
    conditions = {"StringEquals": {"docs:A": "1"}}
    statement = {"Effect": "Allow", "Action": "docs:Put", "Resource": "*", "Condition": conditions}
    authorizer = compile_policies(identity=[{"Statement": [statement, {**statement, "Action": "docs:Get"}]}])
    decision = authorizer.decide(AccessRequest(ANN, "docs:List", DOCUMENT, {"docs:A": "1"}))
    assert len(list(authorizer.exercised(decision))) == 2
    assert decision.request.read == {}


@pytest.mark.parametrize("shard", range(2))
def test_it_says_what_the_explanation_says(shard: int) -> None:
    """On generated cases: which policies apply, which statements, and each element that was asked."""
    rng = random.Random(f"exercised {shard}")
    seen = 0
    for _ in range(150):
        given = generate_case(rng)
        with suppress(IamGuardError):
            request, policies = asked(json.loads(json.dumps(given)))
            explained = explain(request, policies)
            shown = [
                statement
                for type in explained.types
                for level in type.levels
                for policy in level.policies
                for statement in policy.statements
            ]
            found = [] if explained.error else list(exercise(request, policies))
            assert sorted(each.applies for each in found) == sorted(each.applies for each in shown)
            for each in found:
                same = [other for other in shown if _agrees(each, other)]
                assert same, (given, each)
                seen += 1
    assert seen > 200


def _agrees(found: Any, shown: Any) -> bool:
    """Return whether an explained statement is this one: same answers, element by element."""
    conditions = [element.matched for element in shown.elements if element.name == "Condition"]
    others = {element.name: element.matched for element in shown.elements if element.name != "Condition"}
    if (found.statement, found.applies) != (shown.index, shown.applies):
        return False
    for name, answer in found.elements:
        number = name.partition("/")[2]
        if number and conditions[int(number) : int(number) + 1] != [answer]:
            return False
        if not number and others.get(name, True) is not answer:
            return False
    return True
