from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from iam_guard import AccessRequest, Principal, compile_policies
from iam_guard.errors import PolicyError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.builder import (
    PolicyDocument,
    PolicyStatement,
    allow,
    allow_all_but,
    deny,
    deny_all_but,
    literal,
    policy,
)
from iam_guard.policy.document import Document, Effect, Statement
from iam_guard.policy.grammar import OPERATORS, SET_PREFIXES, split_operator
from iam_guard.policy.parser import parse
from iam_guard.policy.saving import validate_for_write
from tests.policy.findings import check
from tests.policy.strategies import documents
from tests.tables import table

IDENTITY, RESOURCE, TRUST = PolicyType.IDENTITY, PolicyType.RESOURCE, PolicyType.TRUST
BOUNDARY, SCP = PolicyType.BOUNDARY, PolicyType.SCP
LATEST = "2012-10-17"
ANN = Principal.from_arn("arn:aws:iam::111122223333:user/ann")


def statement_of(built: PolicyStatement, type: PolicyType = RESOURCE) -> Any:
    """Return the JSON of one statement without its effect."""
    [written] = policy(built, type=type)["Statement"]
    del written["Effect"]
    return written


# --- what is built -----------------------------------------------------------------------------------------------


def test_policy_of_every_builder_method_renders() -> None:
    """Every builder method has its element; the current version is the default."""
    document = policy(
        allow("docs:Get*", "docs:List*")
        .on("arn:aws:docs:*:111122223333:document/*")
        .when("StringEquals", {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}),
        deny("docs:DeleteDocument").on("*").sid("NoDeletes"),
    )
    expected = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["docs:Get*", "docs:List*"],
                "Resource": "arn:aws:docs:*:111122223333:document/*",
                "Condition": {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}},
            },
            {"Sid": "NoDeletes", "Effect": "Deny", "Action": "docs:DeleteDocument", "Resource": "*"},
        ],
    }
    assert document.to_dict() == expected
    assert document.to_json() == json.dumps(expected)
    assert json.loads(document.to_json(indent=2)) == expected
    assert document.document.type is IDENTITY


@table(
    ("built", "expected"),
    [
        (allow("a:b"), {"Action": "a:b"}),
        (deny("*"), {"Action": "*"}),
        (allow_all_but("iam:*"), {"NotAction": "iam:*"}),
        (deny_all_but("iam:*", "sts:*"), {"NotAction": ["iam:*", "sts:*"]}),
        (allow("a:b").on("*"), {"Action": "a:b", "Resource": "*"}),
        (allow("a:b").on("*", "arn:aws:a:::x"), {"Action": "a:b", "Resource": ["*", "arn:aws:a:::x"]}),
        (allow("a:b").on("arn:aws:a:::x").on("*"), {"Action": "a:b", "Resource": ["arn:aws:a:::x", "*"]}),
        (allow("a:b").on_all_but("arn:aws:a:::x"), {"Action": "a:b", "NotResource": "arn:aws:a:::x"}),
        (allow("a:b").to("*"), {"Principal": "*", "Action": "a:b"}),
        (allow("a:b").to("111122223333", "AIDAX"), {"Principal": {"AWS": ["111122223333", "AIDAX"]}, "Action": "a:b"}),
        (
            allow("a:b").to("1", service="s.internal", federated=["idp", "f"], canonical_user="0a").to("2"),
            {
                "Principal": {
                    "AWS": ["1", "2"],
                    "Service": "s.internal",
                    "Federated": ["idp", "f"],
                    "CanonicalUser": "0a",
                },
                "Action": "a:b",
            },
        ),
        (deny("a:b").to_all_but(service="s.internal"), {"NotPrincipal": {"Service": "s.internal"}, "Action": "a:b"}),
        (deny("a:b").to_all_but("1").to_all_but("2"), {"NotPrincipal": {"AWS": ["1", "2"]}, "Action": "a:b"}),
        (allow("a:b").sid("One").sid("Two"), {"Sid": "Two", "Action": "a:b"}),
        (
            allow("a:b").when("Bool", {"a:x": True}).when("StringLike", {"a:y": ["1"]}).when("Bool", {"a:z": False}),
            {"Action": "a:b", "Condition": {"Bool": {"a:x": "true", "a:z": "false"}, "StringLike": {"a:y": "1"}}},
        ),
    ],
)
def test_every_element_can_be_built(built: PolicyStatement, expected: dict[str, Any]) -> None:
    """G-20, G-40: all elements except `Effect`; repeated calls add up."""
    assert statement_of(built) == expected


