"""Two decisions around every request that a question leaves open: whatever the keys are, the decision lies between.

The law compares with the evaluator itself: each open key is tried with every value that matters, and without one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.evaluation.bounds import Bounds, PartialEvaluator
from iam_guard.evaluation.bundle import Bundle, bundle
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.matching.pattern import compile_pattern
from iam_guard.evaluation.matching.pattern_coverage import arn_pattern
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest

ANN = Principal.from_arn("arn:aws:iam::111122223333:user/ann", tags={"team": "blue"})
THING = "arn:aws:docs:us-east-1:111122223333:document/ann/plan"
KEYS = {"docs:Kind": (None, "a", "b", "plan"), "aws:SourceIp": (None, "10.0.0.1", "203.0.113.9")}


def statement(**more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "docs:Get", "Resource": "*", **more}


def policy(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def asked(policies: Bundle, context: Mapping[str, str] | None = None, resource: str = THING) -> Bounds:
    """Ask with everything open but what the context has and what the principal supplies."""
    known = {key.lower() for key in context or {}}
    request = AccessRequest(ANN, "docs:Get", resource, context)

    def settles(key: str) -> bool:
        return key in known or request.value(key) is not None

    return PartialEvaluator().bounds(request, policies, settles)


def test_without_an_open_key_it_is_one_decision() -> None:
    """Nothing is decided twice."""
    found = asked(bundle(identity=[policy(statement())]))
    assert found.least is found.most
    assert found.least.allowed
    assert found.is_certain


def test_an_allow_that_asks_for_an_open_key_is_neither_yes_nor_no() -> None:
    """Between the two decisions stands the key, as the policy writes it."""
    condition = {"StringEquals": {"docs:Kind": "a"}}
    found = asked(bundle(identity=[policy(statement(Condition=condition))]))
    assert (found.least.allowed, found.most.allowed, found.open_keys) == (False, True, ("docs:Kind",))


def test_a_deny_that_asks_for_an_open_key_is_neither_yes_nor_no() -> None:
    """A Deny counts in the least decision alone."""
    deny = statement(Effect="Deny", Condition={"StringEquals": {"docs:Kind": "a"}})
    found = asked(bundle(identity=[policy(statement(), deny)]))
    assert (found.least.allowed, found.most.allowed, found.open_keys) == (False, True, ("docs:Kind",))


def test_a_condition_that_fails_already_leaves_nothing_open() -> None:
    """A known test that is not met decides, whatever the open one says."""
    condition = {"StringEquals": {"docs:Kind": "a", "aws:PrincipalTag/team": "red"}}
    found = asked(bundle(identity=[policy(statement(Condition=condition))]))
    assert found.is_certain
    assert not found.most.allowed
    assert found.open_keys == ()


def test_a_variable_of_an_open_key_may_be_anything() -> None:
    """V-9: loosely it stands for any text, tightly its entry is not there."""
    entry = "arn:aws:docs:*:*:document/${docs:Kind}/plan"
    found = asked(bundle(identity=[policy(statement(Resource=entry))]))
    assert (found.least.allowed, found.most.allowed, found.open_keys) == (False, True, ("docs:Kind",))
    other = asked(bundle(identity=[policy(statement(Resource="arn:aws:docs:*:*:folder/${docs:Kind}"))]))
    assert not other.most.allowed


def test_a_variable_of_a_key_that_is_known_is_filled() -> None:
    """The principal's own keys are no question."""
    entry = "arn:aws:docs:*:*:document/${aws:username}/*"
    assert asked(bundle(identity=[policy(statement(Resource=entry))])).least.allowed


def test_every_type_of_policy_is_opened() -> None:
    """A boundary, an SCP and a resource-based policy with open keys make it depend as well."""
    condition = {"StringEquals": {"docs:Kind": "a"}}
    open_one, plain = policy(statement(Condition=condition)), policy(statement())
    shared = policy(statement(Principal="*", Condition=condition))
    for policies in (
        bundle(identity=[plain], permissions_boundary=open_one),
        bundle(identity=[plain], scps=[[plain], [open_one]]),
        bundle(identity=[plain], session=[open_one]),
        bundle(resource=shared),
    ):
        found = asked(policies)
        assert (found.least.allowed, found.most.allowed, found.open_keys) == (False, True, ("docs:Kind",))


# --- the law -----------------------------------------------------------------------------------------------------

