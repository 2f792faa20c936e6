"""The shape of records: golden files for every kind of caller, outcome and event, and the tables behind them."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from iam_guard.audit.record.list_record import list_record
from iam_guard.audit.record.permission_query_record import permission_query_record
from iam_guard.audit.record.record import (
    MAX_REASONS,
    Stamp,
    authentication_record,
    decision_record,
    error_record,
    event_time,
    reason_code,
)
from iam_guard.audit.record.redaction import to_line
from iam_guard.audit.record.result_record import result_record
from iam_guard.audit.record.sign_in_record import sign_in_record
from iam_guard.errors import (
    EntityAlreadyExists,
    InvalidClientTokenId,
    LimitExceeded,
    StoreUnavailable,
    UndecidedEndpoint,
)
from iam_guard.evaluation.authorizer import compile_policies
from iam_guard.model.decision import Decision, Outcome, PolicyRef, PolicyType, Reason
from iam_guard.model.list_filter import ListFilter
from iam_guard.model.principal import Credential, Principal
from iam_guard.model.request import AccessRequest, Call
from iam_guard.model.result import CallResult, ChangedDocument
from iam_guard.model.sign_in_event import SignInEvent
from tests.tables import table

GOLDEN = Path(__file__).parents[1] / "golden"
STAMP = Stamp(datetime(2026, 5, 4, 3, 2, 1, 987654, tzinfo=UTC), "0b6f0f3c-0c0a-4b6e-9a57-3c1c5f1d2e3f")
TRACED = replace(STAMP, trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id="00f067aa0ba902b7")
CALL = Call(
    request_id="5f2a8a3e-7a64-4f0e-8f6e-8d6f1f7d0c11",
    kind="http",
    method="GET",
    path="/documents/{document_id}",
    host="docs.example.org",
    source_ip="203.0.113.7",
    user_agent="Botocore/1.40.1",
    secure=True,
)
DOCUMENT = "arn:aws:docs:us-east-1:111122223333:document/7"
SIGNED = Credential("sigv4", "AKIAIOSFODNN7EXAMPLE", "us-east-1", "docs")

ALICE = replace(
    Principal.from_arn("arn:aws:iam::111122223333:user/staff/alice", userid="AIDAEXAMPLEALICE00001"), credential=SIGNED
)
BOT = replace(ALICE, credential=Credential("api-key", "K7Q2EXAMPLE"))
ALICE_WITH_MFA = replace(
    ALICE,
    session={"aws:TokenIssueTime": datetime(2026, 5, 4, 3, tzinfo=UTC), "aws:MultiFactorAuthPresent": True},
    credential=Credential("sigv4", "ASIAIOSFODNN7EXAMPLE"),
)
ROOT = replace(Principal.from_arn("arn:aws:iam::111122223333:root"), credential=SIGNED)
SESSION = replace(
    Principal.from_arn(
        "arn:aws:sts::444455556666:assumed-role/Auditor/carol",
        role_arn="arn:aws:iam::444455556666:role/security/Auditor",
        userid="AROAEXAMPLEAUDITOR001:carol",
    ),
    session={"aws:TokenIssueTime": "2026-05-04T03:00:00Z", "aws:SourceIdentity": "carol@example.org"},
    credential=Credential("sigv4", "ASIAIOSFODNN7EXAMPLE"),
)
FEDERATED = replace(
    Principal.from_arn(
        "arn:aws:sts::111122223333:federated-user/dave", user_arn="arn:aws:iam::111122223333:user/broker"
    ),
    session={"aws:TokenIssueTime": "2026-05-04T03:00:00Z"},
    credential=Credential("sigv4", "ASIAIOSFODNN7EXAMPLE"),
)
MAILER = Principal.service("mailer.amazonaws.com")

READERS = PolicyRef("ReadDocuments", PolicyType.IDENTITY, "arn:aws:iam::111122223333:policy/ReadDocuments", "0a" * 32)
SHARE = PolicyRef(DOCUMENT, PolicyType.RESOURCE, digest="1b" * 32)
GUARDRAIL = PolicyRef(
    "NoExport", PolicyType.SCP, "arn:aws:organizations::999999999999:policy/o-1/service_control_policy/p-1", "2c" * 32
)

BY_IDENTITY = Reason(PolicyType.IDENTITY, "Allow", READERS, statement=0, sid="Read", line=5)
BY_SHARE = Reason(PolicyType.RESOURCE, "Allow", SHARE, statement=1)


def decision(
    outcome: Outcome, principal: Principal, *reasons: Reason, action: str = "docs:GetDocument", **more: Any
) -> Decision:
    request = AccessRequest(principal, action, more.pop("resource", DOCUMENT))
    return Decision(outcome, request, reasons, **{"epoch": 42, **more})


def conditional() -> Decision:
    """Return a decision that read condition keys of every kind."""
    condition = {
        "IpAddress": {"aws:SourceIp": "203.0.113.0/24"},
        "StringEqualsIfExists": {"aws:PrincipalTag/team": "red"},
        "ForAnyValue:StringEquals": {"aws:TagKeys": "team"},
        "StringLike": {"docs:owner": "*", "aws:Referer": "*"},
    }
    allow = {"Sid": "Read", "Effect": "Allow", "Action": "docs:*", "Resource": "*", "Condition": condition}
    keys = {"aws:SourceIp": "203.0.113.7", "aws:TagKeys": ["team", "hold"], "docs:owner": "ada", "aws:Referer": "x"}
    policies = compile_policies(identity=[{"Version": "2012-10-17", "Statement": [allow]}], session=[ANYTHING])
    return policies.decide(AccessRequest(ALICE, "docs:GetDocument", DOCUMENT, keys), epoch=42)


ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
ALLOWED, IMPLICIT, EXPLICIT = Outcome.ALLOWED, Outcome.IMPLICITLY_DENIED, Outcome.EXPLICITLY_DENIED

RECORDS: dict[str, dict[str, object]] = {
    "user-allowed": decision_record(decision(ALLOWED, ALICE, BY_IDENTITY), CALL, TRACED, duration=12e-6),
    "user-with-mfa-allowed": decision_record(decision(ALLOWED, ALICE_WITH_MFA, BY_IDENTITY), CALL, STAMP),
    "api-key-implicitly-denied": decision_record(
        decision(IMPLICIT, BOT, Reason(PolicyType.IDENTITY), action="docs:DeleteDocument"), CALL, STAMP, duration=3e-6
    ),
    "conditions-read": decision_record(conditional(), CALL, STAMP),
    "root-allowed-by-default": decision_record(decision(ALLOWED, ROOT), CALL, STAMP),
    "role-session-cross-account-allowed": decision_record(
        decision(ALLOWED, SESSION, BY_SHARE, BY_IDENTITY), CALL, STAMP
    ),
    "user-explicitly-denied-by-scp": decision_record(
        decision(EXPLICIT, ALICE, Reason(PolicyType.SCP, "Deny", GUARDRAIL, 2, "Stop", 19), action="docs:ExportAll"),
        CALL,
        STAMP,
    ),
    "federated-user-denied-by-boundary": decision_record(
        decision(IMPLICIT, FEDERATED, Reason(PolicyType.BOUNDARY)), CALL, STAMP
    ),
    "service-allowed": decision_record(decision(ALLOWED, MAILER, BY_SHARE), CALL, STAMP),
    "anonymous-denied": decision_record(
        decision(IMPLICIT, Principal.anonymous(), Reason(PolicyType.RESOURCE)), CALL, STAMP
    ),
    "iam-action-allowed": decision_record(
        decision(ALLOWED, ALICE, BY_IDENTITY, action="iam:CreateUser", resource="*"), CALL, STAMP
    ),
    "function-call-allowed": decision_record(decision(ALLOWED, ALICE, BY_IDENTITY), None, STAMP),
    "undecidable-and-stale": decision_record(
        decision(IMPLICIT, ALICE, stale=True, error="the resource policy cannot be read"), CALL, STAMP
    ),
    "authentication-refused": authentication_record(
        InvalidClientTokenId(place="Authorization"), CALL, STAMP, kind="sigv4", credential_id="AKIANOSUCHKEYEXAMPLE"
    ),
    "store-unavailable": error_record(
        StoreUnavailable("the store cannot be reached"),
        CALL,
        STAMP,
        principal=ALICE,
        action="docs:GetDocument",
        resource=DOCUMENT,
    ),
    "undecided-endpoint": error_record(UndecidedEndpoint("the endpoint made no decision"), CALL, STAMP),
    "masked-and-cut": decision_record(
        decision(ALLOWED, ALICE, BY_IDENTITY),
        CALL._replace(path="/x?token=1", user_agent="Bearer abc.def " + "x" * 5000, host=None),
        STAMP,
    ),
}

API_CALL = CALL._replace(method="POST", path="/", host="iam.example.org")
RECORDS |= {
    "policy-changed": result_record(
        CallResult(
            action="iam:PutUserPolicy",
            resource="arn:aws:iam::111122223333:user/eve",
            owner="111122223333",
            parameters={"userName": "eve", "policyName": "Read", "policyDocument": '{"Version":"2012-10-17"}'},
            document=ChangedDocument("0a" * 32, "1b" * 32),
            epoch=43,
        ),
        API_CALL,
        TRACED,
        ALICE,
    ),
    "session-issued": result_record(
        CallResult(
            action="sts:AssumeRole",
            resource="arn:aws:iam::444455556666:role/security/Auditor",
            owner="444455556666",
            parameters={"roleArn": "arn:aws:iam::444455556666:role/security/Auditor", "roleSessionName": "carol"},
            elements={
                "credentials": {
                    "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
                    "secretAccessKey": "[redacted]",
                    "sessionToken": "[redacted]",
                    "expiration": "2026-05-04T04:02:01Z",
                },
                "assumedRoleUser": {
                    "assumedRoleId": "AROAEXAMPLEAUDITOR001:carol",
                    "arn": "arn:aws:sts::444455556666:assumed-role/Auditor/carol",
                },
            },
            masked=(
                "/responseElements/credentials/secretAccessKey",
                "/responseElements/credentials/sessionToken",
            ),
            changed=False,
        ),
        API_CALL,
        STAMP,
        ALICE,
    ),
    "session-failed": result_record(
        CallResult(
            action="sts:GetFederationToken",
            resource="arn:aws:sts::111122223333:federated-user/dave",
            owner="111122223333",
            parameters={"name": "dave"},
            error=LimitExceeded("too large"),
        ),
        API_CALL,
        STAMP,
        ALICE,
    ),
    "call-failed": result_record(
        CallResult(
            action="iam:CreateUser",
            resource="arn:aws:iam::111122223333:user/eve",
            owner="111122223333",
            parameters={"path": "/staff/", "userName": "eve"},
            error=EntityAlreadyExists("User with name eve already exists."),
        ),
        API_CALL,
        STAMP,
        ALICE,
    ),
    "changed-by-operator": result_record(
        CallResult(
            action="iam-guard:PutResourcePolicy",
            resource=DOCUMENT,
            owner="111122223333",
            parameters={"resourceArn": DOCUMENT, "policy": '{"Version":"2012-10-17"}'},
            document=ChangedDocument(None, "1b" * 32),
            epoch=44,
        ),
        None,
        STAMP,
        Principal.service("docs"),
        operator="root@web1",
    ),
    "changed-for-caller": result_record(
        CallResult(
            action="iam-guard:ShareResource",
            resource=DOCUMENT,
            owner="111122223333",
            parameters={"grantee": "444455556666", "actions": ["docs:GetDocument"]},
            document=ChangedDocument(None, "1b" * 32),
            epoch=44,
        ),
        CALL,
        STAMP,
        Principal.service("docs"),
        caller=ALICE,
    ),
}

RECORDS["permissions-asked"] = permission_query_record(
    ALICE,
    [decision(ALLOWED, ALICE, BY_IDENTITY), decision(IMPLICIT, ALICE, resource=f"{DOCUMENT}/of/alice")],
    CALL,
    STAMP,
)

LIST = ListFilter(
    principal=ALICE,
    action="docs:GetDocument",
    resource_type="docs document",
    digest="3d" * 32,
    outcome="some",
    rows=50,
    epoch=42,
    is_superset=True,
)
RECORDS["list-filtered"] = list_record(LIST, CALL, TRACED)
RECORDS["list-denied"] = list_record(
    replace(LIST, principal=Principal.anonymous(), outcome="none", rows=None, epoch=None, stale=True), None, STAMP
)

LOGIN = SignInEvent(
    name="ConsoleLogin", principal=ALICE, facts={"LoginTo": "/signin/", "MobileVersion": "No", "MFAUsed": "No"}
)
RECORDS["signed-in"] = sign_in_record(LOGIN, CALL, STAMP)
RECORDS["sign-in-refused"] = sign_in_record(
    replace(LOGIN, principal=None, account="111122223333", succeeded=False, facts={}), CALL, STAMP
)

SWITCH = {"SwitchFrom": ALICE.arn, "RedirectTo": "/documents/7"}
IN_BROWSER = replace(SESSION, credential=Credential("session", "bs-2a3b4c5d6e7f"))
RECORDS["role-switched"] = sign_in_record(
    SignInEvent(name="SwitchRole", principal=IN_BROWSER, facts=SWITCH), CALL, STAMP
)

OIDC = "arn:aws:iam::444455556666:oidc-provider/login.example.org/acme"
SAML = "arn:aws:iam::444455556666:saml-provider/Company"
CLAIMS = {
    "login.example.org/acme:aud": "app",
    "login.example.org/acme:sub": "carol",
    "login.example.org/acme:amr": "mfa",
}
PROVIDERS = [
    (
        {"aws:FederatedProvider": OIDC, **CLAIMS},
        {
            "federatedProvider": OIDC,
            "attributes": {"login.example.org/acme:aud": "app", "login.example.org/acme:sub": "carol"},
        },
    ),
    ({"aws:FederatedProvider": OIDC}, {"federatedProvider": OIDC, "attributes": {}}),
    ({"aws:FederatedProvider": SAML, "saml:sub": "carol"}, None),
    ({}, None),
]


@table("keys, expected", PROVIDERS)
def test_session_of_an_oidc_provider_names_it(keys: dict[str, str], expected: dict[str, Any] | None) -> None:
    """As in CloudTrail: the provider, its client and its subject; SAML has no such member."""
    principal = replace(SESSION, session={**SESSION.session, **keys}, credential=Credential("session", "fs-2a3b4c5d6e"))
    record = sign_in_record(SignInEvent(name="ConsoleLogin", principal=principal), CALL, STAMP)
    identity: Any = record["userIdentity"]
    assert (identity["type"], identity["credentialId"]) == ("AssumedRole", "fs-2a3b4c5d6e")
    assert identity["sessionContext"].get("webIdFederationData") == expected


CLOUDTRAIL_1_11 = {
    "eventTime", "eventVersion", "userIdentity", "eventSource", "eventName", "awsRegion", "sourceIPAddress",
    "userAgent", "errorCode", "errorMessage", "requestParameters", "responseElements", "additionalEventData",
    "requestID", "eventID", "eventType", "apiVersion", "managementEvent", "readOnly", "resources",
    "recipientAccountId", "serviceEventDetails", "sharedEventID", "vpcEndpointId", "vpcEndpointAccountId",
    "eventCategory", "addendum", "sessionCredentialFromConsole", "eventContext", "edgeDeviceDetails", "tlsDetails",
}  # fmt: skip

ALWAYS = {
    "eventTime", "eventVersion", "userIdentity", "eventSource", "eventName", "awsRegion", "sourceIPAddress",
    "requestParameters", "responseElements", "requestID", "eventID", "eventType", "readOnly", "recipientAccountId",
    "eventCategory", "managementEvent", "iamGuard",
}  # fmt: skip


@table("name", RECORDS)
def test_record_equals_its_golden_file(name: str) -> None:
    """All members and values."""
    assert json.loads(to_line(RECORDS[name])) == json.loads((GOLDEN / f"{name}.json").read_text())


def test_every_golden_file_is_used() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(RECORDS)


@table("name", RECORDS)
def test_record_has_cloudtrail_members_and_iam_guard(name: str) -> None:
    """Top-level names are CloudTrail's and `iamGuard`; the mandatory ones are present."""
    names = set(RECORDS[name])
    assert names - CLOUDTRAIL_1_11 == {"iamGuard"}
    assert names >= ALWAYS