@table(
    ("begin", "effect"),
    [(allow, Effect.ALLOW), (allow_all_but, Effect.ALLOW), (deny, Effect.DENY), (deny_all_but, Effect.DENY)],
)
def test_effect_comes_from_allow_or_deny(begin: Callable[..., PolicyStatement], effect: Effect) -> None:
    """G-21."""
    assert begin("docs:Get*").content.effect is effect


def test_document_has_id_and_version() -> None:
    """G-3, G-4, G-6: None omits `Version`, which means the old version."""
    built = allow("a:b").to("*")
    assert list(policy(built, type=RESOURCE, id="x")) == ["Version", "Id", "Statement"]
    assert policy(built, type=RESOURCE, version="2008-10-17")["Version"] == "2008-10-17"
    unversioned = policy(built, type=RESOURCE, version=None)
    assert "Version" not in unversioned
    assert unversioned.document.version == "2008-10-17"


# --- resources of the application --------------------------------------------------------------------------------


@table(
    ("built", "expected"),
    [
        (allow("docs:Get*").on("document/*"), "arn:aws:docs:*:*:document/*"),
        (allow("docs:Get*", "docs:List*").on("document/a:b/c"), "arn:aws:docs:*:*:document/a:b/c"),
        (allow("docs:Get*").on("document/a\nb"), "arn:aws:docs:*:*:document/a\nb"),
        (allow("Docs:Get*").on("document/7"), "arn:aws:docs:*:*:document/7"),
        (allow("docs:Get*").on("a/x", account="111122223333", region="eu-1"), "arn:aws:docs:eu-1:111122223333:a/x"),
        (allow("docs:Get*").on("a/x", "arn:aws:b:::c", partition="acme"), ["arn:acme:docs:*:*:a/x", "arn:aws:b:::c"]),
        (allow("docs:Get*").on("*", account="111122223333"), "*"),
        (allow("docs:Get*").on("home/${aws:username}/*"), "arn:aws:docs:*:*:home/${aws:username}/*"),
        (allow("sqs:*").on("arn:aws:sqs"), "arn:aws:sqs"),  # G-64: short, and no relative one
    ],
)
def test_relative_resource_gets_the_service_of_the_actions(built: PolicyStatement, expected: str | list[str]) -> None:
    """`type/name` becomes an ARN of that service; ARNs and `*` are unchanged."""
    assert statement_of(built, IDENTITY)["Resource"] == expected


def test_excluded_resource_can_be_relative() -> None:
    """`on_all_but` completes as `on` does."""
    built = deny("docs:*").on_all_but("document/*", account="111122223333")
    assert statement_of(built, IDENTITY)["NotResource"] == "arn:aws:docs:*:111122223333:document/*"


@table(
    ("begun", "resource"),
    [
        (allow("*"), "document/*"),
        (allow("docs:Get*", "files:Get*"), "document/*"),
        (allow_all_but("docs:Get*"), "document/*"),
        (allow("docs:Get*"), "document"),
        (allow("docs:Get*"), "docu*ment/x"),
        (allow("docs:Get*"), "/document/x"),
        (allow("docs:Get*"), "arnaws:docs:*:*:document/*"),
        (allow("docs:Get*"), "${aws:username}/x"),
        (allow("docs:Get*"), ""),
    ],
)
def test_resource_that_is_no_arn_or_relative_name_is_refused(begun: PolicyStatement, resource: str) -> None:
    """G-63: a mistyped ARN is not a relative resource: a Deny on it would deny nothing."""
    for step in (begun.on, begun.on_all_but):
        with pytest.raises(PolicyError) as refused:
            step(resource)
        assert refused.value.finding == "INVALID_ARN_PREFIX"


# --- conditions --------------------------------------------------------------------------------------------------


