"""Findings and paths as the analyses write them in JSON: those of a company, of a large one, and hostile texts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from iam_guard.analysis.reports.access_report import AccessReport

NOW = datetime(2026, 11, 29, 2, 10, tzinfo=UTC)
Json = dict[str, Any]


def external(
    resource: str,
    resource_type: str,
    principal: dict[str, str],
    *actions: str,
    is_public: bool = False,
    condition: dict[str, str] | None = None,
) -> Json:
    """Return a finding of external access."""
    return {
        "resource": resource,
        "resourceType": resource_type,
        "principal": principal,
        "action": list(actions),
        "condition": condition or {},
        "isPublic": is_public,
    }


def unused(kind: str, resource: str, days: int | None, service: str = "", *actions: str, key: str = "") -> Json:
    """Return a finding of unused access; `days` are the days since the last use, None for never."""
    last = None if days is None else f"{NOW - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
    members: Json = {
        "findingType": kind,
        "resource": resource,
        "resourceType": "AWS::IAM::User" if ":user/" in resource else "AWS::IAM::Role",
        "resourceOwnerAccount": resource.split(":")[4],
        "lastAccessed": last,
    }
    if key:
        members["accessKeyId"] = key
    if service:
        named = [{"action": f"{service}:{action}", "lastAccessed": last} for action in actions]
        of_service = f"{NOW - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}" if actions else last  # other actions were used
        members |= {"serviceNamespace": service, "actions": named, "lastAccessed": of_service}
    return members


def path(start: str, target: str, *steps: tuple[str, str, str]) -> Json:
    """Return a path; a step is an action, its resource, and why it is allowed."""
    members = ("action", "resource", "why")
    return {"from": start, "to": target, "steps": [dict(zip(members, step, strict=True)) for step in steps]}


EXTERNAL = [
    external("arn:aws:s3:::acme-press-kit", "AWS::S3::Bucket", {"AWS": "*"}, "s3:GetObject", is_public=True),
    external(
        "arn:aws:sqs:eu-central-1:111122223333:partner-orders-incoming",
        "AWS::SQS::Queue",
        {"AWS": "444455556666"},
        "sqs:SendMessage",
        "sqs:GetQueueUrl",
        condition={"aws:SourceIp": "203.0.113.0/24"},
    ),
    external(
        "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "AWS::KMS::Key",
        {"AWS": "arn:aws:iam::444455556666:root"},
        "kms:Decrypt",
        "kms:DescribeKey",
    ),
    external(
        "arn:aws:iam::111122223333:role/ci/deploy-production",
        "AWS::IAM::Role",
        {"Federated": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"},
        "sts:AssumeRoleWithWebIdentity",
        condition={"token.actions.githubusercontent.com:sub": "repo:acme/*:ref:refs/heads/main"},
    ),
    external(
        "arn:aws:iam::111122223333:role/monitoring",
        "AWS::IAM::Role",
        {"AWS": "arn:aws:iam::777788889999:role/vendor-monitoring-collector"},
        "sts:AssumeRole",
        condition={"sts:ExternalId": "7f3a-acme"},
    ),
    external(
        "arn:aws:docs:eu-central-1:111122223333:document/legal/2026/contract-with-a-rather-long-name-2026-11-final-v7",
        "docs:document",
        {"AWS": "arn:aws:iam::777788889999:user/auditors/erika.mustermann"},
        "docs:GetDocument",
        "docs:GetDocumentVersion",
        "docs:ListComments",
        "docs:GetMetadata",
        "docs:Download",
        "docs:Print",
        condition={"docs:class": "legal, public", "aws:MultiFactorAuthPresent": "true"},
    ),
    external(
        "arn:aws:docs:eu-central-1:111122223333:document/handbook",
        "docs:document",
        {"AWS": "*"},
        "docs:GetDocument",
        is_public=True,
    ),
    external(
        "arn:aws:s3:::acme-data-exchange", "AWS::S3::Bucket", {"AWS": "444455556666"}, "s3:GetObject", "s3:PutObject"
    ),
    external(
        "arn:aws:s3:::acme-data-exchange", "AWS::S3::Bucket", {"AWS": "arn:aws:iam::777788889999:root"}, "s3:GetObject"
    ),
    external(
        "arn:aws:s3:::acme-cdn-logs",
        "AWS::S3::Bucket",
        {"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"},
        "s3:PutObject",
    ),
]
_ACCOUNT = "arn:aws:iam::111122223333"
UNUSED = [
    unused("UnusedIAMRole", f"{_ACCOUNT}:role/legacy-import", None),
    unused("UnusedIAMRole", f"{_ACCOUNT}:role/migration-2024", 611),
    unused("UnusedIAMUserPassword", f"{_ACCOUNT}:user/staff/jonas", 204),
    unused("UnusedIAMUserAccessKey", f"{_ACCOUNT}:user/staff/jonas", 402, key="AKIAIOSFODNN7EXAMPLE"),
    unused("UnusedIAMUserAccessKey", f"{_ACCOUNT}:user/staff/jonas", None, key="AKIAI44QH8DHBEXAMPLE"),
    unused("UnusedIAMUserAccessKey", f"{_ACCOUNT}:user/robot-reports", 95, key="AKIAZZZZZZZZZEXAMPLE"),
    unused("UnusedPermission", f"{_ACCOUNT}:role/ci/deploy-production", None, "iam"),
    unused("UnusedPermission", f"{_ACCOUNT}:role/ci/deploy-production", None, "kms"),
    unused(
        "UnusedPermission",
        f"{_ACCOUNT}:role/ci/deploy-production",
        131,
        "s3",
        "DeleteBucket",
        "PutBucketPolicy",
        "PutBucketAcl",
    ),
    unused("UnusedPermission", f"{_ACCOUNT}:role/ci/deploy-production", 260, "sqs", "DeleteQueue"),
    unused("UnusedPermission", f"{_ACCOUNT}:role/web-backend", 470, "docs", "DeleteDocument", "PurgeDocument"),
    unused("UnusedPermission", f"{_ACCOUNT}:role/web-backend", 120, "s3", *(f"Action{number}" for number in range(23))),
    unused("UnusedPermission", f"{_ACCOUNT}:role/web-backend", None, "secretsmanager"),
    unused("UnusedPermission", f"{_ACCOUNT}:user/staff/maria", 190, "docs", "ShareDocument"),
    unused("UnusedPermission", f"{_ACCOUNT}:user/staff/maria", 377, "iam", "CreateUser", "DeleteUser"),
    unused("UnusedPermission", f"{_ACCOUNT}:role/analytics/quarterly-report-generator-for-the-board", None, "dynamodb"),
    unused(
        "UnusedPermission",
        f"{_ACCOUNT}:role/analytics/quarterly-report-generator-for-the-board",
        99,
        "s3",
        "GetBucketAcl",
    ),
]
ESCALATION = [
    path(
        f"{_ACCOUNT}:user/staff/maria",
        "administrator",
        (
            "iam:AttachUserPolicy",
            f"{_ACCOUNT}:user/staff/maria",
            "allowed by statement `SelfService` of policy `staff-self-service`",
        ),
    ),
    path(
        f"{_ACCOUNT}:role/ci/deploy-production",
        "administrator",
        ("iam:CreatePolicyVersion", f"{_ACCOUNT}:policy/deploy", "allowed by statement `Deploy` of policy `deploy`"),
    ),
    path(
        f"{_ACCOUNT}:user/staff/jonas",
        "administrator",
        (
            "sts:AssumeRole",
            f"{_ACCOUNT}:role/ci/deploy-production",
            "trusted by `deploy-production`, allowed by policy `developers`",
        ),
        ("iam:CreatePolicyVersion", f"{_ACCOUNT}:policy/deploy", "allowed by statement `Deploy` of policy `deploy`"),
    ),
    path(
        f"{_ACCOUNT}:user/robot-reports",
        "administrator",
        (
            "iam:PassRole",
            f"{_ACCOUNT}:role/analytics/quarterly-report-generator-for-the-board",
            "allowed by statement 2 of `reports`",
        ),
        ("lambda:CreateFunction", "*", "allowed by statement 1 of `reports`"),
        ("iam:PutRolePolicy", f"{_ACCOUNT}:role/*", "allowed by statement `All` of policy `analytics`"),
    ),
    path(
        f"{_ACCOUNT}:user/staff/maria",
        f"{_ACCOUNT}:user/staff/jonas",
        ("iam:CreateAccessKey", f"{_ACCOUNT}:user/staff/jonas", "allowed by statement `Keys` of policy `helpdesk`"),
    ),
]
COMPANY = AccessReport("seed.yaml", NOW, EXTERNAL, UNUSED, ESCALATION)
EMPTY = AccessReport("seed.yaml", NOW, [], [], [])
_HOSTILE = (
    "<script>document.title = 'x'</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "]]><svg onload=alert(1)>",
    "</style></title></svg></table><h1>injected</h1>",
    "javascript:alert(1)",
    "&lt;b&gt; &amp; &#60;",
    "\u202egnp.exe\u202c",
    "\x00\x1b[31m\n\r\t\ud800",
    "{{7*7}} ${7*7} {% raw %}",
    "漢字" * 40,
    "x" * 5000,
)


def hostile() -> AccessReport:
    """Return a report in which every text that a tenant can choose is hostile."""
    outside, idle, paths = [], [], []
    for text in _HOSTILE:
        outside.append(external(text, text, {"AWS": text}, text, condition={text: text}))
        outside.append(external(text, text, {text: text}, *([text] * 7), is_public=True))
        idle.append(
            {**unused("UnusedPermission", f"arn:aws:iam::1:role/{text}", None, text, text), "resourceType": text}
        )
        idle.append(unused("UnusedIAMUserAccessKey", f"arn:aws:iam::1:user/{text}", 100, key=text))
        paths.append(path(text, text, (text, text, text)))
    return AccessReport(_HOSTILE[0], NOW, outside, idle, paths)


def large(count: int = 10_000) -> AccessReport:
    """Return a report with that many findings of each kind."""
    accounts = [f"{number:012d}" for number in range(100_000_000_000, 100_000_000_040)]
    types = ("AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::KMS::Key", "docs:document", "docs:folder")
    outside = [
        external(
            f"arn:aws:docs:eu-central-1:111122223333:{types[number % 5]}/{number}",
            types[number % 5],
            {"AWS": "*" if number % 97 == 0 else accounts[number * 7 % 40]},
            "docs:GetDocument",
            is_public=number % 97 == 0,
            condition={"aws:SourceIp": "203.0.113.0/24"} if number % 3 == 0 else None,
        )
        for number in range(count)
    ]
    services = [f"service{number}" for number in range(30)]
    idle = [
        unused(
            "UnusedPermission",
            f"{_ACCOUNT}:role/team-{number // 10}",
            number % 800 + 90,
            services[number * 7 % 30],
            "Read",
        )
        for number in range(count)
    ]
    paths = [
        path(
            f"{_ACCOUNT}:user/person-{number}",
            "administrator" if number % 4 else f"{_ACCOUNT}:role/team-{number % 50}",
            *[("sts:AssumeRole", f"{_ACCOUNT}:role/team-{number % 30}", "allowed by policy `team`")] * (number % 4 + 1),
            ("iam:PutRolePolicy", f"{_ACCOUNT}:role/team-{number % 9}", "allowed by policy `team`"),
        )
        for number in range(count)
    ]
    return AccessReport("the database `iam_guard`", NOW, outside, idle, paths)
