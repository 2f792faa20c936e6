"""The results of each statement for a request agree with the explanation, for the evaluated elements."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from typing import Any

from iam_guard import AccessRequest, Principal, compile_policies
from iam_guard.errors import IamGuardError
from iam_guard.evaluation.explainer import explain
from iam_guard.evaluation.statement_coverage import evaluate_statements
from tests.evaluation.test_explain_laws import read_generated
from tests.oracle.generate import generate_case
from tests.tables import table

ANN = Principal.from_arn("arn:aws:iam::111122223333:user/ann")
DOCUMENT = "arn:aws:docs:us-east-1:111122223333:document/7"


def of(statement: dict[str, Any], action: str = "docs:Get", resource: str = DOCUMENT, **context: str) -> Any:
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", **statement}]}
    authorizer = compile_policies(identity=[document])
    keys = {f"docs:{key}": value for key, value in context.items()}
    [found] = authorizer.evaluated_statements(authorizer.decide(AccessRequest(ANN, action, resource, keys)))
    return found.applies, dict(found.elements)


@table(
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
def test_element_is_evaluated_if_those_before_it_matched(
    statement: dict[str, Any], action: str, context: dict[str, str], applies: bool, elements: dict[str, bool]
) -> None:
    """A request about something else covers no condition; each condition counts separately."""
    assert of(statement, action, **context) == (applies, elements)


BEN = "arn:aws:iam::111122223333:user/ben"


@table(
    ("principal", "action", "elements"),
    [
        ({"Principal": {"AWS": ANN.arn}}, "docs:*", {"Principal": True, "Action": True, "Resource": True}),
        ({"Principal": {"AWS": ANN.arn}}, "mail:*", {"Principal": True, "Action": False}),
        ({"Principal": {"AWS": BEN}}, "mail:*", {"Principal": False}),
        ({"NotPrincipal": {"AWS": BEN}}, "docs:*", {"NotPrincipal": True, "Action": True, "Resource": True}),
    ],
)
def test_principal_is_evaluated_first(principal: dict[str, Any], action: str, elements: dict[str, bool]) -> None:
    """Of a resource-based policy; a statement has the reference of its policy."""
    statement = {"Effect": "Deny", "Action": action, "Resource": "*", **principal}
    authorizer = compile_policies(
        identity=[{"Statement": {"Effect": "Allow", "Action": "mail:*", "Resource": "*"}}],
        resource={"Version": "2012-10-17", "Statement": [statement]},
    )
    shared, own = authorizer.evaluated_statements(authorizer.decide(AccessRequest(ANN, "docs:Get", DOCUMENT)))
    assert (shared.applies, dict(shared.elements)) == (all(elements.values()), elements)
    [share], [mine] = authorizer.policies.resource, authorizer.policies.identity
    assert (shared.policy, shared.content, shared.statement) == (share.ref, share.content, 0)
    assert (own.policy, own.content, own.elements) == (mine.ref, mine.content, (("Action", False),))


def test_bounded_caller_is_never_exempt() -> None:
    """E-74."""
    allow = {"Statement": {"Effect": "Allow", "Action": "docs:*", "Resource": "*"}}
    exempt = {"Effect": "Deny", "NotPrincipal": {"AWS": [ANN.arn, "111122223333"]}, "Action": "*", "Resource": "*"}
    for more, applies in (({}, False), ({"permissions_boundary": allow}, True)):
        authorizer = compile_policies(identity=[allow], resource={"Version": "2012-10-17", "Statement": exempt}, **more)
        first, *_ = authorizer.evaluated_statements(authorizer.decide(AccessRequest(ANN, "docs:Get", DOCUMENT)))
        assert (first.applies, first.elements[0]) == (applies, ("NotPrincipal", applies))


def test_condition_with_an_error_has_no_result() -> None:
    """C-45."""
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"docs:A": "1"}}}
        ],
    }
    authorizer = compile_policies(identity=[document])
    decision = authorizer.decide(AccessRequest(ANN, "docs:Get", DOCUMENT, {"docs:A": lambda: 1 // 0}))
    [found] = authorizer.evaluated_statements(decision)
    assert (found.applies, dict(found.elements)) == (True, {"Action": True, "Resource": True})


def test_invalid_request_covers_nothing() -> None:
    """Nor does one that no policy is evaluated for (E-66)."""
    authorizer = compile_policies(identity=[{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}])
    assert list(authorizer.evaluated_statements(authorizer.decide(AccessRequest(ANN, "docs", DOCUMENT)))) == []
    assert (
        list(authorizer.evaluated_statements(authorizer.decide(AccessRequest(ANN, "sts:GetCallerIdentity", "*")))) == []
    )


def test_coverage_does_not_change_the_decision() -> None:
    """The keys that the decision has read, and its record, are the same afterwards."""
    conditions = {"StringEquals": {"docs:A": "1"}}
    statement = {"Effect": "Allow", "Action": "docs:Put", "Resource": "*", "Condition": conditions}
    authorizer = compile_policies(identity=[{"Statement": [statement, {**statement, "Action": "docs:Get"}]}])
    decision = authorizer.decide(AccessRequest(ANN, "docs:List", DOCUMENT, {"docs:A": "1"}))
    assert len(list(authorizer.evaluated_statements(decision))) == 2
    assert decision.request.read == {}


@table("shard", range(2))
def test_coverage_agrees_with_the_explanation(shard: int) -> None:
    """On generated cases: which policies and statements apply, and each evaluated element."""
    rng = random.Random(f"exercised {shard}")
    seen = 0
    for _ in range(150):
        case_json = generate_case(rng)
        with suppress(IamGuardError):
            request, policies = read_generated(json.loads(json.dumps(case_json)))
            explained = explain(request, policies)
            shown = [
                statement
                for type in explained.types
                for level in type.levels
                for policy in level.policies
                for statement in policy.statements
            ]
            found = [] if explained.error else list(evaluate_statements(request, policies))
            assert sorted(each.applies for each in found) == sorted(each.applies for each in shown)
            for statement in found:
                same = [other for other in shown if _agrees(statement, other)]
                assert same, (case_json, statement)
                seen += 1
    assert seen > 200


def _agrees(found: Any, shown: Any) -> bool:
    """Return whether an explained statement has the same results, element by element."""
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