@table("operator", sorted(OPERATORS))
@table("set_operator", [None, *SET_PREFIXES])
@table("if_exists", [False, True])
def test_every_operator_can_be_built(operator: Any, set_operator: Any, if_exists: bool) -> None:
    """C-30, C-35: each base with each prefix and suffix; only `Null` has no `IfExists`."""
    value = {"N": 1, "D": datetime(2026, 1, 31, tzinfo=UTC), "I": "::1", "A": "arn:aws:a:::b"}.get(
        operator[0], "dHJ1ZQ=="
    )
    tests = {"a:x": "::1" if operator == "NotIpAddress" else value}
    if operator == "Null" and if_exists:
        with pytest.raises(PolicyError, match="the operator `Null` does not take `IfExists`") as refused:
            allow("a:b").when(operator, tests, if_exists=if_exists, set_operator=set_operator)
        assert refused.value.finding == "NULL_WITH_IF_EXISTS"
        return
    built = allow("a:b").when(operator, tests, if_exists=if_exists, set_operator=set_operator)
    [name] = statement_of(built)["Condition"]
    taken = split_operator(name)
    assert (taken.base, taken.prefix, taken.if_exists) == (operator, set_operator, if_exists)


@table(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (10, "10"),
        (-3, "-3"),
        (1.5, "1.5"),
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (Decimal("2.50"), "2.50"),
        (datetime(2026, 1, 31, 12, 30, tzinfo=UTC), "2026-01-31T12:30:00Z"),
        (datetime(2026, 1, 31, 12, 30), "2026-01-31T12:30:00Z"),  # noqa: DTZ001  naive means UTC
        (datetime(2026, 1, 31, 1, tzinfo=timezone(timedelta(hours=2))), "2026-01-30T23:00:00Z"),
        (ip_network("203.0.113.0/24"), "203.0.113.0/24"),
        (ip_network("2001:db8::/32"), "2001:db8::/32"),
        (ip_address("203.0.113.7"), "203.0.113.7"),
        (b"\x00\xff", "AP8="),
        ([1, "x", True], ["1", "x", "true"]),
        ((ip_network("10.0.0.0/8"), "::1"), ["10.0.0.0/8", "::1"]),
        ([], []),
    ],
)
def test_condition_value_is_serialized_as_text(value: Any, text: str | list[str]) -> None:
    """G-15, C-13, C-15, C-19, C-20: the string form that the operators parse."""
    assert statement_of(allow("a:b").when("StringEquals", {"a:x": value}))["Condition"] == {
        "StringEquals": {"a:x": text}
    }


@table("value", [None, {"a"}, {"a": 1}, object(), [["a"]], [None], iter("ab"), range(2)])
def test_condition_value_of_another_type_is_refused(value: Any) -> None:
    """G-16: with the place of the test. A set has no order, so the same policy would have several texts."""
    with pytest.raises(PolicyError) as refused:
        allow("a:b").when("StringEquals", {"a:x": value})
    assert refused.value.finding == "DATA_TYPE_MISMATCH"
    assert refused.value.place == "/Statement/0/Condition/StringEquals/a:x"


# --- refusals ----------------------------------------------------------------------------------------------------

START = allow("a:b")
ARN = "arn:aws:a:::b"


BOTH = "UNSUPPORTED_ELEMENT_COMBINATION"
NO_OPERATOR = "INVALID_CONDITION_OPERATOR"
VENDOR_NEEDED = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."


def condition(operator: str, key: Any = "a:x") -> dict[str, Any]:
    return {"Condition": {operator: {key: "true"}}}


