"""Bounds of a decision while keys are open: for any values of the keys, the decision is between them.

The law compares with the evaluator: each open key is tested with every relevant value, and without one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.evaluation.bounds import Bounds, PartialEvaluator
from iam_guard.evaluation.bundle import Bundle, bundle
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.matching.pattern import compile_pattern
from iam_guard.evaluation.matching.pattern_coverage import arn_pattern
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from tests.tables import table

ANN = Principal.from_arn("arn:aws:iam::111122223333:user/ann", tags={"team": "blue"})
THING = "arn:aws:docs:us-east-1:111122223333:document/ann/plan"
KEYS = {"docs:Kind": (None, "a", "b", "plan"), "aws:SourceIp": (None, "10.0.0.1", "203.0.113.9")}


def statement(**more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "docs:Get", "Resource": "*", **more}


def policy(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def bounds_of(policies: Bundle, context: Mapping[str, str] | None = None, resource: str = THING) -> Bounds:
    """Return the bounds with all keys open except those of the context and the principal."""
    known = {key.lower() for key in context or {}}
    request = AccessRequest(ANN, "docs:Get", resource, context)

    def is_known(key: str) -> bool:
        return key in known or request.value(key) is not None

    return PartialEvaluator().bounds(request, policies, is_known)


def test_without_open_keys_the_bounds_are_one_decision() -> None:
    """The request is not decided twice."""
    found = bounds_of(bundle(identity=[policy(statement())]))
    assert found.least is found.most
    assert found.least.allowed
    assert found.is_certain


def test_allow_with_an_open_key_is_uncertain() -> None:
    """The bounds report the key in the spelling of the policy."""
    condition = {"StringEquals": {"docs:Kind": "a"}}
    found = bounds_of(bundle(identity=[policy(statement(Condition=condition))]))
    assert (found.least.allowed, found.most.allowed, found.open_keys) == (False, True, ("docs:Kind",))


def test_deny_with_an_open_key_is_uncertain() -> None:
    """A Deny counts in the least decision only."""
    deny = statement(Effect="Deny", Condition={"StringEquals": {"docs:Kind": "a"}})
    found = bounds_of(bundle(identity=[policy(statement(), deny)]))
    assert (found.least.allowed, found.most.allowed, found.open_keys) == (False, True, ("docs:Kind",))


def test_failed_condition_leaves_no_key_open() -> None:
    """A condition on a known key that is not met decides, for any value of the open key."""
    condition = {"StringEquals": {"docs:Kind": "a", "aws:PrincipalTag/team": "red"}}
    found = bounds_of(bundle(identity=[policy(statement(Condition=condition))]))
    assert found.is_certain
    assert not found.most.allowed
    assert found.open_keys == ()


def test_variable_of_an_open_key_matches_any_text() -> None:
    """V-9: a loose match accepts any text, a strict match has no such entry."""
    entry = "arn:aws:docs:*:*:document/${docs:Kind}/plan"
    found = bounds_of(bundle(identity=[policy(statement(Resource=entry))]))
    assert (found.least.allowed, found.most.allowed, found.open_keys) == (False, True, ("docs:Kind",))
    other = bounds_of(bundle(identity=[policy(statement(Resource="arn:aws:docs:*:*:folder/${docs:Kind}"))]))
    assert not other.most.allowed


def test_variable_of_a_known_key_is_filled() -> None:
    """The principal's own keys are not open."""
    entry = "arn:aws:docs:*:*:document/${aws:username}/*"
    assert bounds_of(bundle(identity=[policy(statement(Resource=entry))])).least.allowed


def test_open_keys_count_in_every_policy_type() -> None:
    """A boundary, an SCP and a resource-based policy with open keys make the decision uncertain too."""
    condition = {"StringEquals": {"docs:Kind": "a"}}
    open_one, plain = policy(statement(Condition=condition)), policy(statement())
    shared = policy(statement(Principal="*", Condition=condition))
    for policies in (
        bundle(identity=[plain], permissions_boundary=open_one),
        bundle(identity=[plain], scps=[[plain], [open_one]]),
        bundle(identity=[plain], session=[open_one]),
        bundle(identity=[plain], vpc_endpoint=shared),
        replace(bundle(identity=[plain], rcps=[[shared]]), own_service=True),
        bundle(resource=shared),
    ):
        found = bounds_of(policies)
        assert (found.least.allowed, found.most.allowed, found.open_keys) == (False, True, ("docs:Kind",))


