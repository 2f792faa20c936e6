"""What cases do not cover: the reported reason, errors, and the members of a decision (E-6, E-90, C-45)."""

from __future__ import annotations

from typing import Any

import pytest

from iam_guard import AccessRequest, Decision, Outcome, Principal, compile_policies
from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.evaluation.bundle import bundle
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.model.decision import PolicyType
from tests.tables import table

A, B = "111122223333", "444455556666"
ADA = Principal.from_arn(f"arn:aws:iam::{A}:user/ada")
DOCUMENT = f"arn:aws:docs:us-east-1:{A}:document/7"


def statement(effect: str, action: str = "docs:*", resource: str | None = "*", **more: Any) -> dict[str, Any]:
    found = {"Effect": effect, "Action": action, **more}
    return found if resource is None else {**found, "Resource": resource}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def for_every_principal(effect: str, **more: Any) -> dict[str, Any]:
    return policy(statement(effect, Principal="*", **more))


ALLOW, DENY = policy(statement("Allow", Sid="Yes")), policy(statement("Deny", Sid="No"))
NOTHING = policy(statement("Allow", action="other:*"))
NOTHING_FOR_ALL = for_every_principal("Allow", Condition={"Bool": {"docs:Never": "true"}})


def decided(principal: Principal = ADA, **policies: Any) -> Decision:
    return compile_policies(**policies).decide(AccessRequest(principal, "docs:GetDocument", DOCUMENT))


LAYERS = [
    ({"scps": [[DENY]]}, PolicyType.SCP),
    ({"rcps": [[for_every_principal("Deny")]]}, PolicyType.RCP),
    ({"resource": for_every_principal("Deny")}, PolicyType.RESOURCE),
    ({"identity": [DENY]}, PolicyType.IDENTITY),
    ({"permissions_boundary": DENY}, PolicyType.BOUNDARY),
    ({"session": [DENY]}, PolicyType.SESSION),
    ({"vpc_endpoint": for_every_principal("Deny")}, PolicyType.VPC_ENDPOINT),
]


@table("first", range(len(LAYERS)))
def test_explicit_denies_are_reported_in_the_order_of_the_rule(first: int) -> None:
    """E-90: of several explicit denies only the first type in the order is reported (X-6)."""
    policies: dict[str, Any] = {}
    for layer, _ in reversed(LAYERS[first:]):
        policies.update(layer)
    decision = decided(**policies)
    assert decision.outcome is Outcome.EXPLICITLY_DENIED
    assert [reason.policy_type for reason in decision.reasons] == [LAYERS[first][1]]
    assert decision.reasons[0].effect == "Deny"


@table(
    ("policies", "lacking"),
    [
        ({}, [PolicyType.IDENTITY]),
        ({"identity": [NOTHING]}, [PolicyType.IDENTITY]),
        ({"identity": [ALLOW], "permissions_boundary": NOTHING}, [PolicyType.BOUNDARY]),
        ({"identity": [ALLOW], "session": [NOTHING]}, [PolicyType.SESSION]),
        ({"identity": [ALLOW], "scps": [[ALLOW], [NOTHING]]}, [PolicyType.SCP]),
        ({"identity": [ALLOW], "rcps": [[NOTHING_FOR_ALL]]}, [PolicyType.RCP]),
        ({"identity": [ALLOW], "vpc_endpoint": NOTHING_FOR_ALL}, [PolicyType.VPC_ENDPOINT]),
        (
            {
                "scps": [[NOTHING]],
                "rcps": [[NOTHING_FOR_ALL]],
                "permissions_boundary": NOTHING,
                "session": [NOTHING],
            },
            [PolicyType.RCP, PolicyType.SCP, PolicyType.IDENTITY, PolicyType.BOUNDARY, PolicyType.SESSION],
        ),
    ],
)
def test_implicit_denial_reports_every_type_without_an_allow(policies: Any, lacking: list[PolicyType]) -> None:
    """E-90, E-3: in the order RCP, SCP, resource, identity, boundary, session."""
    decision = decided(**policies)
    assert decision.outcome is Outcome.IMPLICITLY_DENIED
    assert [reason.policy_type for reason in decision.reasons] == lacking


def test_cross_account_denial_reports_the_resource_side_first() -> None:
    """E-50, E-90."""
    gus = Principal.from_arn(f"arn:aws:iam::{B}:user/gus")
    assert [reason.policy_type for reason in decided(gus).reasons] == [PolicyType.RESOURCE, PolicyType.IDENTITY]


def test_allow_reports_its_statement() -> None:
    """The decision has the policy, the index, the Sid and the line of the statement."""
    text = (
        '{"Version": "2012-10-17",\n "Statement": [\n  {"Sid": "One", "Effect": "Allow", "Action": "other:*",'
        ' "Resource": "*"},\n  {"Sid": "Two", "Effect": "Allow", "Action": "docs:*", "Resource": "*"}]}'
    )
    (reason,) = decided(identity=[text]).reasons
    assert (reason.statement, reason.sid, reason.line) == (1, "Two", 4)
    assert reason.policy is not None
    assert reason.policy.type is PolicyType.IDENTITY


def _failing(self: CompiledStatement, request: AccessRequest) -> bool:
    raise RuntimeError("a fault in the evaluator, with a caller's value in it")


