from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iam_guard.errors import PolicyError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import ConditionTest, Effect, Position
from iam_guard.policy.parser import parse
from tests.policy.strategies import documents, json_values
from tests.tables import table

IDENTITY, BOUNDARY, SESSION = PolicyType.IDENTITY, PolicyType.BOUNDARY, PolicyType.SESSION
RESOURCE, TRUST, VPC = PolicyType.RESOURCE, PolicyType.TRUST, PolicyType.VPC_ENDPOINT
SCP, RCP = PolicyType.SCP, PolicyType.RCP
BUCKET = "arn:aws:s3:::bucket"


def statement(**elements: Any) -> dict[str, Any]:
    """Return a statement of an identity-based policy; None removes an element."""
    whole = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"} | elements
    return {name: value for name, value in whole.items() if value is not None}


def policy(**elements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [statement(**elements)]}


def condition(operator: str, key: str = "aws:username", value: Any = "x") -> dict[str, Any]:
    return policy(Condition={operator: {key: value}})


def trust(**elements: Any) -> dict[str, Any]:
    return policy(**({"Principal": "*", "Action": "sts:AssumeRole", "Resource": None} | elements))


REFUSED = [
    # rule, type, document, pointer, code
    ("G-1", IDENTITY, [], "", "DATA_TYPE_MISMATCH"),
    ("G-1", IDENTITY, "text", "", "DATA_TYPE_MISMATCH"),
    ("G-1", IDENTITY, None, "", "DATA_TYPE_MISMATCH"),
    ("G-1", IDENTITY, policy() | {"Name": "x"}, "/Name", "INVALID_POLICY_ELEMENT"),
    ("G-2", IDENTITY, policy() | {"version": "2012-10-17"}, "/version", "INVALID_POLICY_ELEMENT"),
    ("G-3", IDENTITY, policy() | {"Version": "2012-10-18"}, "/Version", "INVALID_VERSION"),
    ("G-3", IDENTITY, policy() | {"Version": ""}, "/Version", "INVALID_VERSION"),
    ("G-16", IDENTITY, policy() | {"Version": 2012}, "/Version", "DATA_TYPE_MISMATCH"),
    ("G-17", IDENTITY, policy() | {"Version": None}, "/Version", "DATA_TYPE_MISMATCH"),
    ("G-16", RESOURCE, policy() | {"Id": 5}, "/Id", "DATA_TYPE_MISMATCH"),
    ("G-7", IDENTITY, {}, "", "MISSING_STATEMENT"),
    ("G-7", IDENTITY, {"Version": "2012-10-17"}, "", "MISSING_STATEMENT"),
    ("G-17", IDENTITY, {"Statement": None}, "/Statement", "DATA_TYPE_MISMATCH"),
    ("G-16", IDENTITY, {"Statement": "x"}, "/Statement", "DATA_TYPE_MISMATCH"),
    ("G-16", IDENTITY, {"Statement": [[]]}, "/Statement/0", "DATA_TYPE_MISMATCH"),
    ("G-20", IDENTITY, policy(Actions="s3:*"), "/Statement/0/Actions", "INVALID_POLICY_ELEMENT"),
    ("G-2", IDENTITY, policy(effect="Allow"), "/Statement/0/effect", "INVALID_POLICY_ELEMENT"),
    ("G-16", IDENTITY, policy(Sid=1), "/Statement/0/Sid", "DATA_TYPE_MISMATCH"),
    ("G-21", IDENTITY, policy(Effect=None), "/Statement/0", "MISSING_EFFECT"),
    ("G-21", IDENTITY, policy(Effect="Maybe"), "/Statement/0/Effect", "INVALID_EFFECT"),
    ("G-21", IDENTITY, policy(Effect="allow"), "/Statement/0/Effect", "INVALID_EFFECT"),
    ("G-21", IDENTITY, policy(Effect=""), "/Statement/0/Effect", "INVALID_EFFECT"),
    ("G-16", IDENTITY, policy(Effect=["Allow"]), "/Statement/0/Effect", "DATA_TYPE_MISMATCH"),
    ("G-22", IDENTITY, policy(Action=None), "/Statement/0", "MISSING_ACTION"),
    ("G-22", IDENTITY, policy(NotAction="s3:*"), "/Statement/0/NotAction", "UNSUPPORTED_ELEMENT_COMBINATION"),
    ("G-16", IDENTITY, policy(Action=1), "/Statement/0/Action", "DATA_TYPE_MISMATCH"),
    ("G-16", IDENTITY, policy(Action={}), "/Statement/0/Action", "DATA_TYPE_MISMATCH"),
    ("G-16", IDENTITY, policy(Action=["s3:*", ["s3:*"]]), "/Statement/0/Action/1", "DATA_TYPE_MISMATCH"),
    ("G-17", IDENTITY, policy(Resource=["*", None]), "/Statement/0/Resource/1", "DATA_TYPE_MISMATCH"),
    ("G-23", IDENTITY, policy(NotResource="*"), "/Statement/0/NotResource", "UNSUPPORTED_ELEMENT_COMBINATION"),
    (
        *("G-23", RESOURCE, policy(Effect="Deny", Principal="*", NotPrincipal="*")),
        *("/Statement/0/NotPrincipal", "UNSUPPORTED_ELEMENT_COMBINATION"),
    ),
    *[
        (number, type, policy(Resource=None, **more), "/Statement/0", "MISSING_RESOURCE")
        for number, type, more in [
            *(("A.3", IDENTITY, {}), ("A.3", BOUNDARY, {}), ("A.3", SESSION, {}), ("A.3", SCP, {})),
            *(("A.3", RCP, {"Principal": "*"}), ("A.3", VPC, {"Principal": "*"})),
        ]
    ],
    *[
        ("G-30", type, policy(Principal="*"), "/Statement/0/Principal", code)
        for type, code in [
            *((IDENTITY, "UNSUPPORTED_PRINCIPAL"), (BOUNDARY, "UNSUPPORTED_PRINCIPAL")),
            *((SESSION, "UNSUPPORTED_PRINCIPAL"), (SCP, "SCP_SYNTAX_ERROR_PRINCIPAL")),
        ]
    ],
    (
        *("G-30", IDENTITY, policy(Effect="Deny", NotPrincipal={"AWS": []})),
        *("/Statement/0/NotPrincipal", "UNSUPPORTED_PRINCIPAL"),
    ),
    *[
        (*("G-32", TRUST, trust(**{name: "*"}), f"/Statement/0/{name}"), "ROLE_TRUST_POLICY_SYNTAX_ERROR_RESOURCE")
        for name in ("Resource", "NotResource")
    ],
    (
        *("G-32", TRUST, trust(Effect="Deny", Principal=None, NotPrincipal="*"), "/Statement/0/NotPrincipal"),
        "ROLE_TRUST_POLICY_SYNTAX_ERROR_NOTPRINCIPAL",
    ),
    ("G-34", RESOURCE, policy(NotPrincipal="*"), "/Statement/0/NotPrincipal", "ALLOW_WITH_NOT_PRINCIPAL"),
    ("G-34", VPC, policy(NotPrincipal={"AWS": "*"}), "/Statement/0/NotPrincipal", "ALLOW_WITH_NOT_PRINCIPAL"),
    ("G-34", RCP, policy(NotPrincipal={}), "/Statement/0/NotPrincipal", "ALLOW_WITH_NOT_PRINCIPAL"),
    ("G-40", RESOURCE, policy(Principal="111122223333"), "/Statement/0/Principal", "INVALID_PRINCIPAL_FORMAT"),
    ("G-40", RESOURCE, policy(Principal={"aws": "*"}), "/Statement/0/Principal/aws", "INVALID_PRINCIPAL_KEY"),
    ("G-40", RESOURCE, policy(Principal={"*": "*"}), "/Statement/0/Principal/*", "INVALID_PRINCIPAL_KEY"),
    ("G-16", RESOURCE, policy(Principal=["*"]), "/Statement/0/Principal", "DATA_TYPE_MISMATCH"),
    ("G-16", RESOURCE, policy(Principal={"AWS": 111122223333}), "/Statement/0/Principal/AWS", "DATA_TYPE_MISMATCH"),
    *[
        (
            *("G-46", RESOURCE, policy(Principal={kind: value}), f"/Statement/0/Principal/{kind}"),
            "UNSUPPORTED_WILDCARD_IN_PRINCIPAL",
        )
        for kind, value in [("Service", "*"), ("Service", "s?.amazonaws.com"), ("Federated", "*.google.com")]
    ],
    (
        *("G-46", RESOURCE, policy(Effect="Deny", NotPrincipal={"Service": ["a.b", "*"]})),
        *("/Statement/0/NotPrincipal/Service/1", "UNSUPPORTED_WILDCARD_IN_PRINCIPAL"),
    ),
    *[
        (number, IDENTITY, policy(Action=["s3:Get", action]), "/Statement/0/Action/1", "INVALID_ACTION")
        for number, action in [
            *(("G-62", "GetObject"), ("G-62", ""), ("G-62", "**"), ("G-60", "s3:Get:Object"), ("G-60", ":Get")),
            *(("G-61", "*:*"), ("G-61", "s*:Get"), ("G-61", "s?:Get"), ("G-61", "*:Get"), ("G-60", "s 3:Get")),
            *(("G-60", "${x}:Get"), ("G-62", "3s"), ("G-60", "s3_x:Get"), ("G-60", "s\u00b3:Get")),
        ]
    ],
    ("G-61", IDENTITY, policy(Action=None, NotAction="*:*"), "/Statement/0/NotAction", "INVALID_ACTION"),
    *[
        ("G-63", IDENTITY, policy(Resource=["*", resource]), "/Statement/0/Resource/1", "INVALID_ARN_PREFIX")
        for resource in ["bucket", "", "**", "arn", "arn*", "?", "ARN:aws:s3:::b", "x:aws:s3:::b", "${aws:username}"]
    ],
    ("G-63", IDENTITY, policy(Resource="b*:aws:s3:::b"), "/Statement/0/Resource", "INVALID_ARN_PREFIX"),
    *[
        ("G-64", type, policy(Resource="arn:aws:sqs", **more), "/Statement/0/Resource", "MISSING_ARN_FIELD")
        for type, more in [
            *((SESSION, {}), (SCP, {}), (RESOURCE, {"Principal": "*"}), (RCP, {"Principal": "*", "Effect": "Deny"})),
            (VPC, {"Principal": "*"}),
        ]
    ],
    *[
        ("G-65", type, policy(NotResource=[arn], Resource=None), "/Statement/0/NotResource/0", "INVALID_SERVICE")
        for type, arn in [(IDENTITY, "arn:aws:*:::b"), (IDENTITY, "arn:aws:s?"), (SCP, "arn:aws:s*:::b")]
    ],
    ("G-16", IDENTITY, policy(Condition="x"), "/Statement/0/Condition", "DATA_TYPE_MISMATCH"),
    ("G-17", IDENTITY, policy(Condition=[]), "/Statement/0/Condition", "DATA_TYPE_MISMATCH"),
    ("G-66", IDENTITY, condition("stringEquals"), "/Statement/0/Condition/stringEquals", "INVALID_CONDITION_OPERATOR"),
    ("C-30", IDENTITY, condition("NullIfExists"), "/Statement/0/Condition/NullIfExists", "NULL_WITH_IF_EXISTS"),
    (
        *("G-16", IDENTITY, policy(Condition={"Bool": []})),
        *("/Statement/0/Condition/Bool", "DATA_TYPE_MISMATCH"),
    ),
    *[
        (
            *("G-67", IDENTITY, condition("StringEquals", key)),
            *(f"/Statement/0/Condition/StringEquals/{key.replace('/', '~1')}", "INVALID_CONDITION_KEY_FORMAT"),
        )
        for key in ["", "aws:", ":username", "a b:c", "aws: x", "a b"]
    ],
    *[
        (
            *("G-17", IDENTITY, condition("StringEquals", value=value)),
            *("/Statement/0/Condition/StringEquals/aws:username" + place, "DATA_TYPE_MISMATCH"),
        )
        for value, place in [(None, ""), (["x", None], "/1"), ([["x"]], "/0"), ({}, "")]
    ],
    (
        *("G-11", IDENTITY, policy(Condition={"Bool": {"aws:Tag/X": "true", "AWS:tag/x": "true"}})),
        *("/Statement/0/Condition/Bool/AWS:tag~1x", "DUPLICATE_KEYS_WITH_DIFFERENT_CASE"),
    ),
]