def test_every_kind_of_caller_has_a_golden_record() -> None:
    """CloudTrail's types for the six kinds of principal, and for an unknown caller."""
    identities: list[Any] = [record["userIdentity"] for record in RECORDS.values()]
    kinds = {identity["type"] for identity in identities}
    assert kinds == {"Root", "IAMUser", "AssumedRole", "FederatedUser", "AWSService", "AWSAccount", "Unknown"}


@table(
    ("action", "source", "name", "read_only", "category"),
    [
        ("docs:GetDocument", "docs", "GetDocument", True, "Data"),
        ("docs:Get", "docs", "Get", True, "Data"),
        ("docs:Getaway", "docs", "Getaway", False, "Data"),
        ("docs:BatchGetDocuments", "docs", "BatchGetDocuments", True, "Data"),
        ("docs:BatchDeleteDocuments", "docs", "BatchDeleteDocuments", False, "Data"),
        ("docs:getDocument", "docs", "getDocument", False, "Data"),
        ("iam:ListUsers", "iam.amazonaws.com", "ListUsers", True, "Management"),
        ("sts:AssumeRole", "sts.amazonaws.com", "AssumeRole", False, "Management"),
    ],
)
def test_action_determines_source_name_read_only_and_category(
    action: str, source: str, name: str, read_only: bool, category: str
) -> None:
    """The application's services keep their prefix, AWS's have AWS's name; read-only verbs set `readOnly`."""
    record = decision_record(decision(ALLOWED, ALICE, action=action), CALL, STAMP)
    assert (record["eventSource"], record["eventName"], record["readOnly"]) == (source, name, read_only)
    assert record["eventCategory"] == category
    assert record["managementEvent"] is (category == "Management")


