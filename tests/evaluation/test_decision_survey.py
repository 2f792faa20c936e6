"""What each type of policy says by itself, beside the decision; whatever a simulation shows is tested there."""

from __future__ import annotations

import random
from typing import Any

import pytest

from iam_guard import AccessRequest, Principal
from iam_guard.errors import PolicyError
from iam_guard.evaluation.bundle import bundle
from iam_guard.evaluation.decision_survey import survey
from iam_guard.model.decision import Outcome, PolicyType
from iam_guard.testing.cases import read_case
from tests.oracle.generate import generate_case

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
PAGE = "arn:aws:docs:eu-west-1:111122223333:page/ada"
ALLOWED, DENIED, SILENT = Outcome.ALLOWED, Outcome.EXPLICITLY_DENIED, Outcome.IMPLICITLY_DENIED


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def saying(effect: str, action: str = "docs:*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": "*", **more}


ALLOW, DENY, OTHER = policy(saying("Allow")), policy(saying("Deny")), policy(saying("Allow", "other:*"))


def named(kind: str, document: dict[str, Any]) -> dict[str, Any]:
    """Add a principal where the type of policy has one."""
    return policy(*({**each, "Principal": "*"} for each in document["Statement"])) if kind == "resource" else document


@pytest.mark.parametrize(
    ("kind", "says"), [("identity", "identity"), ("resource", "resource"), ("permissions_boundary", "boundary")]
)
@pytest.mark.parametrize(("document", "outcome"), [(ALLOW, ALLOWED), (DENY, DENIED), (OTHER, SILENT)])
def test_a_type_says_what_its_policies_come_to(
    kind: str, says: str, document: dict[str, Any], outcome: Outcome
) -> None:
    """E-2, E-4: whatever the others say."""
    given = named(kind, document)
    found = survey(AccessRequest(ADA, "docs:Get", PAGE), bundle(**{kind: [given] if kind == "identity" else given}))
    assert getattr(found, says) is outcome
    types = {hit.candidate.policy.ref.type for hit in found.hits}
    assert len(types) == (0 if outcome is SILENT else 1)


@pytest.mark.parametrize(
    ("levels", "outcome"),
    [
        (None, None),
        ([], SILENT),
        ([[ALLOW], [ALLOW]], ALLOWED),
        ([[ALLOW], []], SILENT),
        ([[ALLOW], [OTHER]], SILENT),
        ([[DENY, ALLOW], [ALLOW]], DENIED),
    ],
)
def test_organizations_need_an_allow_at_each_level(levels: Any, outcome: Outcome | None) -> None:
    """E-12, E-14; their statements are not among the hits."""
    found = survey(AccessRequest(ADA, "docs:Get", PAGE), bundle(scps=levels))
    assert (found.organization, found.hits) == (outcome, ())


def test_a_type_that_the_request_has_not_says_nothing() -> None:
    """No boundary is no constraint."""
    assert survey(AccessRequest(ADA, "docs:Get", PAGE), bundle()).boundary is None


def test_a_request_that_cannot_be_decided_matches_nothing() -> None:
    """Whatever `*` would take it for."""
    policies = bundle(identity=[policy(saying("Allow", "*"))], permissions_boundary=ALLOW, scps=[[ALLOW]])
    found = survey(AccessRequest(ADA, "docs:", PAGE), policies)
    assert found.decision.error
    assert (found.identity, found.resource, found.boundary, found.organization) == (SILENT,) * 4
    assert (found.hits, found.unanswered) == ((), ())


