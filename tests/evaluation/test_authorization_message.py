"""The content of encoded authorization messages (S-36, X-7); `tests/api/sts` has their encoding and permissions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iam_guard import AccessRequest, Principal, compile_policies
from iam_guard.evaluation.authorization_message import authorization_message
from iam_guard.evaluation.bundle import bundle
from iam_guard.evaluation.evaluator import decide
from iam_guard.model.context import Value
from tests.tables import table

ACCOUNT, OTHER = "111122223333", "444455556666"
ANN = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ann", userid="AIDAANN", tags={"Team": "blue"})
SECRET = f"arn:aws:docs:us-east-1:{ACCOUNT}:document/secret"
THEIRS = f"arn:aws:docs:us-east-1:{OTHER}:document/secret"
CONTEXT: Mapping[str, Value] = {
    "docs:Classes": ("secret", "old"),
    "aws:SourceIp": "10.0.0.1",
    "aws:ResourceTag/Class": "secret",
    "iam:ResourceTag/Class": "secret",
}


def request(resource: str = SECRET, owner: str | None = None, principal: Principal = ANN) -> AccessRequest:
    return AccessRequest(principal, "s3:GetObject", resource, CONTEXT, owner)  # RCPs apply to this service


def message(request: AccessRequest, **policies: Any) -> dict[str, Any]:
    return authorization_message(compile_policies(**policies).decide(request))


def items(*texts: str) -> dict[str, Any]:
    return {"items": [{"value": text} for text in texts]}


def policy(**more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"} | more]}


SHARED = policy(Sid="Shared", Principal={"AWS": "*"})


def test_message_has_all_members_of_aws() -> None:
    """The values of several are lists, keys have AWS's spelling and are sorted."""
    conditions = {"StringEquals": {"docs:Classes": ["secret", "x"]}, "Null": {"docs:Classes": "false"}}
    statement: dict[str, Any] = {
        "Sid": "No",
        "Action": ["s3:GetObject", "s3:Put*"],
        "Resource": [SECRET, "arn:aws:docs:::x"],
        "Condition": {"ForAnyValue:StringEquals": conditions["StringEquals"], "Null": conditions["Null"]},
    }
    assert message(request(), identity=[policy(**statement)]) == {
        "allowed": False,
        "explicitDeny": True,
        "matchedStatements": {
            "items": [
                {
                    "statementId": "No",
                    "effect": "DENY",
                    "policy": "identity-based policy #1",
                    "principals": {"items": []},
                    "principalGroups": {"items": []},
                    "actions": items("s3:GetObject", "s3:Put*"),
                    "resources": items(SECRET, "arn:aws:docs:::x"),
                    "conditions": {
                        "items": [
                            {"key": "docs:Classes", "values": items("secret", "x")},
                            {"key": "docs:Classes", "values": items("false")},
                        ]
                    },
                }
            ]
        },
        "failures": {"items": []},
        "context": {
            "principal": {"id": "AIDAANN", "arn": ANN.arn},
            "action": "s3:GetObject",
            "resource": SECRET,
            "conditions": {
                "items": [
                    {"key": "aws:PrincipalAccount", "values": items(ACCOUNT)},
                    {"key": "aws:PrincipalArn", "values": items(ANN.arn)},
                    {"key": "aws:PrincipalTag/team", "values": items("blue")},
                    {"key": "aws:PrincipalType", "values": items("User")},
                    {"key": "aws:ResourceTag/class", "values": items("secret")},
                    {"key": "aws:SourceIp", "values": items("10.0.0.1")},
                    {"key": "aws:userid", "values": items("AIDAANN")},
                    {"key": "aws:username", "values": items("ann")},
                    {"key": "docs:classes", "values": items("secret", "old")},
                    {"key": "iam:ResourceTag/class", "values": items("secret")},
                ]
            },
        },
    }


@table(
    ("statement", "name", "values"),
    [
        ({}, "statementId", ""),
        ({"Principal": {"AWS": ANN.arn, "Service": "x.amazonaws.com"}}, "principals", [ANN.arn, "x.amazonaws.com"]),
        ({"NotPrincipal": {"AWS": "arn:aws:iam::1:user/x"}}, "principals", ["arn:aws:iam::1:user/x"]),
        ({"NotAction": "iam:*"}, "actions", ["iam:*"]),
        ({"NotResource": "arn:aws:docs:::x"}, "resources", ["arn:aws:docs:::x"]),
        ({"Resource": None}, "resources", []),
    ],
)
def test_statement_is_shown_as_written(statement: dict[str, Any], name: str, values: Any) -> None:
    """Negated elements too; an absent element has no items."""
    written = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"} | statement
    for element in ("Principal", "Action", "Resource"):
        if f"Not{element}" in statement or written.get(element) is None:
            written.pop(element)
    document = {"Version": "2012-10-17", "Statement": [written]}
    [shown] = message(request(), resource=document)["matchedStatements"]["items"]
    assert shown[name] == (items(*values) if isinstance(values, list) else values)


@table(
    ("resource", "owner", "is_own"),
    [(SECRET, None, True), ("*", None, True), (THEIRS, ACCOUNT, True), (THEIRS, None, False), (SECRET, OTHER, False)],
)
def test_message_excludes_data_of_another_account(resource: str, owner: str | None, is_own: bool) -> None:
    """X-7: its deny, its statements, the resource's tags, and the application's keys."""
    for name, policies in (("resource", SHARED), ("rcps", [[SHARED]]), ("vpc_endpoint", SHARED)):
        found = message(request(resource, owner), **{name: policies})
        assert (found["explicitDeny"], len(found["matchedStatements"]["items"])) == (is_own, int(is_own)), name
        keys = {item["key"] for item in found["context"]["conditions"]["items"]}
        assert keys >= {"aws:PrincipalArn", "aws:SourceIp"}
        theirs = {"aws:ResourceTag/class", "iam:ResourceTag/class", "docs:classes"}
        assert keys & theirs == (theirs if is_own else set())


@table(("policies", "sids"), [({"scps": [[policy(Sid="S")]]}, ["S"]), ({"identity": [policy(Sid="I")]}, ["I"])])
def test_callers_deny_is_shown_for_any_resource(policies: dict[str, Any], sids: list[str]) -> None:
    """X-7: the policies of the caller's account."""
    found = message(request(THEIRS), **policies)
    assert found["explicitDeny"]
    assert [statement["statementId"] for statement in found["matchedStatements"]["items"]] == sids


def test_implicit_denial_has_no_statements() -> None:
    found = message(request(), identity=[policy(Effect="Allow", Action="s3:PutObject")])
    assert (found["explicitDeny"], found["matchedStatements"]) == (False, {"items": []})


def test_decision_without_its_policies_has_no_statements() -> None:
    """They are read from what explains the decision."""
    found = authorization_message(decide(request(), bundle(identity=[policy()])))
    assert (found["explicitDeny"], found["matchedStatements"]) == (True, {"items": []})


def test_caller_without_an_id_has_no_id() -> None:
    caller = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ben")
    assert message(request(principal=caller))["context"]["principal"] == {"arn": caller.arn}


def test_allowed_decision_shows_its_statement() -> None:
    found = message(request(), identity=[policy(Effect="Allow", Sid="Yes")])
    assert (found["allowed"], found["explicitDeny"]) == (True, False)
    [statement] = found["matchedStatements"]["items"]
    assert (statement["statementId"], statement["effect"]) == ("Yes", "ALLOW")
