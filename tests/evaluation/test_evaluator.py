"""What cases cannot say: which reason is reported, what doubt does, what a decision carries (E-6, E-90, C-45)."""

from __future__ import annotations

from typing import Any

import pytest

from iam_guard import AccessRequest, Decision, Outcome, Principal, compile_policies
from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.evaluation.bundle import bundle
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.model.decision import PolicyType

A, B = "111122223333", "444455556666"
ADA = Principal.from_arn(f"arn:aws:iam::{A}:user/ada")
DOCUMENT = f"arn:aws:docs:us-east-1:{A}:document/7"


def statement(effect: str, action: str = "docs:*", resource: str | None = "*", **more: Any) -> dict[str, Any]:
    found = {"Effect": effect, "Action": action, **more}
    return found if resource is None else {**found, "Resource": resource}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def for_everybody(effect: str, **more: Any) -> dict[str, Any]:
    return policy(statement(effect, Principal="*", **more))


ALLOW, DENY = policy(statement("Allow", Sid="Yes")), policy(statement("Deny", Sid="No"))
NOTHING = policy(statement("Allow", action="other:*"))
NOTHING_FOR_ALL = for_everybody("Allow", Condition={"Bool": {"docs:Never": "true"}})


def decided(principal: Principal = ADA, **policies: Any) -> Decision:
    return compile_policies(**policies).decide(AccessRequest(principal, "docs:GetDocument", DOCUMENT))


LAYERS = [
    ({"scps": [[DENY]]}, PolicyType.SCP),
    ({"rcps": [[for_everybody("Deny")]]}, PolicyType.RCP),
    ({"resource": for_everybody("Deny")}, PolicyType.RESOURCE),
    ({"identity": [DENY]}, PolicyType.IDENTITY),
    ({"permissions_boundary": DENY}, PolicyType.BOUNDARY),
    ({"session": [DENY]}, PolicyType.SESSION),
    ({"vpc_endpoint": for_everybody("Deny")}, PolicyType.VPC_ENDPOINT),
]


@pytest.mark.parametrize("first", range(len(LAYERS)))
def test_explicit_denies_are_reported_in_the_order_of_the_rule(first: int) -> None:
    """E-90: of several explicit denies the first type in the order is named, and only that one (X-6)."""
    policies: dict[str, Any] = {}
    for layer, _ in reversed(LAYERS[first:]):
        policies.update(layer)
    decision = decided(**policies)
    assert decision.outcome is Outcome.EXPLICITLY_DENIED
    assert [reason.policy_type for reason in decision.reasons] == [LAYERS[first][1]]
    assert decision.reasons[0].effect == "Deny"


@pytest.mark.parametrize(
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
def test_an_implicit_denial_names_every_type_that_owed_an_allow(policies: Any, lacking: list[PolicyType]) -> None:
    """E-90, E-3: implicit, in the order RCP, SCP, resource, identity, boundary, session."""
    decision = decided(**policies)
    assert decision.outcome is Outcome.IMPLICITLY_DENIED
    assert [reason.policy_type for reason in decision.reasons] == lacking


def test_across_accounts_the_resource_side_is_missed_first() -> None:
    """E-50, E-90."""
    gus = Principal.from_arn(f"arn:aws:iam::{B}:user/gus")
    assert [reason.policy_type for reason in decided(gus).reasons] == [PolicyType.RESOURCE, PolicyType.IDENTITY]


def test_an_allow_names_its_statement() -> None:
    """A decision carries the policy, the index, the Sid and the line of the statement that spoke."""
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
        ({"identity": [ALLOW], "resource": for_everybody("Deny")}, Outcome.EXPLICITLY_DENIED),
    ],
)
def test_doubt_denies(policies: Any, outcome: Outcome, caplog: pytest.LogCaptureFixture) -> None:
    """C-45, E-6: a statement that cannot be evaluated allows nothing, and denies when it is a Deny."""
    compiled = bundle(**policies)
    layers = [*compiled.identity, *compiled.resource]
    broken = [each for layer in layers for each in layer.content.statements]
    originals = [each.matches_conditions for each in broken]
    for each in broken:
        each.matches_conditions = lambda request: _failing(each, request)  # noqa: B023
    try:
        decision = decide(AccessRequest(ADA, "docs:GetDocument", DOCUMENT), compiled)
    finally:
        for each, original in zip(broken, originals, strict=True):
            each.matches_conditions = original
    assert decision.outcome is outcome
    assert "RuntimeError" in caplog.text
    assert "caller's value" not in caplog.text