REFUSED: list[tuple[Callable[[], PolicyStatement], dict[str, Any], str]] = [
    # step, elements of the same statement in JSON, code
    (lambda: allow("Get"), {"Action": "Get"}, "INVALID_ACTION"),
    (lambda: allow("a:b:c"), {"Action": "a:b:c"}, "INVALID_ACTION"),
    (lambda: deny("*:*"), {"Effect": "Deny", "Action": "*:*"}, "INVALID_ACTION"),
    (lambda: allow(7), {"Action": 7}, "DATA_TYPE_MISMATCH"),  # type: ignore[arg-type]
    (lambda: START.on(7), {"Resource": 7}, "DATA_TYPE_MISMATCH"),  # type: ignore[arg-type]
    (lambda: START.on("arn:aws:a*:::b"), {"Resource": "arn:aws:a*:::b"}, "INVALID_SERVICE"),
    (lambda: START.on("*").on_all_but("*"), {"Resource": "*", "NotResource": "*"}, BOTH),
    (lambda: START.to("*").on("arn:aws"), {"Resource": "arn:aws", "Principal": "*"}, "MISSING_ARN_FIELD"),
    (lambda: START.on("arn:aws").to("*"), {"Resource": "arn:aws", "Principal": "*"}, "MISSING_ARN_FIELD"),
    (lambda: START.to("*").to_all_but("*"), {"Principal": "*", "NotPrincipal": "*"}, BOTH),
    (lambda: START.to_all_but("*"), {"NotPrincipal": "*"}, "ALLOW_WITH_NOT_PRINCIPAL"),
    (lambda: START.to(service="*"), {"Principal": {"Service": "*"}}, "UNSUPPORTED_WILDCARD_IN_PRINCIPAL"),
    (lambda: START.to(service=5), {"Principal": {"Service": 5}}, "DATA_TYPE_MISMATCH"),  # type: ignore[arg-type]
    (lambda: START.sid(5), {"Sid": 5}, "DATA_TYPE_MISMATCH"),  # type: ignore[arg-type]
    (lambda: START.sid("\ud800"), {"Sid": "\ud800"}, "JSON_SYNTAX_ERROR"),
    (lambda: START.when("bool", {"a:x": True}), condition("bool"), NO_OPERATOR),  # type: ignore[arg-type]
    (lambda: START.when("Like", {"a:x": True}), condition("Like"), NO_OPERATOR),  # type: ignore[arg-type]
    (
        lambda: START.when("Bool", {"a:x": True}, set_operator="For"),  # type: ignore[arg-type]
        condition("For:Bool"),
        NO_OPERATOR,
    ),
    (lambda: START.when("Null", {"a:x": True}, if_exists=True), condition("NullIfExists"), "NULL_WITH_IF_EXISTS"),
    (lambda: START.when("Bool", {"x:": True}), condition("Bool", "x:"), "INVALID_CONDITION_KEY_FORMAT"),
    (lambda: START.when("Bool", {7: True}), condition("Bool", 7), "DATA_TYPE_MISMATCH"),  # type: ignore[dict-item]
    (
        lambda: START.when("Bool", {"a:x": True}).when("Bool", {"A:x": True}),
        {"Condition": {"Bool": {"a:x": "true", "A:x": "true"}}},
        "DUPLICATE_KEYS_WITH_DIFFERENT_CASE",
    ),
]


@table(("step", "elements", "finding"), REFUSED)
def test_builder_step_refuses_what_the_grammar_refuses(
    step: Callable[[], PolicyStatement], elements: dict[str, Any], finding: str
) -> None:
    """The same error that `parse` raises for the same JSON: message, place, code and AWS's sentence."""
    statement = {"Effect": "Allow", "Action": "a:b"} | elements
    with pytest.raises(PolicyError) as expected:
        parse({"Version": LATEST, "Statement": [statement]}, RESOURCE)
    with pytest.raises(PolicyError) as refused:
        step()
    assert vars(refused.value) == vars(expected.value)
    assert refused.value.finding == finding


@table(
    ("step", "finding", "sentence"),
    [
        (lambda: allow(), "EMPTY_ARRAY_ACTION", "Policy statement must contain actions."),
        (lambda: deny_all_but(), "EMPTY_ARRAY_ACTION", "Policy statement must contain actions."),
        (lambda: START.on(), "EMPTY_ARRAY_RESOURCE", "Policy statement must contain resources."),
        (lambda: START.on_all_but(), "EMPTY_ARRAY_RESOURCE", "Policy statement must contain resources."),
        (lambda: START.to(), "EMPTY_OBJECT_PRINCIPAL", None),
        (lambda: deny("a:b").to_all_but(service=[]), "EMPTY_OBJECT_PRINCIPAL", None),
        (lambda: START.when("Bool", {}), "EMPTY_OBJECT_CONDITION", None),
        (lambda: START.when("Bool", "a:x"), "EMPTY_OBJECT_CONDITION", None),  # type: ignore[arg-type]
        (lambda: START.when("Bool", {"a:x": True}).when("Bool", {"a:x": False}), "JSON_SYNTAX_ERROR", None),  # G-10
        (lambda: START.when("NumericEquals", {"a:x": "one"}), "TYPE_MISMATCH_NUMBER", None),
        (lambda: START.when("NumericEquals", {"a:x": float("nan")}), "DATA_TYPE_MISMATCH", None),
        (lambda: START.when("NumericEquals", {"a:x": float("inf")}), "DATA_TYPE_MISMATCH", None),
        (lambda: START.when("Bool", {"x": True}), "INVALID_CONDITION_KEY_FORMAT", VENDOR_NEEDED),
        (lambda: START.when("DateEquals", {"a:x": "soon"}), "TYPE_MISMATCH_DATE", "The policy failed legacy parsing"),
        (lambda: START.when("IpAddress", {"a:x": "10.0.0.0/33"}), "TYPE_MISMATCH_IP_RANGE", None),
        (lambda: START.when("ArnLike", {"a:x": "*"}), "TYPE_MISMATCH", None),
        (lambda: policy(), "MISSING_STATEMENT", None),
    ],
)
def test_builder_step_refuses_empty_or_invalid_values(
    step: Callable[[], object], finding: str, sentence: str | None
) -> None:
    """G-8, G-27, N-10: an empty list never widens or voids a statement silently."""
    with pytest.raises(PolicyError) as refused:
        step()
    assert refused.value.finding == finding
    assert refused.value.sentence == (sentence or "Syntax errors in policy.")