_OPERATORS = ("StringEquals", "StringNotEquals", "StringLike", "StringEqualsIfExists", "ForAllValues:StringEquals")
_conditions = st.one_of(
    st.none(),
    st.builds(
        lambda operator, value: {operator: {"docs:Kind": value}},
        st.sampled_from(_OPERATORS),
        st.sampled_from(["a", "b", ["a", "b"], "${docs:Kind}", "${aws:SourceIp}"]),
    ),
    st.sampled_from(
        [
            {"Null": {"docs:Kind": "true"}},
            {"Null": {"docs:Kind": "false"}},
            {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
            {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
            {"StringEquals": {"aws:PrincipalTag/team": "blue"}},
            {"StringEquals": {"aws:PrincipalTag/team": "red", "docs:Kind": "a"}},
        ]
    ),
)
_entries = st.sampled_from(
    [
        *("*", THING, "arn:aws:docs:*:*:document/*", "arn:aws:docs:*:*:document/${docs:Kind}/*"),
        *("arn:aws:docs:*:*:document/*/${docs:Kind}", "arn:aws:docs:*:*:folder/*", "arn:aws:docs:*:*:document/a*"),
        "arn:aws:docs:*:*:document/${aws:username}/*",
    ]
)


@st.composite
def _statements(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": draw(st.sampled_from(["Allow", "Allow", "Deny"]))}
    made["Action"] = draw(st.sampled_from(["docs:Get", "docs:*", "docs:Put"]))
    made[draw(st.sampled_from(["Resource", "Resource", "NotResource"]))] = draw(
        st.lists(_entries, min_size=1, max_size=2)
    )
    condition = draw(_conditions)
    return made if condition is None else {**made, "Condition": condition}


_policies = st.lists(_statements(), min_size=1, max_size=3).map(lambda made: policy(*made))
_shared = _policies.map(lambda made: {**made, "Statement": [{**each, "Principal": "*"} for each in made["Statement"]]})
_bundles = st.builds(
    lambda identity, boundary, scp, resource: bundle(
        identity=identity,
        permissions_boundary=boundary,
        scps=None if scp is None else [[scp]],
        resource=resource,
    ),
    st.lists(_policies, max_size=2),
    st.none() | _policies,
    st.none() | _policies,
    st.none() | _shared,
)


@given(_bundles)
@settings(max_examples=300, deadline=None)
def test_whatever_the_open_keys_are_the_decision_lies_between(policies: Bundle) -> None:
    """What the least decision allows is always allowed, and what the most denies always denied."""
    found = asked(policies)
    outcomes = set()
    for values in itertools.product(*KEYS.values()):
        context = {key: value for key, value in zip(KEYS, values, strict=True) if value is not None}
        outcomes.add(decide(AccessRequest(ANN, "docs:Get", THING, context), policies).allowed)
    if found.least.allowed:
        assert outcomes == {True}
    if not found.most.allowed:
        assert outcomes == {False}
    if len(outcomes) == 2:
        assert found.open_keys


RESOURCES = [
    f"arn:aws:docs:us-east-1:111122223333:{rest}"
    for rest in ("document/ann/plan", "document/a", "document/bo/x", "folder/a", "document/", "document/ann/")
]
_asked = st.sampled_from(
    ["arn:aws:docs:*:111122223333:document/*", "arn:aws:docs:*:*:document/ann/*", "arn:aws:docs:*:*:*", RESOURCES[0]]
)


@given(_bundles, _asked)
@settings(max_examples=300, deadline=None)
def test_a_pattern_stands_for_all_its_resources(policies: Bundle, text: str) -> None:
    """What is allowed on a pattern is on each resource that it means; what is denied is on none."""
    pattern, is_meant = arn_pattern(text), compile_pattern(arn_pattern(text))
    request = AccessRequest(ANN, "docs:Get", text, resource_account="111122223333")
    found = PartialEvaluator().bounds(
        request, policies, lambda key: key in ("aws:username", "aws:principaltag/team"), asked=pattern
    )
    for resource in filter(is_meant, RESOURCES):
        for values in itertools.product(*KEYS.values()):
            context = {key: value for key, value in zip(KEYS, values, strict=True) if value is not None}
            allowed = decide(AccessRequest(ANN, "docs:Get", resource, context), policies).allowed
            assert allowed or not found.least.allowed
            assert not allowed or found.most.allowed


@pytest.mark.parametrize(
    ("entry", "least", "most"),
    [
        ("*", True, True),
        ("arn:aws:docs:*:*:document/*", True, True),
        ("arn:aws:docs:*:*:document/a*", False, True),
        ("arn:aws:docs:us-east-1:111122223333:folder/*", False, False),
        ("arn:aws:docs:*:*:folder/*", False, True),  # M-12: of a document with `:x:folder/` in its name
    ],
)
def test_an_entry_that_means_some_of_a_pattern(entry: str, least: bool, most: bool) -> None:
    """All of it, some of it, none of it."""
    text = "arn:aws:docs:*:111122223333:document/*"
    request = AccessRequest(ANN, "docs:Get", text, resource_account="111122223333")
    policies = bundle(identity=[policy(statement(Resource=entry))])
    found = PartialEvaluator().bounds(request, policies, lambda _: True, asked=arn_pattern(text))
    assert (found.least.allowed, found.most.allowed) == (least, most)
