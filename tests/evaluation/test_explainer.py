"""Explanations: which element failed and why, missing keys, nearest misses, policy types of each caller."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from iam_guard import AccessRequest, Decision, Outcome, Principal, compile_policies
from iam_guard.errors import ConfigurationError
from iam_guard.evaluation.bundle import bundle
from iam_guard.evaluation.condition_explanation import RELATIONS
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.explainer import NoPoliciesExplainer, explain
from iam_guard.evaluation.explanation import (
    Element,
    ExplainedStatement,
    ExplainedType,
    Explanation,
    Standing,
    either,
    statement_name,
)
from iam_guard.evaluation.matching.operators import OPERATORS
from iam_guard.evaluation.near_misses import MAX_MISSES
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import Credential, PrincipalType
from tests.tables import table

A, B = "111122223333", "444455556666"
ADA = Principal.from_arn(f"arn:aws:iam::{A}:user/ada", userid="AIDAADA", tags={"team": "blue"})
ROLE = Principal.from_arn(f"arn:aws:sts::{A}:assumed-role/Reader/s1", userid="AROAREADER:s1")
FEDERATED = Principal.from_arn(f"arn:aws:sts::{A}:federated-user/fay", user_arn=f"arn:aws:iam::{A}:user/ada")
LINKED = Principal.from_arn(
    f"arn:aws:sts::{A}:assumed-role/Linked/s1", role_arn=f"arn:aws:iam::{A}:role/aws-service-role/x/Linked"
)
ROOT = Principal.from_arn(f"arn:aws:iam::{A}:root")
SERVICE = Principal.service("events.amazonaws.com")
WEB_IDENTITY = Principal.federated(f"arn:aws:iam::{A}:oidc-provider/id.example.com", userid="ann", keys={})
ANONYMOUS = Principal.anonymous()
DOCUMENT = f"arn:aws:docs:us-east-1:{A}:document/7"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statement(effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": "docs:*", "Resource": "*", **more}


def explained(
    principal: Principal = ADA,
    context: dict[str, Any] | None = None,
    action: str = "docs:GetDocument",
    on: str = DOCUMENT,
    **policies: Any,
) -> Explanation:
    return explain(AccessRequest(principal, action, on, context or {}), bundle(**policies))


def type_of(explanation: Explanation, type: PolicyType) -> ExplainedType:
    (found,) = (each for each in explanation.types if each.type is type)
    return found


def only_statement(explanation: Explanation, type: PolicyType = PolicyType.IDENTITY) -> ExplainedStatement:
    ((level,), *_) = (type_of(explanation, type).levels,)
    return level.policies[0].statements[0]


def element(explanation: Explanation, name: str, type: PolicyType = PolicyType.IDENTITY) -> Element:
    (found,) = (each for each in only_statement(explanation, type).elements if each.name == name)
    return found


# --- conditions --------------------------------------------------------------------------------------------------

KIND = "docs:Kind"

CONDITIONS = [
    ("StringEquals", ["report"], "memo", "the request has `memo`", f"the request would need `{KIND}` = `report`"),
    (
        "StringEquals",
        ["report", "plan"],
        None,
        "the key is missing from the request",
        f"the request would need `{KIND}` = `report` or `plan`",
    ),
    ("StringEquals", [], "memo", "the request has `memo`", "no request meets this condition"),
    ("StringEquals", ["a"], [], "the key is missing from the request", f"the request would need `{KIND}` = `a`"),
    (
        "StringEquals",
        ["a"],
        ["a", "b"],
        "the request has `a`, `b`, and the operator takes one value; it would need ForAnyValue or ForAllValues",
        f"the request would need a single value of `{KIND}` = `a`",
    ),
    (
        "StringNotEquals",
        ["memo", "x"],
        "memo",
        "the request has `memo`",
        f"the request would need `{KIND}` other than `memo` or `x`, or no `{KIND}` at all",
    ),
    (
        "StringEqualsIfExists",
        ["report"],
        "memo",
        "the request has `memo`",
        f"the request would need `{KIND}` = `report`, or no `{KIND}` at all",
    ),
    (
        "StringEqualsIfExists",
        [],
        "memo",
        "the request has `memo`",
        f"the request would need to have no `{KIND}`",
    ),
    (
        "ForAllValues:StringLike",
        ["a*", "b"],
        ["ax", "b", "c", "d"],
        "the request has `ax`, `b`, `c`, `d`; it is not met by `c`, `d`",
        f"the request would need every value of `{KIND}` like `a*` or `b`, or no `{KIND}` at all",
    ),
    (
        "ForAnyValue:StringEquals",
        ["a"],
        ["b", "c"],
        "the request has `b`, `c`",
        f"the request would need some value of `{KIND}` = `a`",
    ),
    (
        "ForAnyValue:StringNotEquals",
        ["a"],
        None,
        "the key is missing from the request",
        f"the request would need some value of `{KIND}` other than `a`",
    ),
    (
        "ForAnyValue:StringEquals",
        [""],
        [""],
        "the request has ``, which counts as no value",
        f"the request would need some value of `{KIND}` = ``",
    ),
    ("Null", ["true"], "memo", "the request has `memo`", f"the request would need to have no `{KIND}`"),
    ("Null", ["false"], None, "the key is missing from the request", f"the request would need `{KIND}`"),
    ("Null", ["what"], "memo", "the request has `memo`", "no request meets this condition"),
    ("ForAnyValue:Null", ["false"], "memo", "the request has `memo`", "no request meets this condition"),
    (
        "NumericLessThan",
        ["three"],
        "2",
        "the request has `2`",
        "the policy's value `three` would have to be one that NumericLessThan can read",
    ),
    (
        "NumericLessThan",
        ["three", "2"],
        "2",
        "the request has `2`",
        f"the request would need `{KIND}` < `three` or `2`",
    ),
    (
        "NotIpAddress",
        ["10.0.0.0/8", "nowhere"],
        "192.0.2.1",
        "the request has `192.0.2.1`",
        f"the policy's value `nowhere` would have to be one that NotIpAddress can read, or no `{KIND}` at all",
    ),
]


@table(("operator", "values", "value", "note", "change"), CONDITIONS)
def test_unmet_condition_has_reason_and_change(operator: str, values: Any, value: Any, note: str, change: str) -> None:
    """C-1 to C-42: the request's value, and the value it would need."""
    one = statement(Condition={operator: {KIND: values}})
    found = element(explained(context={KIND: value}, identity=[policy(one)]), "Condition")
    assert not found.matched
    assert (found.operator, found.key) == (operator, KIND)
    assert [each.written for each in found.wanted] == values
    assert found.note == note
    assert found.change is not None
    assert found.change.startswith(change)


