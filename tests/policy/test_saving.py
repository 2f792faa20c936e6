from __future__ import annotations

import json
from typing import Any

import pytest

from iam_guard.errors import LimitExceeded, PolicyError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.parser import parse
from iam_guard.policy.quota import RAW_LIMIT
from iam_guard.policy.saving import validate_for_write
from tests.tables import table

IDENTITY, RESOURCE, TRUST = PolicyType.IDENTITY, PolicyType.RESOURCE, PolicyType.TRUST
SCP, RCP = PolicyType.SCP, PolicyType.RCP
SYNTAX, LEGACY = "Syntax errors in policy.", "The policy failed legacy parsing"
SIDS = "Statement IDs (SID) in a single policy must be unique."
VENDOR = "Resource vendor must be fully qualified and cannot contain regexes."


def statement(**elements: Any) -> dict[str, Any]:
    whole = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"} | elements
    return {name: value for name, value in whole.items() if value is not None}


def policy(*statements: dict[str, Any], **elements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements) or [statement(**elements)]}


def trust(**elements: Any) -> dict[str, Any]:
    return policy(**({"Resource": None, "Action": "sts:AssumeRole"} | elements))


def rcp() -> dict[str, Any]:
    return policy(Effect="Deny", Principal="*", Action="s3:*")


def when(operator: str, value: Any) -> dict[str, Any]:
    return policy(Condition={operator: {"aws:x": value}})


WRITES = [
    # rule, type, document, sentence, place
    ("G-8", IDENTITY, {"Version": "2012-10-17", "Statement": []}, SYNTAX, "/Statement"),
    ("G-12", IDENTITY, policy(Resource="arn:aws:s3:::\u0100"), SYNTAX, "/Statement/0/Resource"),
    ("G-36", SCP, {"Statement": [statement()]}, SYNTAX, ""),
    ("G-19", IDENTITY, when("DateEquals", "tomorrow"), LEGACY, "/Statement/0/Condition/DateEquals/aws:x"),
    ("G-19", IDENTITY, policy(Resource="arn:aws:s3::b"), LEGACY, "/Statement/0/Resource"),
    ("G-24", IDENTITY, policy(Sid="a b"), "Statement IDs (SID) must be alpha-numeric.", "/Statement/0/Sid"),
    ("G-25", IDENTITY, policy(statement(Sid="A"), statement(Sid="A")), SIDS, "/Statement/1/Sid"),
    ("G-27", IDENTITY, policy(Action=[]), "Policy statement must contain actions.", "/Statement/0/Action"),
    ("G-27", IDENTITY, policy(Resource=[]), "Policy statement must contain resources.", "/Statement/0/Resource"),
    ("G-65", IDENTITY, policy(Resource="a*:aws:s3:::b"), VENDOR, "/Statement/0/Resource"),
    ("G-65", IDENTITY, policy(Resource="arn:aws"), VENDOR, "/Statement/0/Resource"),
    ("G-19", IDENTITY, policy(Resource="arn:aws::::b"), LEGACY, "/Statement/0/Resource"),
    (
        *("G-19", IDENTITY, policy(Resource="arn:p:s3:::b")),
        *('Partition "p" is not valid for resource "arn:p:s3:::b".', "/Statement/0/Resource"),
    ),
    (
        *("G-19", IDENTITY, policy(Resource="arn:aws:iam:eu-west-1:111122223333:user/x")),
        *("IAM resource arn:aws:iam:eu-west-1:111122223333:user/x cannot contain region", "/Statement/0/Resource"),
    ),
    (
        *("G-65", IDENTITY, policy(Resource="arn:aws:iam::111122223333:use*")),
        *('IAM resource path must either be "*", root, or start with user/, federated-user/', "/Statement/0/Resource"),
    ),
    (
        *("G-65", IDENTITY, policy(Resource="arn:aws:iam::111122223333:rooted")),
        *('IAM resource path must either be "*", root, or start with user/, federated-user/', "/Statement/0/Resource"),
    ),
    ("G-31", RESOURCE, policy(), "Missing required field Principal", "/Statement/0"),
    ("G-31", TRUST, trust(), "Missing required field Principal", "/Statement/0"),
    (
        *("G-44", TRUST, trust(Principal={"AWS": "arn:aws:iam::111122223333:role/*"})),
        *('Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:role/*"', "/Statement/0/Principal/AWS"),
    ),
    (
        *("G-43", TRUST, trust(Principal={"AWS": "arn:aws:iam::111122223333:group/g"})),
        *('Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:group/g"', "/Statement/0/Principal/AWS"),
    ),
    (
        *("G-42", TRUST, trust(Principal={"AWS": ["111122223333", "unknown"]})),
        *('Invalid principal in policy: "AWS":"unknown"', "/Statement/0/Principal/AWS/1"),
    ),
    (
        *("G-47", RESOURCE, policy(Principal={"Service": "EC2"})),
        *('Invalid principal in policy: "Service":"EC2"', "/Statement/0/Principal/Service"),
    ),
    ("G-37", RCP, policy(Principal="*"), SYNTAX, "/Statement/0/Effect"),
    ("G-37", RCP, policy(Principal="*", Effect="Deny", Action="*"), SYNTAX, "/Statement/0/Action"),
    ("N-10", IDENTITY, when("NumericEquals", "one"), SYNTAX, "/Statement/0/Condition/NumericEquals/aws:x"),
    ("N-10", IDENTITY, when("NotIpAddress", "10.0.0.0/33"), SYNTAX, "/Statement/0/Condition/NotIpAddress/aws:x"),
    ("N-10", IDENTITY, when("ArnLike", "*"), SYNTAX, "/Statement/0/Condition/ArnLike/aws:x"),
]