@table(
    ("condition", "least", "most", "open_keys"),
    [
        ({"StringEquals": {"aws:PrincipalTag/team": "${docs:Kind}"}}, False, True, ("docs:Kind",)),
        ({"StringEquals": {"aws:PrincipalTag/team": ["blue", "${docs:Kind}"]}}, False, True, ("docs:Kind",)),
        ({"StringLike": {"aws:PrincipalTag/team": "*${aws:username}"}}, False, False, ()),
        ({"StringLike": {"aws:PrincipalTag/team": "b*"}}, True, True, ()),
        ({"NumericEquals": {"aws:PrincipalTag/team": "${docs:Kind}"}}, False, False, ()),  # V-5
    ],
)
def test_condition_with_a_variable_of_an_open_key(
    condition: dict[str, Any], least: bool, most: bool, open_keys: tuple[str, ...]
) -> None:
    """V-3: the condition's own key is known, but the value in the policy is not."""
    found = bounds_of(bundle(identity=[policy(statement(Condition=condition))]))
    assert (found.least.allowed, found.most.allowed, found.open_keys) == (least, most, open_keys)


def test_deny_for_a_bounded_caller_has_its_open_keys() -> None:
    """E-74: `NotPrincipal` exempts no caller with a permissions boundary, wherever the boundary comes from."""
    deny = {**statement(Condition={"StringEquals": {"docs:Kind": "a"}}), "Effect": "Deny"}
    deny["NotPrincipal"] = {"AWS": [ANN.arn, "111122223333"]}
    policies = {"identity": [policy(statement())], "resource": policy(deny)}
    assert bounds_of(bundle(**policies)).least.allowed
    found = bounds_of(bundle(**policies, permissions_boundary=policy(statement())))
    assert (found.least.allowed, found.most.allowed, found.open_keys) == (False, True, ("docs:Kind",))


@table(
    "changes",
    [
        {"Condition": {"StringEquals": {"aws:PrincipalTag/team": "${docs:Kind}"}}},
        {"Resource": "arn:aws:docs:*:*:document/${docs:Kind}/plan"},
    ],
)
def test_variable_in_an_old_version_is_literal_text(changes: dict[str, Any]) -> None:
    """V-2: nothing depends on the key, so the request is decided once."""
    open_one = statement(Condition={"StringEquals": {"docs:Other": "a"}})
    found = bounds_of(bundle(identity=[{**policy(statement(**changes), open_one), "Version": "2008-10-17"}]))
    assert (found.least.allowed, found.most.allowed, found.open_keys) == (False, True, ("docs:Other",))
    assert not bounds_of(bundle(identity=[{**policy(statement(**changes)), "Version": "2008-10-17"}])).most.allowed


@table("start", ["arn:${docs:Kind}:docs:*:*", "arn:aws:docs:${docs:Kind}:*", "arn:aws:docs:*:${docs:Kind}"])
def test_variable_before_the_sixth_field_is_literal_text(start: str) -> None:
    """V-4: only the sixth field of a resource has variables."""
    entry = f"{start}:document/${{docs:Kind}}/plan"
    assert not bounds_of(bundle(identity=[policy(statement(Resource=entry))])).most.allowed


def test_multivalued_key_does_not_open_a_resource() -> None:
    """V-6: it never fills a variable, so the entry matches nothing for any values."""
    found = bounds_of(bundle(identity=[policy(statement(Resource="arn:aws:docs:*:*:document/${aws:TagKeys}*"))]))
    assert (found.most.allowed, found.open_keys) == (False, ())


def test_statement_without_open_keys_is_not_changed() -> None:
    """Beside one with open keys, in the same policy."""
    uncertain = statement(Effect="Deny", Condition={"StringEquals": {"docs:Kind": "a"}}, Resource=f"{THING}/x")
    for certain in (statement(Resource=THING), statement(Resource="arn:aws:docs:*:*:document/${aws:username}/plan")):
        found = bounds_of(bundle(identity=[policy(certain, uncertain)]))
        assert (found.least.allowed, found.most.allowed, found.open_keys) == (True, True, ())