def test_the_decision_is_the_one_of_the_evaluator_and_agrees_with_what_each_type_says() -> None:
    """For cases made at random: nothing is allowed past a Deny, a boundary's or an organization's silence."""
    rng = random.Random(7)
    seen = set()
    for _ in range(700):
        case = generate_case(rng)
        try:
            request = read_case(case).request
            policies = bundle(**{name: value for name, value in case["policies"].items() if value is not None})
        except PolicyError:
            continue
        found = survey(request, policies)
        if found.decision.error or not found.decision.reasons or found.decision.reasons[0].note:
            continue
        outcome = found.decision.outcome
        seen.add(outcome)
        types = (found.identity, found.resource, found.boundary, found.organization)
        if outcome is not DENIED:
            assert DENIED not in types
        if outcome is ALLOWED:
            assert found.organization in (None, ALLOWED)
            assert ALLOWED in (found.identity, found.resource)
        effects = {(hit.candidate.policy.ref.type, hit.candidate.statement.statement.effect) for hit in found.hits}
        for type, says in ((PolicyType.IDENTITY, found.identity), (PolicyType.RESOURCE, found.resource)):
            assert (says is DENIED) is ((type, "Deny") in effects)
    assert seen == set(Outcome)


@pytest.mark.parametrize(
    ("statement", "unanswered"),
    [
        (saying("Allow", Condition={"StringEquals": {"docs:Kind": "x", "docs:Given": "y"}}), ("docs:Kind",)),
        (saying("Allow", Condition={"StringEquals": {"docs:Empty": "x"}}), ("docs:Empty",)),
        (saying("Allow", Resource="arn:aws:docs:*:*:page/${docs:Owner}"), ("docs:Owner",)),
        (saying("Allow", Resource="arn:aws:docs:*:*:page/a?${docs:Owner}"), ("docs:Owner",)),
        (saying("Allow", Resource="arn:aws:docs:*:*:page/b${docs:Owner}"), ()),
        (saying("Allow", Resource="arn:aws:docs:*:*:page/${docs:Given}${docs:Owner}"), ()),
        (saying("Allow", Resource="arn:aws:docs:*:*:page/${aws:username}${docs:Owner}"), ("docs:Owner",)),
        (saying("Allow", Resource="arn:aws:docs:*:*:page/${aws:TagKeys}${docs:Owner}"), ()),
        (saying("Allow", Resource="arn:aws:docs:*:*:page/${docs:Empty}${docs:Owner}"), ()),
        (saying("Allow", "other:*", Condition={"StringEquals": {"docs:Kind": "x"}}), ()),
        (
            {
                "Effect": "Deny",
                "Action": "docs:*",
                "NotResource": "arn:aws:docs:*:*:page/${docs:Owner}",
                "Condition": {"Bool": {"docs:Kind": "true"}},
            },
            ("docs:Owner", "docs:Kind"),
        ),
    ],
)
def test_what_is_missing_is_asked_for_by_a_candidate(statement: dict[str, Any], unanswered: tuple[str, ...]) -> None:
    """V-9, N-10: a statement that could apply if a missing key had some value."""
    context = {"docs:Given": "z", "docs:Empty": []}
    found = survey(AccessRequest(ADA, "docs:Get", PAGE, context), bundle(identity=[policy(statement)]))
    assert found.unanswered == unanswered


@pytest.mark.parametrize(
    ("principal", "effect", "unanswered"),
    [
        ({"Principal": {"AWS": ADA.arn}}, "Allow", ("docs:Kind",)),
        ({"Principal": {"AWS": "arn:aws:iam::111122223333:user/rita"}}, "Allow", ()),
        ({"Principal": {"AWS": "arn:aws:iam::111122223333:user/rita"}}, "Deny", ()),
        ({"NotPrincipal": {"AWS": "arn:aws:iam::111122223333:user/rita"}}, "Deny", ("docs:Kind",)),
    ],
)
def test_a_statement_about_somebody_else_asks_for_nothing(
    principal: dict[str, Any], effect: str, unanswered: tuple[str, ...]
) -> None:
    """M-1: the principal must match too."""
    statement = {**saying(effect, Condition={"StringEquals": {"docs:Kind": "x"}}), **principal}
    found = survey(AccessRequest(ADA, "docs:Get", PAGE), bundle(resource=policy(statement)))
    assert found.unanswered == unanswered
