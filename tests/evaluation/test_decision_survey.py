"""The outcome of each policy type on its own; other tests cover the output of simulations."""

from __future__ import annotations

import random
from typing import Any

from iam_guard import AccessRequest, Principal
from iam_guard.errors import PolicyError
from iam_guard.evaluation.bundle import bundle
from iam_guard.evaluation.decision_survey import survey
from iam_guard.model.decision import Outcome, PolicyType
from iam_guard.testing.cases import read_case
from tests.oracle.generate import generate_case
from tests.tables import table

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
PAGE = "arn:aws:docs:eu-west-1:111122223333:page/ada"
ALLOWED, DENIED, IMPLICIT = Outcome.ALLOWED, Outcome.EXPLICITLY_DENIED, Outcome.IMPLICITLY_DENIED


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statement_with(effect: str, action: str = "docs:*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": "*", **more}


ALLOW, DENY, OTHER = (
    policy(statement_with("Allow")),
    policy(statement_with("Deny")),
    policy(statement_with("Allow", "other:*")),
)


def with_principal(kind: str, document: dict[str, Any]) -> dict[str, Any]:
    """Add a principal if the policy type has one."""
    return policy(*({**each, "Principal": "*"} for each in document["Statement"])) if kind == "resource" else document


@table(("kind", "member"), [("identity", "identity"), ("resource", "resource"), ("permissions_boundary", "boundary")])
@table(("document", "outcome"), [(ALLOW, ALLOWED), (DENY, DENIED), (OTHER, IMPLICIT)])
def test_policy_type_has_its_own_outcome(kind: str, member: str, document: dict[str, Any], outcome: Outcome) -> None:
    """E-2, E-4: independent of other types."""
    source = with_principal(kind, document)
    found = survey(AccessRequest(ADA, "docs:Get", PAGE), bundle(**{kind: [source] if kind == "identity" else source}))
    assert getattr(found, member) is outcome
    types = {hit.candidate.policy.ref.type for hit in found.hits}
    assert len(types) == (0 if outcome is IMPLICIT else 1)


@table(
    ("levels", "outcome"),
    [
        (None, None),
        ([], IMPLICIT),
        ([[ALLOW], [ALLOW]], ALLOWED),
        ([[ALLOW], []], IMPLICIT),
        ([[ALLOW], [OTHER]], IMPLICIT),
        ([[DENY, ALLOW], [ALLOW]], DENIED),
    ],
)
def test_organizations_need_an_allow_at_each_level(levels: Any, outcome: Outcome | None) -> None:
    """E-12, E-14; their statements are not among the hits."""
    found = survey(AccessRequest(ADA, "docs:Get", PAGE), bundle(scps=levels))
    assert (found.organization, found.hits) == (outcome, ())


def test_absent_policy_type_has_no_outcome() -> None:
    """A missing boundary does not restrict."""
    assert survey(AccessRequest(ADA, "docs:Get", PAGE), bundle()).boundary is None


def test_invalid_request_matches_nothing() -> None:
    """Even a `*` in a policy does not."""
    policies = bundle(identity=[policy(statement_with("Allow", "*"))], permissions_boundary=ALLOW, scps=[[ALLOW]])
    found = survey(AccessRequest(ADA, "docs:", PAGE), policies)
    assert found.decision.error
    assert (found.identity, found.resource, found.boundary, found.organization) == (IMPLICIT,) * 4
    assert (found.hits, found.missing_keys) == ((), ())
    without = survey(AccessRequest(ADA, "docs:", PAGE), bundle(identity=[ALLOW]))
    assert (without.identity, without.boundary, without.organization) == (IMPLICIT, None, None)


def test_survey_agrees_with_the_decision() -> None:
    """For generated cases: nothing is allowed despite a Deny, or without an Allow of a boundary or an organization."""
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
        for type, member in ((PolicyType.IDENTITY, found.identity), (PolicyType.RESOURCE, found.resource)):
            assert (member is DENIED) is ((type, "Deny") in effects)
    assert seen == set(Outcome)