def test_missing_key_differs_from_an_unmet_one() -> None:
    """C-5: the former has no value, the latter another one."""
    one = policy(statement(Condition={"StringEquals": {KIND: "report"}}))
    missing, false = explained(identity=[one]), explained(context={KIND: "memo"}, identity=[one])
    assert element(missing, "Condition").missing
    assert element(missing, "Condition").seen == ()
    assert not element(false, "Condition").missing
    assert element(false, "Condition").seen == ("memo",)
    assert "the key is missing" in missing.text()
    assert "the key is missing" not in false.text()


def test_missing_key_can_meet_a_condition() -> None:
    """C-5, C-30."""
    found = element(explained(identity=[policy(statement(Condition={"StringNotEquals": {KIND: "x"}}))]), "Condition")
    assert found.matched
    assert found.missing
    assert found.note == "the key is missing from the request, which meets the condition"


def test_each_condition_value_has_its_own_result() -> None:
    """C-1, C-2: the values that meet a positive operator, and those that prevent a negated one."""
    for operator, matched in [("StringLike", [True, False]), ("StringNotLike", [False, True])]:
        one = policy(statement(Condition={operator: {KIND: ["re*", "plan"]}}))
        found = element(explained(context={KIND: "report"}, identity=[one]), "Condition")
        assert [each.matched for each in found.wanted] == matched