@pytest.mark.parametrize(
    ("policies", "outcome"),
    [
        ({"identity": [ALLOW]}, Outcome.IMPLICITLY_DENIED),
        ({"identity": [ALLOW, DENY]}, Outcome.EXPLICITLY_DENIED),
        ({"identity": [ALLOW], "resource": for_every_principal("Deny")}, Outcome.EXPLICITLY_DENIED),
    ],
)
def test_statement_with_an_error_denies(policies: Any, outcome: Outcome, caplog: pytest.LogCaptureFixture) -> None:
    """C-45, E-6: an Allow that cannot be evaluated does not apply, a Deny does."""
    compiled = bundle(**policies)
    layers = [*compiled.identity, *compiled.resource]
    broken = [statement for layer in layers for statement in layer.content.statements]
    originals = [statement.matches_conditions for statement in broken]
    for statement in broken:
        statement.matches_conditions = lambda request: _failing(statement, request)  # noqa: B023
    try:
        decision = decide(AccessRequest(ADA, "docs:GetDocument", DOCUMENT), compiled)
    finally:
        for each, original in zip(broken, originals, strict=True):
            each.matches_conditions = original
    assert decision.outcome is outcome
    assert "RuntimeError" in caplog.text
    assert "caller's value" not in caplog.text


@table(
    ("action", "resource"),
    [
        ("GetDocument", DOCUMENT),
        ("docs:", DOCUMENT),
        (":Get", DOCUMENT),
        ("a:b:c", DOCUMENT),
        ("docs:Get", "document/7"),
        ("docs:Get", ""),
        ("docs:Get", "arn:aws:docs"),
    ],
)
def test_invalid_request_is_denied(action: str, resource: str) -> None:
    """E-6: a `*` would match any text, so an invalid action or ARN is denied before."""
    decision = compile_policies(identity=[policy(statement("Allow", action="*"))]).decide(
        AccessRequest(ADA, action, resource)
    )
    assert decision.outcome is Outcome.IMPLICITLY_DENIED
    assert decision.error is not None


@table(
    "policies",
    [{"identity": ALLOW}, {"identity": "{}"}, {"session": DENY}, {"scps": [ALLOW]}, {"rcps": ["{}"]}],
)
def test_document_in_place_of_a_list_is_refused(policies: Any) -> None:
    """A flat list of SCPs is ambiguous: it could be one level or many."""
    with pytest.raises(InvalidInput, match="expected a list of policy documents"):
        compile_policies(**policies)


@table("document", ["", "[]", "{", b"\xff", {"Statement": {"Effect": "allow"}}, {"a": object()}])
def test_refused_document_raises(document: Any) -> None:
    """N-9: it is never skipped."""
    with pytest.raises(PolicyError):
        compile_policies(identity=[document])


def test_user_with_session_policies_is_always_limited() -> None:
    """Session policies on a user's credential also limit a direct grant."""
    direct = policy(statement("Allow", resource=None, Principal={"AWS": ADA.arn}))
    request = AccessRequest(ADA, "docs:GetDocument", DOCUMENT)
    assert compile_policies(resource=direct).decide(request).allowed
    assert not compile_policies(resource=direct, session=[NOTHING]).decide(request).allowed


@table("type", ["scps", "rcps"])
def test_empty_list_of_levels_allows_nothing(type: str) -> None:
    """E-12, E-14: only None means that control policies do not apply."""
    assert not decided(identity=[ALLOW], **{type: []}).allowed
    assert decided(identity=[ALLOW], **{type: None}).allowed


@table("levels", [{}, "", b"", 5, [5], [None], {1: 2}])
def test_levels_of_another_shape_are_refused(levels: Any) -> None:
    """They are not treated as absent."""
    with pytest.raises(InvalidInput):
        compile_policies(identity=[ALLOW], scps=levels)


def test_invalid_value_is_shortened_in_the_error() -> None:
    """E-6: two hundred characters of the caller's value are shown."""
    for action, resource, error in [
        ("x" * 201, "*", f"expected an action such as `service:Name`, got `{'x' * 200}`"),
        ("docs:Get", "y" * 201, f"expected a resource ARN or `*`, got `{'y' * 200}`"),
    ]:
        assert compile_policies().decide(AccessRequest(ADA, action, resource)).error == error


@table(
    ("action", "resource", "policies"),
    [
        ("docs:GetDocument", DOCUMENT, {"identity": [ALLOW]}),
        ("docs:GetDocument", DOCUMENT, {"identity": [DENY]}),
        ("docs:GetDocument", DOCUMENT, {}),
        ("unreadable", DOCUMENT, {"identity": [ALLOW]}),
        ("sts:GetCallerIdentity", "*", {}),  # E-66
    ],
)
def test_decision_has_the_state_of_the_policies(action: str, resource: str, policies: Any) -> None:
    """T-9: epoch, staleness and what explains it are copied into the decision, whatever its outcome."""
    authorizer, request = compile_policies(**policies), AccessRequest(ADA, action, resource)
    with_state, without_state = authorizer.decide(request, epoch=7, stale=True), authorizer.decide(request)
    assert (with_state.epoch, with_state.stale, without_state.epoch, without_state.stale) == (7, True, None, False)
    assert with_state.explainer is without_state.explainer is authorizer
    assert with_state.request is request
    bare = decide(request, bundle(**policies))
    assert (bare.epoch, bare.stale, bare.explainer) == (None, False, None)
    assert (bare.outcome, bare.reasons) == (with_state.outcome, with_state.reasons)