@table(("action", "open_keys"), [("docs:Get", ("docs:Kind",)), ("docs:Put", ())])
def test_open_keys_are_those_of_statements_about_the_action(action: str, open_keys: tuple[str, ...]) -> None:
    """In any policy; the order is that of the policies."""
    other = statement(Condition={"StringEquals": {"docs:Other": "a"}})
    also = statement(Action=action, Condition={"StringEquals": {"docs:Kind": "a"}})
    found = bounds_of(bundle(identity=[policy(also), policy(statement(Action="docs:Put")), policy(other)]))
    assert found.open_keys == (*open_keys, "docs:Other")


@table(
    ("resource", "open_keys"),
    [
        ({"Resource": "arn:aws:docs:*:*:folder/*"}, ()),
        ({"Resource": "arn:aws:docs:*:*:document/*"}, ("docs:Kind",)),
        ({"Resource": "arn:aws:docs:*:*:folder/${docs:Kind}"}, ()),
        ({"Resource": "arn:aws:docs:*:*:document/${docs:Kind}"}, ("docs:Kind",)),
    ],
)
def test_open_keys_are_those_of_statements_that_could_apply(
    resource: dict[str, Any], open_keys: tuple[str, ...]
) -> None:
    """For some values of the keys, an Allow and a Deny."""
    condition = {"StringEquals": {"docs:Kind": "a"}}
    uncertain = statement(Condition={"StringEquals": {"docs:Other": "a"}})
    allowed = bounds_of(bundle(identity=[policy(uncertain, statement(**resource, Condition=condition))]))
    assert allowed.open_keys == ("docs:Other", *open_keys)
    deny = {**statement(**resource, Condition=condition), "Effect": "Deny"}
    assert bounds_of(bundle(identity=[policy(uncertain, deny)])).open_keys == ("docs:Other", *open_keys)


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
def test_decision_is_within_its_bounds_for_any_values(policies: Bundle) -> None:
    """If the least decision allows, all do; if the most permissive denies, all do."""
    found = bounds_of(policies)
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
_resource_patterns = st.sampled_from(
    ["arn:aws:docs:*:111122223333:document/*", "arn:aws:docs:*:*:document/ann/*", "arn:aws:docs:*:*:*", RESOURCES[0]]
)


@given(_bundles, _resource_patterns)
@settings(max_examples=300, deadline=None)
def test_pattern_covers_all_its_resources(policies: Bundle, text: str) -> None:
    """What is allowed for a pattern is allowed for each of its resources; what is denied is denied for each."""
    pattern, is_meant = arn_pattern(text), compile_pattern(arn_pattern(text))
    request = AccessRequest(ANN, "docs:Get", text, resource_account="111122223333")
    found = PartialEvaluator().bounds(
        request, policies, lambda key: key in ("aws:username", "aws:principaltag/team"), resources=pattern
    )
    for resource in filter(is_meant, RESOURCES):
        for values in itertools.product(*KEYS.values()):
            context = {key: value for key, value in zip(KEYS, values, strict=True) if value is not None}
            allowed = decide(AccessRequest(ANN, "docs:Get", resource, context), policies).allowed
            assert allowed or not found.least.allowed
            assert not allowed or found.most.allowed


@table(
    ("entry", "least", "most"),
    [
        ("*", True, True),
        ("arn:aws:docs:*:*:document/*", True, True),
        ("arn:aws:docs:*:*:document/a*", False, True),
        ("arn:aws:docs:us-east-1:111122223333:folder/*", False, False),
        ("arn:aws:docs:*:*:folder/*", False, True),  # M-12: of a document with `:x:folder/` in its name
    ],
)
def test_entry_matches_all_some_or_no_resources_of_a_pattern(entry: str, least: bool, most: bool) -> None:
    """All of it, some of it, none of it."""
    text = "arn:aws:docs:*:111122223333:document/*"
    request = AccessRequest(ANN, "docs:Get", text, resource_account="111122223333")
    policies = bundle(identity=[policy(statement(Resource=entry))])
    found = PartialEvaluator().bounds(request, policies, lambda _: True, resources=arn_pattern(text))
    assert (found.least.allowed, found.most.allowed) == (least, most)