@table(("number", "type", "document", "sentence", "place"), WRITES)
def test_write_refuses_what_parse_accepts(
    number: str, type: PolicyType, document: dict[str, Any], sentence: str, place: str
) -> None:
    """N-9, G-19: with AWS's sentence; `parse` accepts the same document."""
    text = json.dumps(document, ensure_ascii=False)
    parse(text, type)
    with pytest.raises(PolicyError) as refused:
        validate_for_write(text, type)
    assert refused.value.sentence.startswith(sentence), number
    assert refused.value.place == place
    assert refused.value.line == 1


@table(
    ("type", "document"),
    [
        (IDENTITY, policy()),
        (IDENTITY, policy() | {"Id": "stored anyway"}),  # G-6
        (IDENTITY, {"Version": "2008-10-17", "Statement": statement()}),  # G-3
        (IDENTITY, {"Statement": statement()}),  # G-4
        (IDENTITY, policy(statement(Sid=""), statement(Sid=""), statement())),  # G-25
        (IDENTITY, policy(Resource=["arn:aws:sqs", "arn:*:s3:::b", "arn:aws:iam::*:*", "arn:aws:iam::1:role/x"])),
        (IDENTITY, policy(Resource=["arn:aws:iam::1:root", "arn:aws:iam::aws:role-template/x/y:1"])),  # G-65
        (IDENTITY, policy(Resource="arn:aws:s3:::\u00ff")),  # G-12
        (IDENTITY, policy(Condition={"ForAllValues:StringEquals": {"aws:TagKeys": []}})),  # C-42
        (IDENTITY, policy(Condition={"Bool": {"aws:x": "perhaps"}, "ArnLike": {"aws:x": "${aws:SourceArn}"}})),
        (RESOURCE, policy(statement(Sid="A b", Principal="*"), statement(Sid="A b", Principal="*"))),  # G-24, G-25
        (RESOURCE, policy(Principal={"AWS": "111122223333"}, Resource=None)),  # M-26
        (TRUST, trust(Principal="*")),  # G-33
        (SCP, policy(Action=None, NotAction="s3:*")),  # G-35
        (RCP, rcp()),  # G-37
    ],
)
def test_valid_document_passes_a_write(type: PolicyType, document: dict[str, Any]) -> None:
    """It is equal to the result of `parse`."""
    text = json.dumps(document, ensure_ascii=False)
    assert validate_for_write(text, type) == parse(text, type)