def test_text_shortens_long_lists_of_values() -> None:
    """The tree has all values."""
    one = policy(statement(Condition={"ForAnyValue:StringEquals": {KIND: "x"}}))
    found = element(explained(context={KIND: [str(number) for number in range(5000)]}, identity=[one]), "Condition")
    assert found.note.endswith("`19` and 4980 more")
    assert len(found.seen) == 5000


def test_every_operator_has_a_relation() -> None:
    """A new row of the table of operators needs an entry in `RELATIONS`."""
    assert set(RELATIONS) == set(OPERATORS)


# --- variables ---------------------------------------------------------------------------------------------------


def test_variables_are_shown_with_their_values() -> None:
    """V-8, V-9: or that they have no value."""
    resource = "arn:aws:docs:*:*:${aws:PrincipalTag/team}/${aws:username}/${docs:Missing}/${docs:Other, 'none'}"
    one = statement(Resource=resource, Condition={"StringLike": {KIND: "${aws:PrincipalTag/team}-${aws:TagKeys}"}})
    explanation = explained(context={"aws:TagKeys": ["x"]}, identity=[policy(one)])
    (entry,) = element(explanation, "Resource").wanted
    assert [(variable.name, variable.value) for variable in entry.variables] == [
        ("${aws:principaltag/team}", "blue"),
        ("${aws:username}", "ada"),
        ("${docs:missing}", None),
        ("${docs:other}", "none"),
    ]
    (entry,) = element(explanation, "Condition").wanted
    assert [variable.value for variable in entry.variables] == ["blue", None]
    assert "${aws:username} is `ada`" in explanation.text()
    assert "${docs:missing} has no value" in explanation.text()


@table(
    "one",
    [
        statement(Resource="arn:aws:docs:*:${aws:username}:document/*"),
        statement(Condition={"NumericEquals": {KIND: "${docs:n}"}}),
    ],
)
def test_text_that_resembles_a_variable_is_not_shown_as_one(one: dict[str, Any]) -> None:
    """V-4, V-5: outside of the sixth field and under other operators `${` is literal."""
    for element in only_statement(explained(identity=[policy(one)])).elements:
        assert all(entry.variables == () for entry in element.wanted)


def test_old_policies_have_no_variables() -> None:
    """G-5."""
    old = {**policy(statement(Resource="arn:aws:docs:*:*:${aws:username}")), "Version": "2008-10-17"}
    assert element(explained(identity=[old]), "Resource").wanted[0].variables == ()


# --- the other elements ------------------------------------------------------------------------------------------


@table(
    ("one", "name", "note", "change"),
    [
        (
            statement(Action=["docs:Put*", "docs:List*"]),
            "Action",
            "the request has `docs:GetDocument`",
            "the action would have to match `docs:Put*` or `docs:List*`",
        ),
        (
            {"Effect": "Allow", "NotAction": ["docs:Get*", "iam:*"], "Resource": "*"},
            "NotAction",
            "the request has `docs:GetDocument`",
            "the action would have to be other than `docs:Get*`",
        ),
        (statement(Action=[]), "Action", "it lists nothing", "the statement would have to name the action"),
        (
            statement(Resource="arn:aws:docs:*:*:folder/*"),
            "Resource",
            f"the request has `{DOCUMENT}`",
            "the resource would have to match `arn:aws:docs:*:*:folder/*`",
        ),
        (
            {"Effect": "Allow", "Action": "*", "NotResource": DOCUMENT},
            "NotResource",
            f"the request has `{DOCUMENT}`",
            f"the resource would have to be other than `{DOCUMENT}`",
        ),
        (statement(Resource=[]), "Resource", "it lists nothing", "the statement would have to name the resource"),
    ],
)
def test_unmatched_element_has_reason_and_change(one: dict[str, Any], name: str, note: str, change: str) -> None:
    """M-1, M-2, G-27."""
    found = element(explained(identity=[policy(one)]), name)
    assert (found.matched, found.note, found.change) == (False, note, change)


