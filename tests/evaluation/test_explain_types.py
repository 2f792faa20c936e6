"""Policy types in an explanation: their standing, absent types, and decisions without policies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from iam_guard import AccessRequest, Principal
from iam_guard.evaluation.bundle import Bundle, bundle
from iam_guard.evaluation.compiler import compile_policy
from iam_guard.evaluation.explainer import NoPoliciesExplainer, explain
from iam_guard.evaluation.explanation import Explanation, Standing
from iam_guard.model.decision import Decision, Outcome, PolicyRef, PolicyType
from tests.tables import table

A = "111122223333"
ADA = Principal.from_arn(f"arn:aws:iam::{A}:user/ada")
FEDERATED = Principal.from_arn(f"arn:aws:sts::{A}:federated-user/fay", user_arn=ADA.arn)
DOCUMENT = f"arn:aws:docs:us-east-1:{A}:document/7"
STATEMENT = {"Effect": "Allow", "Action": "docs:*", "Resource": "*"}
ALLOW = {"Version": "2012-10-17", "Statement": STATEMENT}


def explained(principal: Principal = ADA, policies: Bundle | None = None, **documents: Any) -> Explanation:
    return explain(AccessRequest(principal, "docs:GetDocument", DOCUMENT), policies or bundle(**documents))


WITHOUT = {
    PolicyType.SCP: "the caller's account is in no organization, or is its management account",
    PolicyType.RCP: "the resource's account is in no organization, or is its management account",
    PolicyType.RESOURCE: "the resource has no policy",
    PolicyType.IDENTITY: "none is attached to the caller",
    PolicyType.BOUNDARY: "none is attached to the caller",
    PolicyType.SESSION: "none was passed",
    PolicyType.VPC_ENDPOINT: "the request did not come through an endpoint that has one",
}


@table(
    ("principal", "session"),
    [(ADA, "none was passed"), (FEDERATED, "none was passed, and without one a federated user has no permissions")],
)
def test_absent_policy_type_has_a_reason(principal: Principal, session: str) -> None:
    """E-14, S-32, S-42: a sentence for each type; only federated users lack a session policy."""
    why = {each.type: each.why for each in explained(principal).types}
    assert why == {**WITHOUT, PolicyType.SESSION: session}


def test_empty_list_is_explained_as_allowing_nothing() -> None:
    """E-14: it differs from None."""
    why = {each.type: each.why for each in explained(identity=[ALLOW], scps=[], rcps=[], session=[]).types}
    for type in (PolicyType.SCP, PolicyType.RCP, PolicyType.SESSION):
        assert why[type] == "the list is empty, and so allows nothing"


def test_allow_for_the_account_explains_its_delegation() -> None:
    """E-30.3: the whole sentence; an Allow for another account has no such note."""
    resource = {"Version": "2012-10-17", "Statement": {**STATEMENT, "Principal": {"AWS": A}}}
    (found,) = (each for each in explained(resource=resource).types if each.type is PolicyType.RESOURCE)
    note = found.levels[0].policies[0].statements[0].note
    assert note == "it names the account, and so only delegates to the account's own policies"


def test_policy_is_shown_with_its_arn() -> None:
    """X-3: a managed policy has one."""
    ref = PolicyRef("Read", PolicyType.IDENTITY, arn=f"arn:aws:iam::{A}:policy/Read")
    documents = bundle(identity=[ALLOW])
    layer = type(documents.identity)([compile_policy(ALLOW, ref)])
    whole = explained(policies=replace(documents, identity=layer))
    (found,) = (each for each in whole.types if each.type is PolicyType.IDENTITY)
    (policy,) = found.levels[0].policies
    assert (policy.name, policy.arn) == ("Read", f"arn:aws:iam::{A}:policy/Read")


def test_standing_shows_whether_an_allow_applies() -> None:
    """E-30: an Allow, none where one is needed, none where none is needed."""
    nothing = {"Version": "2012-10-17", "Statement": {**STATEMENT, "Action": "other:*", "Principal": "*"}}
    types = explained(identity=[ALLOW], resource=nothing, scps=[[ALLOW], [ALLOW]], permissions_boundary=ALLOW).types
    standing = {each.type: each.standing for each in types}
    assert standing[PolicyType.IDENTITY] is standing[PolicyType.SCP] is standing[PolicyType.BOUNDARY] is Standing.ALLOWS
    assert standing[PolicyType.RESOURCE] is Standing.NEUTRAL
    numbers = {each.type: [level.number for level in each.levels] for each in types}
    assert (numbers[PolicyType.IDENTITY], numbers[PolicyType.SCP]) == ([None], [1, 2])


def test_decision_without_policies_is_explained_by_itself() -> None:
    """E-6: the members of the decision, and nothing else."""
    request = AccessRequest(ADA, "docs:GetDocument", "*", resource_account=A)
    decision = Decision(Outcome.IMPLICITLY_DENIED, request, (), epoch=7, stale=True, error="the store is away")
    assert NoPoliciesExplainer().explain_decision(decision) == Explanation(
        outcome=Outcome.IMPLICITLY_DENIED,
        principal=ADA.arn,
        principal_type="User",
        action="docs:GetDocument",
        resource="*",
        resource_account=A,
        message=decision.message(),
        reasons=(),
        error="the store is away",
        epoch=7,
        stale=True,
    )