@table(("number", "type", "document", "place", "code"), REFUSED)
def test_parse_refuses_the_document(number: str, type: PolicyType, document: Any, place: str, code: str) -> None:
    """N-9: with the JSON pointer, and line and column if the source is text."""
    with pytest.raises(PolicyError) as refused:
        parse(json.dumps(document, indent=1), type)
    assert (refused.value.place, refused.value.finding) == (place, code), number
    assert refused.value.line is not None
    assert refused.value.column is not None
    assert refused.value.message[0] not in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert "\n" not in refused.value.message
    if isinstance(document, dict):
        with pytest.raises(PolicyError) as again:
            parse(document, type)
        assert (again.value.message, again.value.place) == (refused.value.message, place)
        assert (again.value.line, again.value.column) == (None, None)


ACCEPTED = [
    ("G-4", IDENTITY, {"Statement": [statement()]}),
    ("G-6", IDENTITY, policy() | {"Id": "x"}),
    ("G-7", IDENTITY, {"Statement": statement()}),
    ("G-8", IDENTITY, {"Statement": []}),
    ("G-25", IDENTITY, {"Statement": [statement(Sid="A"), statement(Sid="A")]}),
    ("G-24", IDENTITY, policy(Sid="not plain!")),
    ("G-26", IDENTITY, policy(Sid="")),
    ("G-27", IDENTITY, policy(Action=[], Resource=[], Condition={})),
    ("G-27", RESOURCE, policy(Principal={})),
    ("G-27", IDENTITY, policy(Condition={"StringEquals": {}})),
    ("G-31", RESOURCE, policy()),
    ("G-31", TRUST, trust(Principal=None)),
    ("G-31", VPC, policy()),
    ("G-33", TRUST, trust()),
    ("G-34", RESOURCE, policy(Effect="Deny", NotPrincipal={"AWS": "111122223333"})),
    ("G-36", SCP, {"Statement": [statement()]}),
    ("G-35", SCP, policy(Action=None, NotAction="s3:*g", Condition={"Bool": {"aws:SecureTransport": True}})),
    ("G-37", RCP, policy(Principal="*")),
    ("G-37", RCP, policy(Effect="Deny", Principal={"AWS": "111122223333"}, Action="*")),
    ("G-37", RCP, policy(Effect="Deny", Action=None, NotAction="s3:*")),
    ("G-43", RESOURCE, policy(Principal={"AWS": "arn:aws:iam::111122223333:group/devs"})),
    ("G-44", RESOURCE, policy(Principal={"AWS": "arn:aws:iam::111122223333:role/*"})),
    ("G-48", RESOURCE, policy(Principal={"Federated": "accounts.google.com"})),
    ("G-49", RESOURCE, policy(Principal={"CanonicalUser": "a" * 64})),
    ("M-26", RESOURCE, policy(Principal="*", Resource=None)),
    ("G-60", IDENTITY, policy(Action=["*", "s3:*", "s3:Get?b*", "a-b.c:X", "S3:get", "s3:"])),
    ("G-64", IDENTITY, policy(Resource=["arn:aws:sqs", "arn:aws", "arn:aws:ec2:*:instance/*", "arn:aws:s3::"])),
    ("G-64", BOUNDARY, policy(Resource="arn:aws:sqs")),
    ("G-65", IDENTITY, policy(Resource=["arn:*:ds:*:*:*/*", "arn:aws:iam:us-east-1:*:x/*", "*:aws:s3:::b"])),
    ("G-65", IDENTITY, policy(Resource=["a?n:aws:s3:::b", "*:aws", "a*:aws:s3:::b", "arn:nowhere:s3:::b", "***:aws"])),
    ("V-4", IDENTITY, policy(Resource="arn:aws:s3:${aws:RequestedRegion}::b")),
    ("V-15", IDENTITY, policy(Resource="arn:aws:s3:::${b")),
    *[
        ("G-67", IDENTITY, condition("StringEquals", key))
        for key in [
            *("aws:PrincipalTag/cost center", "aws:RequestTag/a:b", "www.amazon.com:app_id", "docs:Owner"),
            *("oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE:sub", "kms:EncryptionContext:aws:s3:arn", "aws:ünbekannt"),
        ]
    ],
    ("G-68", IDENTITY, condition("StringEquals", "aws:NoSuchKey")),
    ("C-42", IDENTITY, condition("ForAllValues:StringEquals", value=[])),
    ("C-13", IDENTITY, condition("NumericEquals", value="not a number")),
    ("C-34", IDENTITY, condition("ForAllValues:Null", value=True)),
    ("G-11", IDENTITY, policy(Condition={"Bool": {"aws:x": "true"}, "BoolIfExists": {"AWS:X": "true"}})),
    ("V-2", IDENTITY, policy(Sid="${aws:username}", Action="s3:${aws}")),
]