@table(
    ("entry", "least", "most", "open_keys"),
    [
        ("arn:aws:docs:*:*:document/${aws:username}/*", True, True, ()),
        ("arn:aws:docs:*:*:document/${aws:username}/p*", False, True, ()),
        ("arn:aws:docs:us-east-1:111122223333:document/${aws:username}x/*", False, False, ()),
        ("arn:aws:docs:*:*:document/${docs:Kind}/*", False, True, ("docs:Kind",)),
        ("arn:aws:docs:*:*:document/${docs:Kind}*", False, True, ("docs:Kind",)),
        ("arn:aws:docs:*:*:folder/${docs:Kind}", False, True, ("docs:Kind",)),  # M-12
        ("arn:aws:docs:us-east-1:111122223333:folder/${docs:Kind}", False, False, ()),
        ("arn:aws:docs:us-east-1:111122223333:document/${aws:username}x/${docs:Kind}", False, False, ()),
    ],
)
def test_variable_in_an_entry_and_a_pattern_of_resources(
    entry: str, least: bool, most: bool, open_keys: tuple[str, ...]
) -> None:
    """A known variable is filled; an open one matches any text loosely, and none strictly."""
    text = "arn:aws:docs:*:111122223333:document/ann/*"
    request = AccessRequest(ANN, "docs:Get", text, resource_account="111122223333")
    policies = bundle(identity=[policy(statement(Resource=entry))])
    found = PartialEvaluator().bounds(request, policies, lambda key: key == "aws:username", resources=arn_pattern(text))
    assert (found.least.allowed, found.most.allowed, found.open_keys) == (least, most, open_keys)


@table(
    ("entry", "least", "most"),
    [
        ("arn:aws:docs:*:*:document/*", False, False),
        ("arn:aws:docs:*:*:document/a*", False, True),
        ("arn:aws:docs:us-east-1:111122223333:folder/*", True, True),
    ],
)
def test_excluded_resources_of_a_pattern(entry: str, least: bool, most: bool) -> None:
    """`NotResource` excludes all, some or none of them."""
    text = "arn:aws:docs:*:111122223333:document/*"
    request = AccessRequest(ANN, "docs:Get", text, resource_account="111122223333")
    allow = {"Effect": "Allow", "Action": "docs:Get", "NotResource": entry}
    found = PartialEvaluator().bounds(
        request, bundle(identity=[policy(allow)]), lambda _: True, resources=arn_pattern(text)
    )
    assert (found.least.allowed, found.most.allowed) == (least, most)


@table(
    ("resource", "open_keys"),
    [
        ({"Resource": "arn:aws:docs:*:*:document/a*"}, ("docs:Kind",)),
        ({"Resource": "arn:aws:docs:us-east-1:111122223333:folder/*"}, ()),
        ({"NotResource": "arn:aws:docs:us-east-1:111122223333:folder/*"}, ("docs:Kind",)),
        ({"NotResource": "arn:aws:docs:*:*:document/*"}, ()),
    ],
)
def test_open_keys_for_a_pattern_are_those_of_its_statements(
    resource: dict[str, Any], open_keys: tuple[str, ...]
) -> None:
    """Of an Allow that matches some of the resources."""
    text = "arn:aws:docs:*:111122223333:document/*"
    request = AccessRequest(ANN, "docs:Get", text, resource_account="111122223333")
    uncertain = statement(Condition={"StringEquals": {"docs:Other": "a"}})
    allow = {"Effect": "Allow", "Action": "docs:Get", "Condition": {"StringEquals": {"docs:Kind": "a"}}, **resource}
    policies = bundle(identity=[policy(uncertain, allow)])
    found = PartialEvaluator().bounds(request, policies, lambda _: False, resources=arn_pattern(text))
    assert found.open_keys == ("docs:Other", *open_keys)