def test_request_without_a_resource_is_explained() -> None:
    """M-11: only `*` matches it."""
    explanation = explained(on="*", identity=[policy(statement(Resource=DOCUMENT))])
    assert element(explanation, "Resource").note == "the request has no resource of its own"


@table(
    ("principal", "named", "note"),
    [
        (ADA, {"AWS": ADA.arn}, "itself, or every principal"),
        (ADA, "*", "itself, or every principal"),
        (ADA, {"AWS": A}, "the caller's account"),
        (ROLE, {"AWS": ROLE.role_arn}, "the caller's role"),
        (FEDERATED, {"AWS": ADA.arn}, "the user that federated it"),
        (ADA, {"AWS": "arn:aws:iam::111122223333:user/bob"}, f"it does not name `{ADA.arn}`"),
        (SERVICE, {"Service": "s3.amazonaws.com"}, "it does not name `events.amazonaws.com`"),
        (WEB_IDENTITY, {"Federated": WEB_IDENTITY.arn}, "itself, or every principal"),
        (WEB_IDENTITY, {"AWS": A}, f"it does not name `{WEB_IDENTITY.arn}`"),
        (ADA, {}, "it names no principal"),
    ],
)
def test_principal_element_explains_its_match(principal: Principal, named: Any, note: str) -> None:
    """E-20, G-31."""
    explanation = explained(principal, resource=for_(named))
    found = element(explanation, "Principal", PolicyType.RESOURCE)
    assert note in found.note
    assert found.matched is found.note.startswith("it names the caller")
    assert (found.change is None) is found.matched