@table(
    ("built", "type", "finding", "place"),
    [
        (START, IDENTITY, "MISSING_RESOURCE", "/Statement/1"),
        (START.on("*").to("*"), IDENTITY, "UNSUPPORTED_PRINCIPAL", "/Statement/1/Principal"),
        (START.on("*").to("*"), SCP, "SCP_SYNTAX_ERROR_PRINCIPAL", "/Statement/1/Principal"),
        (START.on("*").to("*"), TRUST, "ROLE_TRUST_POLICY_SYNTAX_ERROR_RESOURCE", "/Statement/1/Resource"),
        (START.on("arn:aws:sqs"), RESOURCE, "MISSING_ARN_FIELD", "/Statement/1/Resource"),
    ],
)
def test_document_refuses_what_its_type_refuses(
    built: PolicyStatement, type: PolicyType, finding: str, place: str
) -> None:
    """A.3, G-30, G-32, G-64: with the place of the statement in the document."""
    good = {TRUST: START.to("*"), RESOURCE: START.to("*")}.get(type, START.on("*"))
    policy(good, type=type)
    with pytest.raises(PolicyError) as refused:
        policy(good, built, type=type)
    assert refused.value.finding == finding
    assert refused.value.place == place


def test_unknown_version_is_refused() -> None:
    """G-3."""
    with pytest.raises(PolicyError) as refused:
        policy(START.on("*"), version="2020-01-01")  # type: ignore[arg-type]
    assert refused.value.finding == "INVALID_VERSION"


# --- values ------------------------------------------------------------------------------------------------------


def test_builder_step_does_not_change_its_statement() -> None:
    """Statements are values: several can start from the same one."""
    start = allow("docs:Get*")
    one, two = start.on("document/1"), start.on("document/2").when("Bool", {"aws:SecureTransport": True})
    assert start == allow("docs:Get*")
    assert one.content.resources == ("arn:aws:docs:*:*:document/1",)
    assert two.content.resources == ("arn:aws:docs:*:*:document/2",)
    assert one.content.conditions == ()
    assert len({start, one, two, start.on("document/1")}) == 3
    with pytest.raises(FrozenInstanceError):
        one.content = two.content  # type: ignore[misc]


def test_document_cannot_be_changed() -> None:
    """It returns copies, as a whole and member by member."""
    document = policy(START.on("*"))
    before = document.to_json()
    document.to_dict()["Statement"].clear()
    document["Statement"][0]["Action"] = "*"
    assert document.to_json() == before
    assert document == json.loads(before)
    assert document != policy(deny("a:b").on("*"))
    assert len(document) == 2
    with pytest.raises(KeyError):
        document["Id"]


# --- from text and back ------------------------------------------------------------------------------------------


def content(document: Document) -> Document:
    """Remove what belongs to the text and not to the policy."""
    statements = tuple(replace(statement, position=None) for statement in document.statements)
    return replace(document, statements=statements, text="", digest="")


def rebuilt(document: Document) -> PolicyDocument:
    """Build a document again with the builder's methods."""
    statements = [rebuilt_statement(statement) for statement in document.statements]
    return policy(*statements, type=document.type, version=document.written_version, id=document.id)  # type: ignore[arg-type]