@pytest.mark.parametrize(
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
def test_a_request_that_cannot_be_read_is_denied(action: str, resource: str) -> None:
    """E-6: `*` would match any text, so what is no action and no ARN is refused before."""
    decision = compile_policies(identity=[policy(statement("Allow", action="*"))]).decide(
        AccessRequest(ADA, action, resource)
    )
    assert decision.outcome is Outcome.IMPLICITLY_DENIED
    assert decision.error is not None


@pytest.mark.parametrize(
    "policies",
    [{"identity": ALLOW}, {"identity": "{}"}, {"session": DENY}, {"scps": [ALLOW]}, {"rcps": ["{}"]}],
)
def test_a_document_in_place_of_a_list_is_refused(policies: Any) -> None:
    """A flat list of SCPs could be one level or many; nobody guesses."""
    with pytest.raises(InvalidInput, match="expected a list of policy documents"):
        compile_policies(**policies)


@pytest.mark.parametrize("document", ["", "[]", "{", b"\xff", {"Statement": {"Effect": "allow"}}, {"a": object()}])
def test_a_refused_document_raises(document: Any) -> None:
    """N-9: a refused document is never passed over."""
    with pytest.raises(PolicyError):
        compile_policies(identity=[document])


def test_a_scoped_user_is_limited_in_everything() -> None:
    """A user's credential with session policies is never freed from them by a direct grant; doubt restricts."""
    direct = policy(statement("Allow", resource=None, Principal={"AWS": ADA.arn}))
    request = AccessRequest(ADA, "docs:GetDocument", DOCUMENT)
    assert compile_policies(resource=direct).decide(request).allowed
    assert not compile_policies(resource=direct, session=[NOTHING]).decide(request).allowed


@pytest.mark.parametrize("type", ["scps", "rcps"])
def test_no_level_at_all_allows_nothing(type: str) -> None:
    """E-12, E-14: only None means that control policies do not apply; an empty list is no Allow."""
    assert not decided(identity=[ALLOW], **{type: []}).allowed
    assert decided(identity=[ALLOW], **{type: None}).allowed


@pytest.mark.parametrize("levels", [{}, "", b"", 5, [5], [None], {1: 2}])
def test_levels_of_another_shape_are_refused(levels: Any) -> None:
    """What is no list of lists is a mistake, not an absence."""
    with pytest.raises(InvalidInput):
        compile_policies(identity=[ALLOW], scps=levels)


def test_what_cannot_be_read_is_shown_in_part() -> None:
    """E-6: two hundred characters of what a caller sent are enough to see what is wrong with it."""
    for action, resource, error in [
        ("x" * 201, "*", f"expected an action such as `service:Name`, got `{'x' * 200}`"),
        ("docs:Get", "y" * 201, f"expected a resource ARN or `*`, got `{'y' * 200}`"),
    ]:
        assert compile_policies().decide(AccessRequest(ADA, action, resource)).error == error


@pytest.mark.parametrize("action", ["docs:GetDocument", "unreadable"])
def test_a_decision_says_of_which_state_the_policies_are(action: str) -> None:
    """T-9: epoch and staleness go into the decision as they were given, decided or not."""
    authorizer, request = compile_policies(identity=[ALLOW]), AccessRequest(ADA, action, DOCUMENT)
    told, untold = authorizer.decide(request, epoch=7, stale=True), authorizer.decide(request)
    assert (told.epoch, told.stale, untold.epoch, untold.stale) == (7, True, None, False)
    bare = decide(request, bundle(identity=[ALLOW]))
    assert (bare.epoch, bare.stale, bare.outcome) == (None, False, told.outcome)