@table("version", ["2008-10-17", None])
def test_managed_policy_needs_the_current_version(version: str | None) -> None:
    """G-18."""
    document = {"Statement": statement()} | ({"Version": version} if version else {})
    validate_for_write(json.dumps(document), IDENTITY)
    with pytest.raises(PolicyError) as refused:
        validate_for_write(json.dumps(document), IDENTITY, managed=True)
    assert refused.value.sentence == "Policy document must be version 2012-10-17 or greater."


FAULTS = [
    (statement(Effect="Maybe"), SYNTAX),
    (statement(Condition={"DateEquals": {"aws:x": "tomorrow"}}), LEGACY),
    (statement(Sid="Twice"), SIDS),
    (statement(Action=[]), "Policy statement must contain actions."),
    (statement(Resource=[]), "Policy statement must contain resources."),
    (statement(Resource="bucket"), 'Resource bucket must be in ARN format or "*".'),
    (statement(Action="Get"), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
]


@table("first", range(len(FAULTS)))
def test_first_fault_in_the_order_of_aws_is_reported(first: int) -> None:
    """G-19: syntax, version, legacy parsing, Sid, actions present, resources present, resources, action prefixes."""
    faulty = [each for each, _ in reversed(FAULTS[first:])]
    with pytest.raises(PolicyError) as refused:
        validate_for_write(json.dumps(policy(statement(Sid="Twice"), *faulty)), IDENTITY)
    assert refused.value.sentence == FAULTS[first][1]


def test_own_partition_passes_a_write() -> None:
    """A deployment can have ARNs with its own partition."""
    text = json.dumps(policy(Resource="arn:acme:docs:::x"))
    assert validate_for_write(text, IDENTITY, partition="acme").statements
    with pytest.raises(PolicyError, match="unknown partition `acme`"):
        validate_for_write(text, IDENTITY)


@table(
    ("type", "managed", "limit", "counts_space"),
    [
        (IDENTITY, True, 6144, False),
        (PolicyType.BOUNDARY, False, 6144, False),
        (TRUST, False, 2048, False),
        (SCP, False, 10240, True),
        (RCP, False, 5120, True),
        (PolicyType.SESSION, False, 2048, True),
    ],
)
def test_document_over_its_quota_is_refused(type: PolicyType, managed: bool, limit: int, counts_space: bool) -> None:
    """G-70 to G-73: the quota itself is accepted; white space counts for organizations and sessions only."""
    elements: dict[str, Any] = {"Effect": "Deny", "Action": "s3:"}
    if type in (TRUST, RCP):
        elements["Principal"] = "*"
    if type is TRUST:
        elements["Resource"] = None
    short = json.dumps(policy(**elements), separators=(",", ":"))
    exact = short.replace("s3:", "s3:" + "x" * (limit - len(short)))
    validate_for_write(exact, type, managed=managed)
    with pytest.raises(LimitExceeded, match=f"Cannot exceed quota for [A-Za-z]+: {limit}"):
        validate_for_write(exact.replace("s3:", "s3:x"), type, managed=managed)
    if counts_space:
        with pytest.raises(LimitExceeded):
            validate_for_write(exact + " ", type, managed=managed)
    else:
        validate_for_write(exact + " \n\t" * 100, type, managed=managed)


def test_inline_document_has_no_quota_of_its_own() -> None:
    """G-70: the quota is for the sum of an entity's inline documents."""
    validate_for_write(json.dumps(policy(Action="s3:" + "x" * 20_000)), IDENTITY)


@table("type", PolicyType)
def test_raw_limit_applies_to_writes_only(type: PolicyType) -> None:
    """G-74: 131,072 characters, white space included, from text and from a mapping."""
    document = rcp() if type is RCP else trust(Principal="*") if type is TRUST else policy()
    if type in (RESOURCE, PolicyType.VPC_ENDPOINT):
        document = policy(Principal="*")
    text = json.dumps(document)
    padded = text + " " * (RAW_LIMIT + 1 - len(text))
    assert parse(padded, type).statements == parse(text, type).statements
    with pytest.raises(PolicyError, match="expected at most 131072 characters, got 131073"):
        validate_for_write(padded, type)
    with pytest.raises(PolicyError, match="expected at most 131072 characters"):
        validate_for_write(document | {"Id": "x" * RAW_LIMIT}, type)