@table(
    ("statement", "missing_keys"),
    [
        (statement_with("Allow", Condition={"StringEquals": {"docs:Kind": "x", "docs:Given": "y"}}), ("docs:Kind",)),
        (statement_with("Allow", Condition={"StringEquals": {"docs:Empty": "x"}}), ("docs:Empty",)),
        (statement_with("Allow", Resource="arn:aws:docs:*:*:page/${docs:Owner}"), ("docs:Owner",)),
        (statement_with("Allow", Resource="arn:aws:docs:*:*:page/a?${docs:Owner}"), ("docs:Owner",)),
        (statement_with("Allow", Resource="arn:aws:docs:*:*:page/b${docs:Owner}"), ()),
        (statement_with("Allow", Resource="arn:aws:docs:*:*:page/${docs:Given}${docs:Owner}"), ()),
        (statement_with("Allow", Resource="arn:aws:docs:*:*:page/${aws:username}${docs:Owner}"), ("docs:Owner",)),
        (statement_with("Allow", Resource="arn:aws:docs:*:*:page/${aws:TagKeys}${docs:Owner}"), ()),
        (statement_with("Allow", Resource="arn:aws:docs:*:*:page/${docs:Empty}${docs:Owner}"), ()),
        (statement_with("Allow", "other:*", Condition={"StringEquals": {"docs:Kind": "x"}}), ()),
        (statement_with("Allow", Condition={"StringEquals": {"docs:Given": "${docs:Owner}"}}), ("docs:Owner",)),
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
def test_missing_keys_of_candidates_are_reported(statement: dict[str, Any], missing_keys: tuple[str, ...]) -> None:
    """V-9, N-10: of a statement that would apply for some value of a missing key."""
    context = {"docs:Given": "z", "docs:Empty": []}
    found = survey(AccessRequest(ADA, "docs:Get", PAGE, context), bundle(identity=[policy(statement)]))
    assert found.missing_keys == missing_keys


@table(
    ("principal", "effect", "missing_keys"),
    [
        ({"Principal": {"AWS": ADA.arn}}, "Allow", ("docs:Kind",)),
        ({"Principal": {"AWS": "arn:aws:iam::111122223333:user/rita"}}, "Allow", ()),
        ({"Principal": {"AWS": "arn:aws:iam::111122223333:user/rita"}}, "Deny", ()),
        ({"NotPrincipal": {"AWS": "arn:aws:iam::111122223333:user/rita"}}, "Deny", ("docs:Kind",)),
    ],
)
def test_statement_about_another_caller_reports_no_keys(
    principal: dict[str, Any], effect: str, missing_keys: tuple[str, ...]
) -> None:
    """M-1: the principal must match too."""
    statement = {**statement_with(effect, Condition={"StringEquals": {"docs:Kind": "x"}}), **principal}
    other = {**statement_with("Deny"), "Principal": {"AWS": "arn:aws:iam::111122223333:user/rita"}}
    found = survey(AccessRequest(ADA, "docs:Get", PAGE), bundle(resource=policy(other, statement)))
    assert found.missing_keys == missing_keys


@table(("boundary", "outcome", "missing_keys"), [(ALLOW, DENIED, ("docs:Kind",)), (None, IMPLICIT, ())])
def test_survey_of_a_caller_that_a_deny_exempts(
    boundary: dict[str, Any] | None, outcome: Outcome, missing_keys: tuple[str, ...]
) -> None:
    """E-74: a caller with a permissions boundary is not exempt."""
    exempting = {**statement_with("Deny"), "NotPrincipal": {"AWS": [ADA.arn, "111122223333"]}}
    uncertain = {**exempting, "Condition": {"Bool": {"docs:Kind": "true"}}}
    policies = bundle(resource=policy(exempting, uncertain), permissions_boundary=boundary)
    found = survey(AccessRequest(ADA, "docs:Get", PAGE), policies)
    assert (found.resource, found.missing_keys) == (outcome, missing_keys)
    assert len([hit for hit in found.hits if hit.reason.effect == "Deny"]) == len(missing_keys)


@table(
    ("statement", "missing_keys"),
    [
        (statement_with("Allow", Resource="arn:aws:docs:*:*:page/${docs:Owner}"), ()),
        (
            statement_with("Allow", Resource="arn:aws:docs:*:*:page/x", Condition={"Bool": {"docs:Kind": "true"}}),
            (),
        ),
        (statement_with("Allow", Condition={"Bool": {"docs:Kind": "true"}}), ("docs:Kind",)),
    ],
)
def test_missing_keys_of_a_request_without_a_resource(statement: dict[str, Any], missing_keys: tuple[str, ...]) -> None:
    """M-11: only a `*` matches, for any values of the keys; other statements before it change nothing."""
    first = statement_with("Allow", Resource="arn:aws:docs:*:*:page/x", Condition={"Bool": {"docs:Never": "true"}})
    found = survey(AccessRequest(ADA, "docs:Get", "*"), bundle(identity=[policy(first, statement)]))
    assert found.missing_keys == missing_keys


@table(
    "resources",
    [
        {"Resource": "arn:aws:docs:*:*:page/x"},
        {"Resource": "arn:aws:docs:*:*:page/${aws:username}x"},
        {"NotResource": PAGE},
        {"NotResource": "arn:aws:docs:*:*:page/${aws:username}"},
    ],
)
def test_statements_for_other_resources_have_no_missing_keys(resources: dict[str, Any]) -> None:
    """M-1: a condition counts only if the resource matches."""
    for condition in ({"Bool": {"docs:Kind": "true"}}, {"Null": {"docs:Kind": "true"}}):
        statement = {"Effect": "Allow", "Action": "docs:*", "Condition": condition, **resources}
        assert survey(AccessRequest(ADA, "docs:Get", PAGE), bundle(identity=[policy(statement)])).missing_keys == ()


@table("effect", ["Allow", "Deny"])
def test_hits_among_many_statements(effect: str) -> None:
    """Of many statements, which are found by resource, those that apply."""
    many = [statement_with(effect, Resource=f"{PAGE}{number}") for number in range(20)]
    found = survey(AccessRequest(ADA, "docs:Get", f"{PAGE}7"), bundle(identity=[policy(*many)]))
    assert [hit.reason.statement for hit in found.hits] == [7]
