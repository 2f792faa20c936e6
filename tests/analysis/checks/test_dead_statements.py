"""Dead parts: examples, the law that what is left decides alike, and that no dead Allow is missed."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from iam_guard.analysis.checks.comparison import EVERY_REQUEST, Query, compare
from iam_guard.analysis.checks.dead_statements import DeadKind, find_dead_parts
from iam_guard.analysis.checks.judged_policies import judge
from iam_guard.analysis.checks.limits import Undecided
from iam_guard.errors import PolicyError
from iam_guard.evaluation.compiler import CompiledDocument
from iam_guard.model.decision import PolicyType
from iam_guard.policy.parser import parse
from tests.analysis.checks.small_policies import Doc, Pair
from tests.tables import table

TYPES = {"identity": PolicyType.IDENTITY, "resource": PolicyType.RESOURCE}
B, C = "arn:aws:s3:::b/*", "arn:aws:s3:::c/*"


def compiled(*statements: Doc, type: PolicyType = PolicyType.IDENTITY) -> CompiledDocument:
    return CompiledDocument(parse({"Version": "2012-10-17", "Statement": [*statements]}, type))


def allow(action: Any, resource: Any = "*", **more: Any) -> Doc:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any = "*", **more: Any) -> Doc:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def when(operator: str, key: str, values: Any) -> Doc:
    return {"Condition": {operator: {key: values}}}


TLS, NO_TLS = when("Bool", "aws:SecureTransport", "true"), when("Bool", "aws:SecureTransport", "false")
CONTRADICTION = {"Condition": {"StringEquals": {"docs:A": "x"}, "StringNotEquals": {"docs:A": "x"}}}


@table(
    ("statements", "expected"),
    [
        ([allow("s3:Get*"), allow("s3:GetObject")], [("shadowed", 1, [0])]),
        ([allow("s3:GetObject"), allow("S3:getobject")], [("shadowed", 1, [0])]),
        ([allow("s3:*", B), allow("s3:Get*", [B, C]), allow("s3:*", C)], [("shadowed", 1, [0, 2])]),
        ([allow("s3:*", **TLS), allow("s3:*", **NO_TLS), allow("s3:Get*")], []),
        (
            [
                allow("s3:*", **TLS),
                allow("s3:*", **NO_TLS),
                allow("s3:Get*", **when("Null", "aws:SecureTransport", "false")),
            ],
            [("shadowed", 2, [0, 1])],
        ),
        ([allow("s3:Get*"), deny("s3:*")], [("denied", 0, [1])]),
        (
            [
                allow("s3:Get*", B),
                deny("s3:*", B, **TLS),
                deny("s3:*", B, **when("Null", "aws:SecureTransport", "true")),
            ],
            [],
        ),
        ([allow("s3:*"), allow("s3:*", **CONTRADICTION)], [("unreachable", 1, [])]),
        ([allow("s3:*"), deny("s3:*", **CONTRADICTION)], [("unreachable", 1, [])]),
        ([allow("s3:*"), deny("ec2:*")], [("no-effect", 1, [])]),
        ([deny("ec2:*"), deny("s3:*")], []),
        ([allow("s3:*"), deny("s3:Put*"), deny("s3:PutObject", B)], [("shadowed", 2, [1])]),
        ([allow("sts:GetCallerIdentity")], [("shadowed", 0, [])]),
        ([allow("s3:*", "arn:aws:s3:::h/${aws:username}"), allow("s3:*", "arn:aws:s3:::h/*")], [("shadowed", 0, [1])]),
        ([allow("s3:*", "arn:aws:s3:::h/${aws:username}"), allow("s3:*", "arn:aws:s3:::h/ada")], []),
    ],
)
def test_dead_statements_are_found(statements: list[Doc], expected: list[Any]) -> None:
    found = find_dead_parts(compiled(*statements))
    assert found.is_complete
    parts = [(part.kind.value, part.statement_index, [*part.covered_by]) for part in found.parts]
    assert parts == [*map(tuple, expected)]


@table(
    ("statements", "expected"),
    [
        ([allow(["s3:Get*", "s3:GetObject", "s3:PutObject"])], [("Action", "s3:GetObject", [0])]),
        ([allow(["s3:GetObject", "s3:getobject"])], [("Action", "s3:getobject", [0])]),
        ([allow(["s3:Get*", "s3:PutObject"], B), allow("s3:Put*", C)], []),
        ([allow(["s3:Get*", "s3:PutObject"], B), allow("s3:Put*")], [("Action", "s3:PutObject", [1])]),
        ([allow(["s3:Get*", "s3:PutObject"]), deny("s3:Put*")], [("Action", "s3:PutObject", [1])]),
        ([allow("s3:*", [B, "arn:aws:s3:::b/x"])], [("Resource", "arn:aws:s3:::b/x", [0])]),
        ([{"Effect": "Allow", "NotAction": ["iam:*", "iam:Get*"], "Resource": "*"}], [("NotAction", "iam:Get*", [0])]),
        (
            [{"Effect": "Allow", "NotAction": ["iam:*", "sts:*"], "Resource": "*"}, allow("iam:*")],
            [("NotAction", "iam:*", [0, 1])],
        ),
        ([allow("s3:*"), deny(["s3:Put*", "s3:PutObject"])], [("Action", "s3:PutObject", [1])]),
        (
            [allow("s3:*", **when("IpAddress", "aws:SourceIp", ["10.1.0.0/16", "10.0.0.0/8"]))],
            [("Condition/IpAddress/aws:SourceIp", "10.1.0.0/16", [0])],
        ),
        (
            [allow("s3:*", **when("StringNotLike", "docs:A", ["a*", "ab*"]))],
            [("Condition/StringNotLike/docs:A", "ab*", [0])],
        ),
        (
            [allow("s3:*", **when("NumericLessThan", "docs:N", ["5", "7"]))],
            [("Condition/NumericLessThan/docs:N", "5", [0])],
        ),
        ([allow("s3:*", **when("StringEquals", "docs:A", ["a", "b"]))], []),
        (
            [
                allow("s3:*", **when("ForAllValues:StringEquals", "aws:TagKeys", ["a", "b"])),
                allow("s3:*", **when("ForAllValues:StringEquals", "aws:TagKeys", ["b", "c"])),
            ],
            [],
        ),
        (
            [
                allow("s3:*", **when("ForAnyValue:StringEquals", "aws:TagKeys", ["a", "b"])),
                allow("s3:*", **when("ForAnyValue:StringEquals", "aws:TagKeys", ["b", "c"])),
            ],
            [("Condition/ForAnyValue:StringEquals/aws:TagKeys", "b", [0, 1])],
        ),
    ],
)
def test_redundant_values_are_found(statements: list[Doc], expected: list[Any]) -> None:
    found = find_dead_parts(compiled(*statements))
    assert found.is_complete
    assert {part.kind for part in found.parts} <= {DeadKind.REDUNDANT}
    parts = [("/".join(part.path), part.value, [*part.covered_by]) for part in found.parts]
    assert parts == [*map(tuple, expected)]


@table(
    ("principals", "expected"),
    [
        ({"AWS": ["*", "111122223333"]}, ["111122223333"]),
        ({"AWS": ["111122223333", "arn:aws:iam::111122223333:root"]}, ["arn:aws:iam::111122223333:root"]),
        ({"AWS": ["111122223333", "444455556666"]}, []),
        (
            {"AWS": "*", "Service": ["sns.amazonaws.com", "sqs.amazonaws.com"]},
            ["sqs.amazonaws.com", "sns.amazonaws.com"],
        ),
    ],
)
def test_redundant_principals_are_found(principals: Doc, expected: list[str]) -> None:
    found = find_dead_parts(compiled(allow("sqs:*", Principal=principals), type=PolicyType.RESOURCE))
    assert [part.value for part in found.parts] == expected


def test_known_actions_count_in_a_catalogue() -> None:
    """With a catalogue a wildcard is redundant beside all actions that it matches."""
    document = compiled(allow(["s3:GetObject", "s3:GetAcl", "s3:Get*"]))
    query = Query(catalogue=("s3:GetAcl", "s3:GetObject", "s3:PutObject"))
    assert len(find_dead_parts(document, query).parts) == 2
    assert len(find_dead_parts(document, EVERY_REQUEST).parts) == 2


@table(
    ("kind", "count", "expected"),
    [
        ("identity", 220, {"shadowed", "denied", "unreachable", "no-effect", "redundant-value"}),
        ("resource", 60, {"shadowed", "unreachable", "no-effect", "redundant-value"}),
    ],
)
def test_policy_without_dead_parts_decides_alike(kind: str, count: int, expected: set[str]) -> None:
    """The evaluator decides alike without a dead statement; without one that is not, some request differs."""
    kinds: Counter[str] = Counter()
    for seed in range(count):
        pair = Pair(Random(seed), is_resource=kind == "resource")
        try:
            document = CompiledDocument(parse(pair.existing, TYPES[kind]))
            found = find_dead_parts(document)
        except (PolicyError, Undecided):
            continue
        kinds.update(part.kind.value for part in found.parts)
        dead = {part.statement_index for part in found.parts if not part.path}
        statements = pair.existing["Statement"]
        requests, is_allowed = pair.requests(25), judge(document)
        for index in dead:
            without = judge(CompiledDocument(parse(_without(pair.existing, index), TYPES[kind])))
            assert [request for request in requests if is_allowed(request) != without(request)] == [], (seed, index)
        for index, statement in enumerate(statements):
            if statement["Effect"] == "Allow" and index not in dead and not dead and found.is_complete:
                smaller = CompiledDocument(parse(_without(pair.existing, index), TYPES[kind]))
                try:
                    assert compare(smaller, document).witness is not None, (seed, index)
                except Undecided:
                    continue
    assert kinds.keys() >= expected, kinds


def _without(policy: Doc, index: int) -> Doc:
    statements = policy["Statement"]
    return {**policy, "Statement": [*statements[:index], *statements[index + 1 :]]}


def test_too_complex_policy_is_not_complete() -> None:
    """What the limits leave open is not reported as dead, and not as all."""
    denies = [deny("s3:*", **when("StringLike", f"docs:K{number}", f"*a{number}*b*")) for number in range(14)]
    conditions = {"StringLike": {f"docs:K{number}": ["*c*d*", "*e*"] for number in range(14)}}
    found = find_dead_parts(compiled(*[allow("s3:*", Condition=conditions)], *denies))
    assert DeadKind.DENIED not in {part.kind for part in found.parts}


def test_unequal_reduction_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong step is caught by the comparison at the end."""
    module = "iam_guard.analysis.checks.dead_statements"
    monkeypatch.setattr(f"{module}.cover_or_boxes", lambda *_: ((), []))
    with pytest.raises(Undecided, match="not equivalent"):
        find_dead_parts(compiled(allow("s3:*"), allow("ec2:*")))