@table(("number", "type", "document"), ACCEPTED)
def test_parse_accepts_the_document(number: str, type: PolicyType, document: dict[str, Any]) -> None:
    """N-9: documents that can be evaluated are accepted, even if a write or a check refuses them."""
    written = document["Statement"]
    expected = len(written) if isinstance(written, list) else 1
    assert len(parse(json.dumps(document), type).statements) == len(parse(document, type).statements) == expected, (
        number
    )


def test_document_has_every_element_of_the_source() -> None:
    """Every element of a statement, in tuples, in order (G-14, G-15, G-41, G-45)."""
    text = """{
  "Version": "2012-10-17",
  "Id": "ours",
  "Statement": [
    {"Sid": "One", "Effect": "Deny",
     "NotPrincipal": {"AWS": ["111122223333", "*"], "Service": "events.amazonaws.com"},
     "NotAction": ["s3:Get*"],
     "Condition": {
       "NumericLessThan": {"s3:max-keys": 1.50},
       "Bool": {"aws:SecureTransport": true, "aws:ViaAWSService": ["false", false]}
     }},
    {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::b/*"}
  ]
}"""
    document = parse(text, RESOURCE)
    deny, allow = document.statements
    assert (document.version, document.written_version, document.id) == ("2012-10-17", "2012-10-17", "ours")
    assert (document.text, document.type) == (text, RESOURCE)
    assert (deny.index, deny.effect, deny.sid) == (0, Effect.DENY, "One")
    assert deny.not_principals == (("AWS", "111122223333"), ("AWS", "*"), ("Service", "events.amazonaws.com"))
    assert (deny.principals, deny.actions, deny.resources, deny.not_resources) == (None, None, None, None)
    assert deny.not_actions == ("s3:Get*",)
    assert deny.position == Position(5, 4, text.index('{"Sid"'))
    assert deny.conditions == (
        ConditionTest("NumericLessThan", "s3:max-keys", ("1.50",)),
        ConditionTest("Bool", "aws:SecureTransport", ("true",)),
        ConditionTest("Bool", "aws:ViaAWSService", ("false", "false")),
    )
    assert (allow.index, allow.sid, allow.principals) == (1, None, (("AWS", "*"),))
    assert (allow.actions, allow.resources) == (("s3:PutObject",), ("arn:aws:s3:::b/*",))


