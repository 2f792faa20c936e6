"""What an authorizer adds to the evaluator: the statement of a reason, and bounds with its policies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from iam_guard import AccessRequest, Principal, compile_policies
from iam_guard.evaluation.bounds import PartialEvaluator
from iam_guard.evaluation.matching.pattern_coverage import arn_pattern
from tests.tables import table

ANN = Principal.from_arn("arn:aws:iam::111122223333:user/ann")
DOCUMENT = "arn:aws:docs:us-east-1:111122223333:document/7"


def allow(action: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": "*", **more}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


AUTHORIZER = compile_policies(
    identity=[
        policy(allow("docs:List"), allow("docs:Put", Sid="Same")),
        policy(allow("docs:Put", Sid="Same"), allow("docs:Get", Sid="Get")),
    ],
    scps=[[policy(allow("*"))]],
)


def test_statement_of_a_reason_is_found_in_its_policy() -> None:
    """Not one of another policy with the same position or the same Sid."""
    [reason] = AUTHORIZER.decide(AccessRequest(ANN, "docs:Get", DOCUMENT)).reasons
    _, other, get = AUTHORIZER.policies
    assert AUTHORIZER.statement_of(reason) is get.content.document.statements[1]
    assert other.content.document.statements[1].sid == "Same"


@table(
    "change",
    [{"statement": 0}, {"statement": 7}, {"effect": "Deny"}, {"sid": "Other"}, {"sid": None}, {"policy": None}],
)
def test_reason_of_other_policies_has_no_statement(change: dict[str, Any]) -> None:
    """A policy may have changed since the decision: position, effect and Sid must be the same."""
    [reason] = AUTHORIZER.decide(AccessRequest(ANN, "docs:Get", DOCUMENT)).reasons
    assert AUTHORIZER.statement_of(replace(reason, **change)) is None


@table(
    ("resource", "asked", "least", "most"),
    [
        ("arn:aws:docs:us-east-1:111122223333:document/*", True, False, True),
        ("arn:aws:docs:us-east-1:111122223333:document/*", False, True, True),
        (DOCUMENT, False, True, True),
    ],
)
def test_bounds_are_those_of_the_evaluator(resource: str, asked: bool, least: bool, most: bool) -> None:
    """For one resource, and for all that match a pattern."""
    entry = "arn:aws:docs:*:*:document/*" if not asked else DOCUMENT
    authorizer = compile_policies(identity=[policy(allow("docs:Get", Resource=entry))])
    request = AccessRequest(ANN, "docs:Get", resource)
    pattern = arn_pattern(resource) if asked else None
    found = authorizer.bounds(request, PartialEvaluator(), lambda _: True, asked=pattern)
    assert (found.least.allowed, found.most.allowed) == (least, most)


@table(("is_known", "is_certain"), [(True, True), (False, False)])
def test_bounds_depend_on_the_known_keys(is_known: bool, is_certain: bool) -> None:
    condition = {"StringEquals": {"docs:Kind": "a"}}
    authorizer = compile_policies(identity=[policy(allow("docs:Get", Condition=condition))])
    request = AccessRequest(ANN, "docs:Get", DOCUMENT, {"docs:Kind": "a"})
    assert authorizer.bounds(request, PartialEvaluator(), lambda _: is_known).is_certain is is_certain