def for_(principal: Any, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return policy({"Effect": effect, "Principal": principal, "Action": "docs:*", **more})


def test_unmatched_principal_has_a_change() -> None:
    """E-20: the change that would make a principal element match."""
    bob = f"arn:aws:iam::{A}:user/bob"
    found = element(explained(resource=for_({"AWS": [bob, B]})), "Principal", PolicyType.RESOURCE)
    assert found.change == f"the caller would have to be `{bob}` or `{B}`"
    assert [(each.written, each.matched) for each in found.wanted] == [(bob, False), (B, False)]
    assert found.seen == (ADA.arn, "AIDAADA", A)


def except_(*names: str, **more: Any) -> dict[str, Any]:
    return policy({"Effect": "Deny", "NotPrincipal": {"AWS": list(names)}, "Action": "docs:*", **more})


def test_not_principal_explains_the_exemption() -> None:
    """E-70 to E-74: listed with its account, not listed, listed but with a boundary."""
    exempt = explained(resource=except_(ADA.arn, A))
    assert "is exempt" in element(exempt, "NotPrincipal", PolicyType.RESOURCE).note
    reached = explained(resource=except_(ADA.arn))
    assert "the caller is not exempt" in element(reached, "NotPrincipal", PolicyType.RESOURCE).note
    everything = policy(statement())
    bounded = explained(resource=except_(ADA.arn, A), permissions_boundary=everything)
    assert "never exempt" in element(bounded, "NotPrincipal", PolicyType.RESOURCE).note
    assert [each.outcome for each in (exempt, reached, bounded)] == [
        Outcome.IMPLICITLY_DENIED,
        Outcome.EXPLICITLY_DENIED,
        Outcome.EXPLICITLY_DENIED,
    ]


def test_allow_for_the_account_only_delegates() -> None:
    """E-30.3: it applies and grants nothing in the same account; across accounts it grants."""
    delegating = explained(resource=for_({"AWS": A}))
    assert delegating.outcome is Outcome.IMPLICITLY_DENIED
    found = only_statement(delegating, PolicyType.RESOURCE)
    assert found.applies
    assert "only delegates to the account's own policies" in str(found.note)
    gus = Principal.from_arn(f"arn:aws:iam::{B}:user/gus")
    across = explained(gus, resource=for_({"AWS": B}), identity=[policy(statement())])
    assert across.outcome is Outcome.ALLOWED
    assert only_statement(across, PolicyType.RESOURCE).note is None
    assert only_statement(explained(ROOT, resource=for_({"AWS": A})), PolicyType.RESOURCE).note is None


# --- which types apply -------------------------------------------------------------------------------------------

EVERYTHING = policy(statement(Action="*"))
EVERYTHING_FOR_ALL = policy(statement(Action="*", Principal="*"))
ALL_TYPES = {
    "identity": [EVERYTHING],
    "permissions_boundary": EVERYTHING,
    "session": [EVERYTHING],
    "scps": [[EVERYTHING]],
    "rcps": [[EVERYTHING_FOR_ALL]],
    "resource": EVERYTHING_FOR_ALL,
    "vpc_endpoint": EVERYTHING_FOR_ALL,
}
OWN = {PolicyType.IDENTITY, PolicyType.BOUNDARY, PolicyType.SESSION}


@table(
    ("principal", "exempt"),
    [
        (ADA, set()),
        (ROLE, set()),
        (FEDERATED, set()),
        (LINKED, {PolicyType.SCP, PolicyType.RCP}),
        (ROOT, OWN),
        (SERVICE, OWN | {PolicyType.SCP}),
        (WEB_IDENTITY, OWN | {PolicyType.SCP}),
        (ANONYMOUS, OWN | {PolicyType.SCP}),
    ],
)
def test_exempt_policy_types_have_a_reason(principal: Principal, exempt: set[PolicyType]) -> None:
    """F.2: for each kind of caller; the other types are shown."""
    explanation = explained(principal, **ALL_TYPES)
    found = {each.type for each in explanation.types if each.standing is Standing.EXEMPT}
    assert found == exempt
    for policy_type in explanation.types:
        assert (policy_type.why is not None) is (policy_type.type in exempt)
        assert (policy_type.levels == ()) is (policy_type.type in exempt)


@table(
    ("action", "on"),
    [
        ("kms:RetireGrant", f"arn:aws:kms:us-east-1:{A}:key/1"),
        ("sts:AssumeRole", f"arn:aws:iam::{A}:role/aws-service-role/x/Linked"),
        ("ec2:RunInstances", f"arn:aws:ec2:us-east-1:{A}:instance/1"),
    ],
)
def test_requests_exempt_from_rcps_have_a_reason(action: str, on: str) -> None:
    """E-11, E-16."""
    found = type_of(explained(action=action, on=on, **ALL_TYPES), PolicyType.RCP)
    assert found.standing is Standing.EXEMPT
    assert str(found.why).startswith("resource control policies do not")


def test_types_without_policies_have_a_reason() -> None:
    """E-14, S-42: no policy does not restrict; an empty list allows nothing."""
    nothing = explained()
    assert [each.standing for each in nothing.types] == [
        Standing.ABSENT,
        Standing.ABSENT,
        Standing.ABSENT,
        Standing.LACKS_ALLOW,
        Standing.ABSENT,
        Standing.ABSENT,
        Standing.ABSENT,
    ]
    assert all(each.why for each in nothing.types)
    empty = type_of(explained(identity=[EVERYTHING], session=[]), PolicyType.SESSION)
    assert (empty.standing, empty.why) == (Standing.LACKS_ALLOW, "the list is empty, and so allows nothing")
    federated = type_of(explained(FEDERATED, identity=[EVERYTHING]), PolicyType.SESSION)
    assert federated.standing is Standing.LACKS_ALLOW
    assert "a federated user has no permissions" in str(federated.why)


def test_trust_policy_has_its_own_type() -> None:
    """X-3, E-42; for a service too."""
    role = f"arn:aws:iam::{A}:role/Reader"
    for principal in (ADA, SERVICE):
        explanation = explained(principal, action="sts:AssumeRole", on=role)
        assert type_of(explanation, PolicyType.TRUST).standing is Standing.LACKS_ALLOW
        assert explanation.reasons == ("no role trust policy allows it",)


def test_levels_are_shown_from_the_root() -> None:
    """E-12: and which level has no Allow."""
    explanation = explained(identity=[EVERYTHING], scps=[[EVERYTHING], [policy(statement(Action="iam:*"))]])
    scps = type_of(explanation, PolicyType.SCP)
    assert scps.standing is Standing.LACKS_ALLOW
    assert [(level.number, level.allows) for level in scps.levels] == [(1, True), (2, False)]
    assert "✗ level 2: no Allow applies here" in explanation.text()


# --- the outcome and what decides --------------------------------------------------------------------------------


def test_deciding_statement_is_marked() -> None:
    """X: policy, type, Sid and line of what decides."""
    text = (
        '{"Version": "2012-10-17", "Statement": [\n'
        '{"Sid": "Yes", "Effect": "Allow", "Action": "*", "Resource": "*"},\n'
        '{"Sid": "No", "Effect": "Deny", "Action": "docs:*", "Resource": "*"}]}'
    )
    explanation = explained(identity=[text])
    statements = type_of(explanation, PolicyType.IDENTITY).levels[0].policies[0].statements
    assert [(each.sid, each.line, each.applies, each.decides) for each in statements] == [
        ("Yes", 2, True, False),
        ("No", 3, True, True),
    ]
    name = "Deny Statement[1] `No`, line 3"
    assert explanation.reasons == (f"{name} of `identity-based policy #1` (identity-based policy) applies",)
    assert f"✓ {name}: applies, and decides" in explanation.text()


def test_action_without_permission_evaluates_no_policy() -> None:
    """E-66: not even a Deny."""
    explanation = explained(action="sts:GetCallerIdentity", on="*", identity=[policy(statement("Deny", Action="*"))])
    assert explanation.outcome is Outcome.ALLOWED
    assert explanation.types == ()
    assert explanation.reasons == ("no permission is needed, and no policy can deny it",)


def test_invalid_request_is_explained() -> None:
    """E-6."""
    explanation = explained(action="GetDocument", **ALL_TYPES)
    assert explanation.outcome is Outcome.IMPLICITLY_DENIED
    assert explanation.types == ()
    assert "expected an action such as `service:Name`" in str(explanation.error)
    assert "the request could not be decided: expected an action" in explanation.text()


def failing() -> str:
    raise RuntimeError("a caller's secret")


def test_evaluation_error_is_shown_without_its_text() -> None:
    """C-45: a Deny with an error applies, an Allow does not; only the class of the error is shown."""
    doubtful = {"StringEquals": {KIND: "x"}}
    both = policy(statement("Deny", Condition=doubtful), statement(Condition=doubtful))
    explanation = explained(context={KIND: failing}, identity=[both])
    deny, allow = type_of(explanation, PolicyType.IDENTITY).levels[0].policies[0].statements
    assert (deny.applies, allow.applies) == (True, False)
    assert deny.note == "could not be evaluated: RuntimeError"
    for explained_statement in (deny, allow):
        assert explained_statement.elements[-1].error == "RuntimeError"
        assert explained_statement.elements[-1].key == KIND
    assert [each.effect for each in explanation.nearest] == ["Deny"]
    assert "secret" not in explanation.text()


# --- a decision explains itself ----------------------------------------------------------------------------------


def test_decision_explains_itself() -> None:
    """An authorizer's decision is evaluated again, and keeps its epoch through `replace`."""
    authorizer = compile_policies(identity=[EVERYTHING])
    request = AccessRequest(ADA, "docs:GetDocument", DOCUMENT)
    decision = replace(authorizer.decide(request), epoch=7, stale=True)
    found = decision.explain()
    assert isinstance(found, Explanation)
    assert (found.outcome, found.epoch, found.stale) == (Outcome.ALLOWED, 7, True)
    assert "decided with cached policies" in found.text()
    assert replace(found, epoch=None, stale=False) == authorizer.explain(request)
    assert decision == replace(decision, explainer=None)
    assert "explainer" not in repr(decision)


def test_decision_without_an_explainer_has_no_explanation() -> None:
    """Nothing is made up."""
    request = AccessRequest(ADA, "docs:GetDocument", DOCUMENT)
    for decision in (Decision(Outcome.ALLOWED, request, ()), decide(request, bundle())):
        with pytest.raises(ConfigurationError, match="expected a decision with its policies"):
            decision.explain()


def test_decision_without_policies_explains_its_error() -> None:
    """E-6: the explanation of a failure is its error."""
    request = AccessRequest(ADA, "docs:GetDocument", DOCUMENT)
    failed = Decision(
        Outcome.IMPLICITLY_DENIED, request, (), error="the store is away", explainer=NoPoliciesExplainer()
    )
    assert "the request could not be decided: the store is away" in failed.explain().text()


def test_explanation_shows_no_credential() -> None:
    """It names the caller, but not the credential."""
    principal = replace(ADA, credential=Credential("sigv4", "AKIAEXAMPLE"), session={"aws:SourceIdentity": "hidden"})
    explanation = explained(principal, resource=for_("*"), identity=[EVERYTHING])
    for shown_ in (explanation.text(), str(explanation.to_dict()), repr(explanation)):
        assert "AKIAEXAMPLE" not in shown_
        assert "hidden" not in shown_


def test_control_characters_are_escaped_in_the_text() -> None:
    """Those of a request or a policy do not start a new line."""
    evil = "x\x1b[2J\nAllowed: all"
    one = for_("*", Sid=evil, Condition={"StringEquals": {"aws:UserAgent": f"y{evil}"}})
    explanation = explained(context={"aws:UserAgent": evil}, on=f"{DOCUMENT}{evil}", resource=one)
    text = explanation.text()
    assert "\x1b" not in text
    assert not any(line.startswith("Allowed") for line in text.splitlines())


# --- nearest misses ----------------------------------------------------------------------------------------------


def test_nearest_misses_of_an_implicit_denial() -> None:
    """Allows one change away where one is needed; a condition before a resource before an action."""
    near = policy(
        statement(Sid="Action", Action="docs:Put*"),
        statement(Sid="Resource", Resource="arn:aws:docs:*:*:folder/*"),
        statement(Sid="Condition", Condition={"StringEquals": {KIND: "report"}}),
        statement(Sid="Two", Action="docs:Put*", Condition={"StringEquals": {KIND: "report"}}),
        statement("Deny", Sid="NotNow", Condition={"StringEquals": {KIND: "report"}}),
    )
    explanation = explained(identity=[near])
    assert [(each.sid, each.element, each.outcome) for each in explanation.nearest] == [
        ("Condition", "Condition", Outcome.ALLOWED),
        ("Resource", "Resource", Outcome.ALLOWED),
        ("Action", "Action", Outcome.ALLOWED),
    ]
    assert explanation.nearest[0].change == f"the request would need `{KIND}` = `report`"


def test_nearest_miss_has_the_outcome_after_the_change() -> None:
    """E-30.2: those that change the outcome are first."""
    far, near = statement(Sid="Far", Action="docs:Put*"), statement(Sid="Near", Resource="arn:aws:docs:*:*:x")
    one_gap = explained(identity=[policy(near)], permissions_boundary=EVERYTHING)
    assert [(each.sid, each.outcome) for each in one_gap.nearest] == [("Near", Outcome.ALLOWED)]
    two_gaps = explained(identity=[policy(near)], permissions_boundary=policy(far))
    assert {(each.sid, each.outcome) for each in two_gaps.nearest} == {
        ("Near", Outcome.IMPLICITLY_DENIED),
        ("Far", Outcome.IMPLICITLY_DENIED),
    }


def test_applying_denies_are_the_first_misses() -> None:
    """E-2: then the Allows that would be needed too."""
    deny = policy(statement("Deny", Sid="No"))
    alone = explained(identity=[EVERYTHING, deny])
    assert [(each.sid, each.element, each.outcome) for each in alone.nearest] == [("No", None, Outcome.ALLOWED)]
    both = explained(identity=[deny, policy(statement(Sid="Put", Action="docs:Put*"))])
    assert {(each.sid, each.outcome) for each in both.nearest} == {
        ("No", Outcome.IMPLICITLY_DENIED),
        ("Put", Outcome.EXPLICITLY_DENIED),
    }


def test_nearest_misses_of_an_allow_are_denies() -> None:
    """Denies that are two changes away are not included."""
    denies = [
        statement("Deny", Sid="Secret", Condition={"StringEquals": {KIND: "secret"}}),
        statement("Deny", Sid="Two", Action="iam:*", Condition={"StringEquals": {KIND: "secret"}}),
    ]
    explanation = explained(identity=[EVERYTHING], scps=[[EVERYTHING], [policy(statement(), *denies)]])
    (miss,) = explanation.nearest
    assert (miss.type, miss.level, miss.sid, miss.outcome) == (PolicyType.SCP, 2, "Secret", Outcome.EXPLICITLY_DENIED)


def test_misses_are_only_at_levels_without_an_allow() -> None:
    """E-12: another Allow at a level that has one changes nothing."""
    near = statement(Resource="arn:aws:docs:*:*:x")
    explanation = explained(identity=[EVERYTHING], scps=[[policy(statement(), near)], [policy(near)]])
    assert [(each.level, each.outcome) for each in explanation.nearest] == [(2, Outcome.ALLOWED)]


def test_resource_based_allow_can_be_the_nearest_miss() -> None:
    """E-30.1: a direct grant is sufficient if the caller's own policies do not allow; one to the account is not."""
    condition = {"StringEquals": {KIND: "report"}}
    direct = for_({"AWS": ADA.arn}, Condition=condition)
    (miss,) = explained(resource=direct).nearest
    assert (miss.type, miss.outcome) == (PolicyType.RESOURCE, Outcome.ALLOWED)
    assert explained(resource=for_({"AWS": A}, Condition=condition)).nearest == ()


def test_number_of_misses_is_limited() -> None:
    """A policy of very many statements is explained too."""
    many = policy(*[statement(Action=f"docs:Put{number}") for number in range(700)])
    explanation = explained(identity=[many])
    assert len(explanation.nearest) == MAX_MISSES
    assert len(type_of(explanation, PolicyType.IDENTITY).levels[0].policies[0].statements) == 700


# --- words -------------------------------------------------------------------------------------------------------


@table(
    ("texts", "words"),
    [
        ([], ""),
        (["a"], "`a`"),
        (["a", "b"], "`a` or `b`"),
        (["a", "b", "c"], "`a`, `b` or `c`"),
        (["a", "b", "c", "d", "e", "f", "g"], "`a`, `b`, `c`, `d`, `e` or 2 more"),
    ],
)
def test_long_enumeration_is_shortened(texts: list[str], words: str) -> None:
    """A long list is cut short."""
    assert either(texts) == words


def test_statement_name_has_index_sid_and_line() -> None:
    """The index counts from 0; Sid and line if present."""
    assert statement_name("Deny", 2, "No", 7) == "Deny Statement[2] `No`, line 7"
    assert statement_name("Allow", 0, None, None) == "Allow Statement[0]"


def test_every_kind_of_caller_is_in_the_table() -> None:
    """F.2."""
    kinds = {each.type for each in (ADA, ROLE, FEDERATED, ROOT, SERVICE, WEB_IDENTITY, ANONYMOUS)}
    assert kinds == set(PrincipalType)