def test_document_without_version_has_the_old_version() -> None:
    """G-4."""
    document = parse({"Statement": []})
    assert (document.version, document.written_version) == ("2008-10-17", None)


def test_mapping_has_no_positions() -> None:
    """Its text is canonical JSON; its numbers have Python's notation (G-15)."""
    document = parse(condition("NumericEquals", value=[10, 1.5, True, "x"]))
    assert document.statements[0].position is None
    assert document.statements[0].conditions == (
        ConditionTest("NumericEquals", "aws:username", ("10", "1.5", "true", "x")),
    )
    assert document.text == json.dumps(json.loads(document.text), sort_keys=True, separators=(",", ":"))


def test_digest_depends_on_content_only() -> None:
    """Layout, order of keys and escapes do not count (G-9); the notation of a number does."""
    one = parse('{"Version":"2012-10-17","Statement":[]}')
    assert one.digest == parse('{ "Statement" : [ ],\n"Version":"2012-10\\u002d17" }').digest
    assert one.digest == parse({"Version": "2012-10-17", "Statement": []}).digest
    assert one.digest == parse(b'{"Version":"2012-10-17","Statement":[]}').digest
    assert one.digest == sha256(b'{"Statement":[],"Version":"2012-10-17"}').hexdigest()
    spelled = [json.dumps(condition("StringEquals", value="X")).replace('"X"', number) for number in ("1.5", "1.50")]
    assert parse(spelled[0]).digest != parse(spelled[1]).digest