@table("policy_type", PolicyType)
@table(
    ("outcome", "effect", "verdict"),
    [(ALLOWED, "Allow", "Allow"), (IMPLICIT, None, "ImplicitDeny"), (EXPLICIT, "Deny", "ExplicitDeny")],
)
def test_reason_code_names_verdict_and_policy_type(
    policy_type: PolicyType, outcome: Outcome, effect: str | None, verdict: str
) -> None:
    code = reason_code(decision(outcome, ALICE, Reason(policy_type, effect)))
    assert code.startswith(verdict)
    assert len(code) > len(verdict)
    assert "Default" not in code


def test_reason_code_of_error_and_of_allow_without_statement() -> None:
    """An error is `Error`; the root user's Allow without a statement is `AllowDefault` (E-5)."""
    assert reason_code(decision(IMPLICIT, ALICE, error="broken")) == "Error"
    assert reason_code(decision(ALLOWED, ROOT)) == "AllowDefault"
    assert reason_code(decision(ALLOWED, ROOT, Reason(PolicyType.IDENTITY, note="root"))) == "AllowDefault"


def test_event_time_is_in_utc_seconds() -> None:
    """In any time zone of the clock."""
    stamp = Stamp(datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2))), "id")
    assert decision_record(decision(ALLOWED, ALICE), None, stamp)["eventTime"] == "2025-12-31T23:30:00Z"


