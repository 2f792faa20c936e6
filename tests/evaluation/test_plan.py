"""A plan allows only what the evaluator allows, for the same reason and after reading the same condition keys."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from iam_guard.errors import IamGuardError
from iam_guard.evaluation.authorizer import Authorizer, compile_policies
from iam_guard.evaluation.plan import Plan, make_plan
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.testing.cases import compile_case, read_case
from tests.oracle.generate import generate_case
from tests.tables import table

CASES = int(os.environ.get("IAM_GUARD_TEST_PLAN_CASES", "4000"))
ACCOUNT = "111122223333"
ADA = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ada")
FEDERATED = Principal.from_arn(f"arn:aws:sts::{ACCOUNT}:federated-user/ada")
DOCUMENT = f"arn:aws:docs:us-east-1:{ACCOUNT}:document/7"
ALLOW_ALL = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


def test_plan_agrees_with_the_evaluator() -> None:
    """Rules A to G: with any policies but a resource-based one, for a resource of the caller's account."""
    rng, met = random.Random(2), Counter[str]()
    for _ in range(CASES):
        case = generate_case(rng)
        case["policies"].pop("resource", None)
        case["policies"].pop("vpc_endpoint", None)
        try:
            request = read_case(case).request
            authorizer = Authorizer(replace(compile_case(case["policies"]).policies, own_service=rng.random() < 0.5))
        except IamGuardError:
            continue
        request = AccessRequest(
            request.principal, request.action, request.resource, request.context, request.principal.account
        )
        plan = make_plan(authorizer.policies, request.principal, request.action)
        met["no plan" if plan is None else _outcome(plan, authorizer, request)] += 1
    assert met["allowed"] > CASES / 25, met
    assert met["not allowed"] > CASES / 25, met


def _outcome(plan: Plan, authorizer: Authorizer, request: AccessRequest) -> str:
    planned = request.copy()
    reason = plan.allow(planned)
    decision = authorizer.decide(request)
    if reason is None:
        assert not decision.allowed, request
        return "not allowed"
    assert (decision.allowed, decision.reasons) == (True, (reason,)), request
    assert list(planned.read.items()) == list(request.read.items()), request
    return "allowed"


@table(
    ("case", "principal", "policies"),
    [
        ("a resource-based policy", ADA, {"resource": ALLOW_ALL | {"Statement": []}}),
        ("a VPC endpoint policy", ADA, {"vpc_endpoint": {"Statement": []}}),
        ("no level of SCPs", ADA, {"scps": []}),
        ("no level of RCPs", ADA, {"rcps": []}),
        ("the root user", Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:root"), {}),
        ("an anonymous caller", Principal.anonymous(), {}),
        (
            "a federated user without a session policy",
            Principal.from_arn(f"arn:aws:sts::{ACCOUNT}:federated-user/f"),
            {},
        ),
    ],
)
def test_only_the_evaluator_decides(case: str, principal: Principal, policies: Mapping[str, Any]) -> None:
    authorizer = compile_policies(identity=[ALLOW_ALL], **policies)
    policies = replace(authorizer.policies, own_service=True)
    assert make_plan(policies, principal, "docs:Get") is None, case


@table("action", ["iam:GetUser", "STS:AssumeRole", "kms:Decrypt", "aws:x", "docs", "docs:a:b", "", ":x"])
def test_special_actions_have_no_plan(action: str) -> None:
    """Rules E-42 and E-66."""
    assert make_plan(compile_policies(identity=[ALLOW_ALL]).policies, ADA, action) is None


def test_condition_that_fails_is_raised() -> None:
    """The evaluator skips such an Allow, and applies such a Deny (C-45)."""
    condition = {"StringEquals": {"docs:x": "1"}}
    policy = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}}
    policies = compile_policies(identity=[policy]).policies
    plan = make_plan(policies, ADA, "docs:Get")
    assert plan is not None

    def fail() -> str:
        raise RuntimeError

    with_error = AccessRequest(ADA, "docs:Get", DOCUMENT, {"docs:x": fail}, ACCOUNT)
    with pytest.raises(RuntimeError):
        plan.allow(with_error)


def test_has_plans_for_every_type_of_own_policies() -> None:
    policies = compile_policies(
        identity=[ALLOW_ALL], permissions_boundary=ALLOW_ALL, session=[ALLOW_ALL], scps=[[ALLOW_ALL]]
    ).policies
    plan = make_plan(policies, replace(ADA, type=PrincipalType.USER), "docs:Get")
    assert plan is not None
    assert plan.action == "docs:Get"
    assert plan.allow(AccessRequest(ADA, "docs:Get", DOCUMENT, None, ACCOUNT)) is not None


@table("effect", ["Allow", "Deny"])
@table("count", [1, 8, 9, 30])
def test_plan_of_many_statements_agrees_with_the_evaluator(count: int, effect: str) -> None:
    """They are found by resource, as the evaluator does."""
    arns = [f"arn:aws:docs:us-east-1:{ACCOUNT}:document/{number}" for number in range(count)]
    statements = [{"Effect": effect, "Action": "docs:Get", "Resource": arn} for arn in arns]
    identity: list[Any] = [{"Version": "2012-10-17", "Statement": statements}]
    authorizer = compile_policies(identity=[*identity, *([ALLOW_ALL] if effect == "Deny" else [])])
    plan = make_plan(authorizer.policies, ADA, "docs:Get")
    assert plan is not None
    for arn, is_listed in [(arns[0], True), (arns[-1], True), (f"{DOCUMENT}/none", False), ("*", False)]:
        request = AccessRequest(ADA, "docs:Get", arn, None, ACCOUNT)
        assert (plan.allow(request) is not None) is (is_listed is (effect == "Allow"))
        assert _outcome(plan, authorizer, request) in ("allowed", "not allowed")