def test_pointer_into_a_single_statement_has_no_index() -> None:
    """G-7: the pointer is the place in the text."""
    with pytest.raises(PolicyError) as refused:
        parse('{"Statement": {\n"Effect": "Allow", "Action": "x", "Resource": "*"}}')
    assert (refused.value.place, refused.value.line, refused.value.column) == ("/Statement/Action", 2, 29)
    assert str(refused.value).endswith("(at /Statement/Action, line 2)")


@table(
    ("document", "sentence"),
    [
        (policy(Effect="allow"), "The policy failed legacy parsing"),
        (policy(Effect="Maybe"), "Syntax errors in policy."),
        (policy(Action=None), "Policy statement must contain actions."),
        (policy(Resource=None), "Policy statement must contain resources."),
        (policy(Action="GetObject"), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
        (policy(Action="s3:Get:x"), "Actions/Condition can contain only one colon."),
        (policy(Action="*:*"), "Action vendors (e.g., aws, ec2, etc.) must not contain wildcards."),
        (policy(Resource="bucket"), 'Resource bucket must be in ARN format or "*".'),
        (policy(Resource="arn:aws:*:::b"), "Resource vendor must be fully qualified and cannot contain regexes."),
        (policy(Principal="*"), "Policy document should not specify a principal."),
        (policy(Action="GetObject", Resource="bucket"), 'Resource bucket must be in ARN format or "*".'),
        (policy(Action="GetObject", Resource=None), "Policy statement must contain resources."),
    ],
)
def test_refusal_has_the_sentence_of_aws(document: dict[str, Any], sentence: str) -> None:
    """G-19: the sentence, and AWS's order of checks."""
    with pytest.raises(PolicyError) as refused:
        parse(document)
    assert refused.value.sentence.startswith(sentence)


@pytest.mark.parametrize("type", PolicyType)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(data=st.data())
def test_text_and_mapping_are_the_same_policy(type: PolicyType, data: st.DataObject) -> None:
    """Every generated document is accepted, with the same result from both."""
    drawn = data.draw(documents(type))
    from_text, from_mapping = parse(json.dumps(drawn), type), parse(drawn, type)
    assert from_text.digest == from_mapping.digest
    assert [(each.actions, each.resources, each.principals) for each in from_text.statements] == [
        (each.actions, each.resources, each.principals) for each in from_mapping.statements
    ]


@given(json_values(), st.sampled_from(PolicyType))
def test_any_json_is_parsed_or_refused(value: Any, type: PolicyType) -> None:
    """No text raises another error than `PolicyError`."""
    for source in (value, {"Statement": value}, {"Statement": [value]}, policy(Action=value), policy(Condition=value)):
        try:
            parse(json.dumps(source), type)
        except PolicyError as refused:
            assert refused.place is not None  # noqa: PT017


@given(st.text(max_size=60))
def test_any_string_in_any_element_is_parsed_or_refused(text: str) -> None:
    """No string raises another error than `PolicyError`."""
    for source in (policy(Action=text), policy(Resource=text), policy(Sid=text), condition("ArnLike", text, text)):
        for given_as in (source, json.dumps(source)):
            try:
                parse(given_as)
            except PolicyError as refused:
                assert refused.finding  # noqa: PT017


@table("resource", ["*" * 100_000, "a*" * 50_000 + ":", "arn:" + "*:" * 50_000, "?" * 100_000 + ":"])
def test_hostile_resources_are_checked_in_linear_time(resource: str) -> None:
    """No regular expression takes time that grows with the square of a string."""
    with pytest.raises(PolicyError):
        parse(policy(Resource=resource))
