"""One statement and one request: all elements together, and absent or empty elements."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.errors import ContextError, PolicyError
from iam_guard.evaluation.matching.principal import PrincipalMatch
from iam_guard.evaluation.matching.statement import CompiledStatement, compile_statement
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import LATEST, LEGACY, ConditionTest, Effect, Statement
from tests.tables import table

ALICE = Principal.from_arn("arn:aws:iam::111122223333:user/alice", userid="AIDAALICE")
PAGE = "arn:aws:docs:eu-west-1:111122223333:page/7"
IN_SPACE = ConditionTest("StringEquals", "docs:Space", ("eng",))


def statement(
    effect: Effect = Effect.ALLOW, version: str = LATEST, type: PolicyType = PolicyType.IDENTITY, **elements: Any
) -> CompiledStatement:
    return compile_statement(Statement(index=0, effect=effect, **elements), version, type)


def request(action: str = "docs:GetPage", resource: str = PAGE, **context: Any) -> AccessRequest:
    return AccessRequest(ALICE, action, resource, context)


def applies(compiled: CompiledStatement, incoming: AccessRequest) -> bool:
    return compiled.applies(incoming, incoming.action.lower())


# --- all elements ------------------------------------------------------------------------------------------------


def test_statement_applies_when_every_element_matches() -> None:
    """Rule M-1."""
    compiled = statement(actions=("docs:GetPage",), resources=(PAGE,), conditions=(IN_SPACE,))
    assert applies(compiled, request(**{"docs:Space": "eng"}))
    assert not applies(compiled, request("docs:PutPage", **{"docs:Space": "eng"}))
    assert not applies(compiled, request(resource=PAGE + "0", **{"docs:Space": "eng"}))
    assert not applies(compiled, request(**{"docs:Space": "ops"}))


def test_all_conditions_must_be_met() -> None:
    """Rules C-1, C-6."""
    other = ConditionTest("IpAddress", "aws:SourceIp", ("203.0.113.0/24",))
    both = statement(actions=("*",), resources=("*",), conditions=(IN_SPACE, other))
    assert applies(both, request(**{"docs:Space": "eng", "aws:SourceIp": "203.0.113.9"}))
    assert not applies(both, request(**{"docs:Space": "eng", "aws:SourceIp": "198.51.100.9"}))
    assert not applies(both, request(**{"docs:Space": "ops", "aws:SourceIp": "203.0.113.9"}))
    assert applies(statement(actions=("*",), resources=("*",)), request())


def test_each_element_has_its_own_matcher() -> None:
    """So an explanation can report which element or condition did not match."""
    later = ConditionTest("Null", "docs:Other", ("false",))
    compiled = statement(actions=("docs:GetPage",), resources=("arn:aws:docs:*",), conditions=(IN_SPACE, later))
    incoming = request("docs:PutPage", **{"docs:Space": "eng"})
    assert not compiled.matches_action("docs:putpage")
    assert compiled.matches_resource(incoming)
    assert not compiled.matches_conditions(incoming)
    assert [condition(incoming) for condition in compiled.conditions] == [True, False]


# --- actions -----------------------------------------------------------------------------------------------------


@table(
    ("action", "incoming", "expected"),
    [
        ("docs:GetPage", "docs:GetPage", True),
        ("DOCS:getpage", "docs:GetPage", True),  # M-3
        ("docs:GetPage", "docs:GetPages", False),
        ("docs:Get*", "docs:GetPage", True),  # M-4
        ("docs:Get*", "docs:Get", True),
        ("docs:Get?age", "docs:GetPage", True),
        ("docs:*Page", "docs:GetPage", True),
        ("docs:*Page", "docs:GetPages", False),
        ("*", "anything:AtAll", True),  # M-5
        ("s3:*", "s3:GetObject", True),
        ("s3:*", "s3express:CreateSession", False),
        ("s3:*", "s3-object-lambda:GetObject", False),
        ("s3:Get.*", "s3:GetObject", False),  # M-6
        ("s3:[A-Z]*", "s3:GetObject", False),
        ("docs:${*}", "docs:*", False),  # M-7
        ("docs:${aws:username}", "docs:alice", False),
    ],
)
def test_action_matches(action: str, incoming: str, expected: bool) -> None:
    """Rules M-3 to M-7, as marked; `NotAction` is the opposite (rule M-2)."""
    assert applies(statement(actions=(action,), resources=("*",)), request(incoming)) is expected
    assert applies(statement(not_actions=(action,), resources=("*",)), request(incoming)) is not expected


def test_lists_of_actions() -> None:
    """Rules M-2, M-19, G-27."""
    either = statement(actions=("docs:GetPage", "docs:List*"), resources=("*",))
    neither = statement(not_actions=("docs:GetPage", "docs:List*"), resources=("*",))
    for incoming, is_listed in (("docs:GetPage", True), ("docs:ListPages", True), ("docs:PutPage", False)):
        assert applies(either, request(incoming)) is is_listed
        assert applies(neither, request(incoming)) is not is_listed
    assert not applies(statement(actions=(), resources=("*",)), request())
    assert applies(statement(not_actions=(), resources=("*",)), request())
    assert not applies(statement(resources=("*",)), request())


@table(
    ("elements", "literals"),
    [
        ({"actions": ("docs:GetPage", "Docs:PutPage")}, {"docs:getpage", "docs:putpage"}),
        ({"actions": ()}, set()),
        ({"actions": ("docs:GetPage", "docs:Put*")}, None),
        ({"actions": ("docs:G?tPage",)}, None),
        ({"actions": ("*",)}, None),
        ({"not_actions": ("docs:GetPage",)}, None),
        ({}, None),
    ],
)
def test_action_literals_are_the_only_matching_actions(elements: dict[str, Any], literals: set[str] | None) -> None:
    """An index relies on this."""
    assert statement(**elements).action_literals == literals


# --- resources ---------------------------------------------------------------------------------------------------


def test_not_resource_is_the_opposite() -> None:
    """Rules M-2, M-18, V-10: an entry with a variable that has no value excludes nothing."""
    others = statement(actions=("*",), not_resources=(PAGE, "arn:aws:docs:*:*:draft/${docs:Absent}"))
    assert not applies(others, request())
    assert applies(others, request(resource=PAGE + "0"))
    assert applies(others, request(resource="arn:aws:docs:eu-west-1:111122223333:draft/1"))
    assert applies(others, request(resource="*"))
    assert not applies(statement(actions=("*",), not_resources=("*",)), request())
    assert applies(statement(actions=("*",), not_resources=()), request())


@table("type", list(PolicyType))
def test_statement_without_a_resource(type: PolicyType) -> None:
    """Rules M-26, G-27: in a resource-based policy it applies to the policy's own resource, elsewhere to nothing."""
    is_own = type in (PolicyType.RESOURCE, PolicyType.TRUST)
    assert applies(statement(actions=("*",), type=type), request()) is is_own
    assert not applies(statement(actions=("*",), resources=(), type=type), request())