@given(st.datetimes(timezones=st.none() | st.timezones()), st.integers(0, 1))
@example(datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Vienna")), 0)
@example(datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Vienna")), 1)
def test_event_time_is_correct_for_any_moment(moment: datetime, fold: int) -> None:
    """Including the repeated hour at the end of daylight saving time."""
    moment = moment.replace(fold=fold)
    with suppress(OverflowError):  # outside of the years 1 to 9999 in UTC
        assert event_time(moment) == moment.astimezone(UTC).isoformat()[:19] + "Z"


def test_surplus_reasons_are_counted() -> None:
    """The reported reason is kept (E-90)."""
    reasons = [Reason(PolicyType.IDENTITY, "Allow", READERS, statement=index) for index in range(MAX_REASONS + 3)]
    extension: Any = decision_record(decision(ALLOWED, ALICE, *reasons), CALL, STAMP)["iamGuard"]
    assert [reason["statement"] for reason in extension["reasons"]] == list(range(MAX_REASONS))
    assert extension["omittedReasons"] == 3


def test_permission_query_of_any_size_is_recorded() -> None:
    """Otherwise long names would prevent a record."""
    decisions = [decision(IMPLICIT, ALICE, resource=f"{DOCUMENT}/{'x' * 1900}", action=f"docs:{'a' * 100}")] * 150
    extension = json.loads(to_line(permission_query_record(ALICE, decisions, CALL, STAMP)))["iamGuard"]
    assert 0 < len(extension["answers"]) < 100
    assert len(extension["answers"]) + extension["omittedAnswers"] == 150