def rebuilt_statement(statement: Statement) -> PolicyStatement:
    starts = {Effect.ALLOW: (allow, allow_all_but), Effect.DENY: (deny, deny_all_but)}[statement.effect]
    built = starts[statement.actions is None](*(statement.actions or statement.not_actions or ()))
    for resources, on in ((statement.resources, "on"), (statement.not_resources, "on_all_but")):
        if resources is not None:
            built = getattr(built, on)(*resources)
    for entries, to in ((statement.principals, "to"), (statement.not_principals, "to_all_but")):
        built = getattr(built, to)() if entries == () else built
        for kind, value in entries or ():
            built = getattr(built, to)(value) if kind == "AWS" else getattr(built, to)(service=value)
    for test in statement.conditions:
        name = split_operator(test.operator)
        tests = {test.key: list(test.values)}
        built = built.when(name.base, tests, if_exists=name.if_exists, set_operator=name.prefix)  # type: ignore[arg-type]
    return built if statement.sid is None else built.sid(statement.sid)


@pytest.mark.parametrize("type", PolicyType)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(data=st.data())
def test_parsed_document_survives_the_builder(type: PolicyType, data: st.DataObject) -> None:
    """A law: from text to the builder's form, to statements, to a new document, to text: the same policy."""
    document = parse(data.draw(documents(type)), type)
    read = PolicyDocument(document)
    assert content(parse(read, type)) == content(document)
    assert content(parse(read.to_json(), type)) == content(document)
    if document.statements:
        version: Any = document.written_version
        assert policy(*read.statements, type=type, version=version, id=document.id) == read


REFUSED_AT_THE_STEP = {
    *("EMPTY_ARRAY_ACTION", "EMPTY_ARRAY_RESOURCE", "EMPTY_ARRAY_PRINCIPAL", "EMPTY_OBJECT_PRINCIPAL"),
    *("TYPE_MISMATCH", "TYPE_MISMATCH_DATE", "TYPE_MISMATCH_NUMBER", "TYPE_MISMATCH_IP_RANGE", "MISSING_STATEMENT"),
}


@pytest.mark.parametrize("type", PolicyType)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(data=st.data())
def test_every_parsed_document_can_be_built(type: PolicyType, data: st.DataObject) -> None:
    """A law: every document that `parse` accepts can be built, unless a step refuses it as meaningless."""
    document = parse(data.draw(documents(type)), type)
    if REFUSED_AT_THE_STEP & {finding.code for finding in check(document)}:
        with suppress(PolicyError):
            assert content(rebuilt(document).document) == content(document)
    else:
        assert content(rebuilt(document).document) == content(document)


# --- where documents go ------------------------------------------------------------------------------------------

PLAN = "arn:aws:docs:us-east-1:111122223333:document/plan"


def test_built_policy_is_accepted_for_every_policy_type() -> None:
    """It can be passed as a dict for each policy type."""
    reader = policy(allow("docs:Get*").on("document/*"))
    request = AccessRequest(ANN, "docs:GetDocument", PLAN)
    assert compile_policies(identity=[reader]).decide(request).allowed
    nothing = policy(deny("*").on("*"), type=BOUNDARY)
    assert not compile_policies(identity=[reader], permissions_boundary=nothing).decide(request).allowed
    shared = policy(allow("docs:Get*").to(ANN.arn).on(PLAN), type=RESOURCE)
    assert compile_policies(resource=shared).decide(request).allowed
    assert not compile_policies(resource=policy(START.to("*"), type=RESOURCE)).decide(request).allowed


def test_built_policy_passes_the_checks_of_a_write() -> None:
    """A write accepts it as text, and refuses what only a write refuses."""
    document = policy(allow("docs:Get*").on("document/*"))
    written = validate_for_write(document, IDENTITY, managed=True)
    assert written == document.document
    assert json.loads(written.text) == document
    with pytest.raises(PolicyError) as refused:
        validate_for_write(policy(START.on("*").sid("a b")), IDENTITY)
    assert refused.value.place == "/Statement/0/Sid"


@example(name="*", other="a")
@example(name="${aws:username}", other="ann")
@given(name=st.text("ab*?${}/", max_size=6), other=st.text("ab*?${}/", max_size=6))
def test_literal_text_matches_only_itself(name: str, other: str) -> None:
    """V-14: a name from input never becomes a pattern or a variable."""
    authorizer = compile_policies(identity=[policy(allow("docs:*").on("document/x" + literal(name)))])
    for requested in (name, other):
        request = AccessRequest(ANN, "docs:GetDocument", PLAN.replace("plan", "x") + requested)
        assert authorizer.decide(request).allowed == (requested == name)