def test_resource_based_policy_can_name_its_resource() -> None:
    """Rule M-27."""
    compiled = statement(actions=("*",), resources=(PAGE,), type=PolicyType.RESOURCE)
    assert applies(compiled, request())
    assert not applies(compiled, request(resource=PAGE + "0"))


def test_variables_follow_the_version() -> None:
    """Rules V-2, V-3: in `Resource` and in conditions."""
    elements: dict[str, Any] = {
        "actions": ("*",),
        "resources": ("arn:aws:docs:*:*:home/${aws:username}",),
        "conditions": (ConditionTest("StringEquals", "docs:Owner", ("${aws:username}",)),),
    }
    home = "arn:aws:docs:eu-west-1:111122223333:home/"
    assert applies(statement(**elements), request(resource=home + "alice", **{"docs:Owner": "alice"}))
    assert not applies(statement(**elements), request(resource=home + "alice", **{"docs:Owner": "bob"}))
    old = statement(version=LEGACY, **elements)
    assert not applies(old, request(resource=home + "alice", **{"docs:Owner": "alice"}))
    assert applies(old, request(resource=home + "${aws:username}", **{"docs:Owner": "${aws:username}"}))


# --- principals --------------------------------------------------------------------------------------------------


def test_principal_match_follows_the_principal_element() -> None:
    """Rules E-20, G-31: a statement without principals matches no caller."""
    assert statement(principals=(("AWS", ALICE.arn),)).principal_match(ALICE) is PrincipalMatch.DIRECT
    assert statement(principals=(("AWS", "111122223333"),)).principal_match(ALICE) is PrincipalMatch.ACCOUNT
    assert statement(principals=()).principal_match(ALICE) is None
    assert statement().principal_match(ALICE) is None


def test_not_principal_matches_callers_that_are_not_exempt() -> None:
    """Rules E-70, E-71, G-34: in a Deny only."""
    exempt = (("AWS", ALICE.arn), ("AWS", "111122223333"))
    assert statement(Effect.DENY, not_principals=exempt).principal_match(ALICE) is None
    assert statement(Effect.DENY, not_principals=exempt).principal_match(Principal.anonymous()) is PrincipalMatch.DIRECT
    assert statement(Effect.DENY, not_principals=()).principal_match(ALICE) is PrincipalMatch.DIRECT
    assert statement(Effect.ALLOW, not_principals=()).principal_match(ALICE) is None


# --- errors ------------------------------------------------------------------------------------------------------


def test_unknown_operator_is_refused() -> None:
    """Rule G-66: when the statement is compiled, not during a request."""
    with pytest.raises(PolicyError):
        statement(actions=("*",), resources=("*",), conditions=(ConditionTest("Like", "docs:Space", ("eng",)),))


def test_error_is_raised_to_the_evaluator() -> None:
    """Rule C-45: matching catches nothing; the evaluator turns the error into a denial."""
    compiled = statement(actions=("*",), resources=("*",), conditions=(IN_SPACE,))
    with pytest.raises(ContextError):
        applies(compiled, AccessRequest(ALICE, "docs:GetPage", PAGE, {"docs:Space": lambda: object()}))  # type: ignore[dict-item,return-value]


words = st.sampled_from(["docs:getpage", "docs:*", "docs:get*", "s3:*", "*"])
entries = st.sampled_from([PAGE, "*", "arn:aws:docs:*", "arn:aws:docs:*:*:page/*", "arn:aws:s3:::b"])


@given(
    actions=st.lists(words, max_size=4),
    resources=st.lists(entries, max_size=4),
    space=st.sampled_from([None, "eng", "ops"]),
    twice=st.booleans(),
)
def test_matching_is_deterministic_and_ignores_order(
    actions: list[str], resources: list[str], space: str | None, twice: bool
) -> None:
    """Rules M-2, G-9: the order of entries is irrelevant, and repeated calls return the same result."""
    tests = (IN_SPACE, ConditionTest("StringNotEquals", "docs:Space", ("ops",)))
    one = statement(actions=tuple(actions), resources=tuple(resources), conditions=tests[: 1 + twice])
    other = statement(
        actions=tuple(reversed(actions)), resources=tuple(reversed(resources)), conditions=tests[: 1 + twice][::-1]
    )
    incoming = AccessRequest(ALICE, "docs:GetPage", PAGE, {"docs:Space": space})
    assert applies(one, incoming) is applies(other, incoming) is applies(one, incoming)
