"""Policies passed as documents: their names, and the errors for a wrong shape."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from iam_guard import AccessRequest, Outcome, Principal
from iam_guard.errors import InvalidInput
from iam_guard.evaluation.bundle import bundle
from iam_guard.evaluation.evaluator import decide
from iam_guard.model.decision import PolicyType
from tests.tables import table

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
DOCUMENT = "arn:aws:docs:us-east-1:111122223333:document/7"
ALLOW = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
ALLOW_ALL = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
}


def test_policies_are_named_by_type_level_and_index() -> None:
    """X-3: levels and documents count from 1, the organization's root first."""
    found = bundle(
        identity=[ALLOW, ALLOW], resource=ALLOW_ALL, session=[ALLOW], scps=[[ALLOW], [ALLOW, ALLOW]], rcps=[[ALLOW_ALL]]
    )
    layers = [found.identity, found.resource, found.session or (), *(found.scps or ()), *(found.rcps or ())]
    assert [[policy.ref.name for policy in layer] for layer in layers] == [
        ["identity-based policy #1", "identity-based policy #2"],
        ["resource-based policy #1"],
        ["session policy #1"],
        ["service control policy level 1 #1"],
        ["service control policy level 2 #1", "service control policy level 2 #2"],
        ["resource control policy level 1 #1"],
    ]


@table(
    ("documents", "message"),
    [
        (
            {"identity": ALLOW},
            "expected a list of policy documents for the identity-based policy, got one document",
        ),
        ({"session": "{}"}, "expected a list of policy documents for the session policy, got one document"),
        ({"session": b"{}"}, "expected a list of policy documents for the session policy, got one document"),
        ({"identity": 5}, "expected a list of policy documents for the identity-based policy, got something else"),
        (
            {"scps": [ALLOW]},
            "expected a list of policy documents for the service control policy, got one document",
        ),
        (
            {"rcps": ALLOW_ALL},
            "expected a list of levels for the resource control policy, each a list of policy documents",
        ),
    ],
)
def test_wrong_shape_is_refused(documents: dict[str, Any], message: str) -> None:
    """N-2: the message has the type, what was expected and what it got."""
    with pytest.raises(InvalidInput) as refused:
        bundle(**documents)
    assert str(refused.value) == message


def test_policy_required_needs_a_resource_based_policy() -> None:
    """E-42: identity policies alone are not sufficient for such a resource."""
    request = AccessRequest(ADA, "docs:GetDocument", DOCUMENT)
    assert decide(request, bundle(identity=[ALLOW])).allowed
    decision = decide(request, replace(bundle(identity=[ALLOW]), policy_required=True))
    assert decision.outcome is Outcome.IMPLICITLY_DENIED
    assert [reason.policy_type for reason in decision.reasons] == [PolicyType.RESOURCE]
