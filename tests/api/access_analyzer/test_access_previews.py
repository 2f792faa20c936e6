"""Access previews over the wire (AA-14)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iam_guard.api.access_analyzer import access_previews as access_previews_module
from iam_guard.api.access_analyzer.preview_configurations import POLICY_MEMBERS
from iam_guard.store.quotas import QUOTAS
from iam_guard.store.schema import access_previews
from tests.api.access_analyzer.analyzer_parts import create, listed, share
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, Running, refusal
from tests.tables import table

QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:orders"
OUTSIDER = "999988887777"
ARNS = {
    "dynamodbStream": "dynamodb:us-east-1:{}:table/a/stream/1",
    "dynamodbTable": "dynamodb:us-east-1:{}:table/a",
    "ecrRepository": "ecr:us-east-1:{}:repository/a",
    "efsFileSystem": "elasticfilesystem:us-east-1:{}:file-system/a",
    "iamRole": "iam::{}:role/a",
    "kmsKey": "kms:us-east-1:{}:key/a",
    "s3Bucket": "s3:::a",
    "s3ExpressDirectoryBucket": "s3express:us-east-1:{}:bucket/a",
    "secretsManagerSecret": "secretsmanager:us-east-1:{}:secret:a",
    "snsTopic": "sns:us-east-1:{}:a",
    "sqsQueue": "sqs:us-east-1:{}:a",
}


def policy(arn: str, *principals: str, action: str = "sqs:SendMessage") -> str:
    is_trust = ":role/" in arn
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": [*principals]},
        "Action": "sts:AssumeRole" if is_trust else action,
        **({} if is_trust else {"Resource": arn}),
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def preview(client: Client, analyzer: str, arn: str, configuration: dict[str, Any], **more: Any) -> str:
    answer = client.create_access_preview(analyzerArn=analyzer, configurations={arn: configuration}, **more)
    id: str = answer["id"]
    return id


def previewed(client: Client, analyzer: str, id: str, **more: Any) -> list[dict[str, Any]]:
    pages = client.get_paginator("list_access_preview_findings").paginate(
        analyzerArn=analyzer, accessPreviewId=id, PaginationConfig={"PageSize": 1}, **more
    )
    return [finding for page in pages for finding in page["findings"]]


@table("kind", sorted(POLICY_MEMBERS))
def test_every_kind_of_policy_is_analysed(analyzer: Client, kind: str) -> None:
    """A new resource, whose policy lets another account in."""
    arn = f"arn:aws:{ARNS[kind].format(ACCOUNT)}"
    text = policy(arn, OUTSIDER, action=f"{arn.split(':')[2]}:*")
    given = {"default": text} if kind == "kmsKey" else text
    owner = create(analyzer, kind)
    id = preview(analyzer, owner, arn, {kind: {POLICY_MEMBERS[kind].member: given}})
    (finding,) = previewed(analyzer, owner, id)
    assert (finding["changeType"], finding["status"], finding["resource"]) == ("NEW", "ACTIVE", arn)
    assert finding["principal"] == {"AWS": OUTSIDER}
    assert finding["resourceType"] == POLICY_MEMBERS[kind].resource_type
    assert "existingFindingId" not in finding
    analyzer.delete_analyzer(analyzerName=kind)


def test_preview_is_compared_with_the_findings(server: Running, analyzer: Client, now: int) -> None:
    """UNCHANGED, CHANGED in the status, or NEW; nothing of the store changes."""
    share(server, QUEUE, OUTSIDER, "888877776666", actions=["sqs:SendMessage"])
    owner = create(analyzer, "a")
    existing = {
        analyzer.get_finding(analyzerArn=owner, id=entry["id"])["finding"]["principal"]["AWS"]: entry["id"]
        for entry in listed(analyzer, owner)
    }
    analyzer.update_findings(analyzerArn=owner, status="ARCHIVED", ids=[existing[OUTSIDER]])
    id = preview(analyzer, owner, QUEUE, {"sqsQueue": {"queuePolicy": policy(QUEUE, OUTSIDER, OTHER_ACCOUNT)}})
    found = {entry["principal"]["AWS"]: entry for entry in previewed(analyzer, owner, id)}
    assert {who: (entry["changeType"], entry["status"]) for who, entry in found.items()} == {
        OUTSIDER: ("UNCHANGED", "ARCHIVED"),
        OTHER_ACCOUNT: ("NEW", "ACTIVE"),
        "888877776666": ("CHANGED", "RESOLVED"),
    }
    assert found[OUTSIDER]["existingFindingId"] == existing[OUTSIDER]
    assert found["888877776666"]["existingFindingStatus"] == "ACTIVE"
    assert {entry["createdAt"].timestamp() for entry in found.values()} == {now}
    assert {entry["id"] for entry in listed(analyzer, owner)} == set(existing.values())
    for filter, expected in (
        ({"changeType": {"eq": ["NEW"]}}, {OTHER_ACCOUNT}),
        ({"existingFindingId": {"exists": True}}, {OUTSIDER, "888877776666"}),
        ({"status": {"neq": ["RESOLVED"]}, "principal.AWS": {"contains": ["9999"]}}, {OUTSIDER}),
    ):
        assert {entry["principal"]["AWS"] for entry in previewed(analyzer, owner, id, filter=filter)} == expected
    with refusal("ValidationException"):
        previewed(analyzer, owner, id, filter={"nonsense": {"exists": True}})


def test_returning_access_changes_its_status(server: Running, analyzer: Client) -> None:
    """The finding would be the resolved one; an archive rule applies to it."""
    share(server, QUEUE, OUTSIDER, actions=["sqs:SendMessage"])
    owner = create(analyzer, "a")
    (existing,) = listed(analyzer, owner)
    share(server, QUEUE)
    text = policy(QUEUE, OUTSIDER)
    id = preview(analyzer, owner, QUEUE, {"sqsQueue": {"queuePolicy": text}})
    (found,) = previewed(analyzer, owner, id)
    assert (found["changeType"], found["status"], found["existingFindingStatus"]) == ("CHANGED", "ACTIVE", "RESOLVED")
    assert found["existingFindingId"] == existing["id"]
    analyzer.create_archive_rule(analyzerName="a", ruleName="all", filter={"isPublic": {"eq": ["false"]}})
    second = preview(analyzer, owner, QUEUE, {"sqsQueue": {"queuePolicy": text}})
    assert [entry["status"] for entry in previewed(analyzer, owner, second)] == ["ARCHIVED"]


@pytest.mark.parametrize(("text", "changes"), [(None, ["UNCHANGED"]), ("", ["CHANGED"])])
def test_missing_policy_is_the_present_one(
    server: Running, analyzer: Client, iam: Client, text: str | None, changes: list[str]
) -> None:
    """An empty text stands for none; both of a resource and of a role."""
    share(server, QUEUE, OUTSIDER, actions=["sqs:SendMessage"])
    role = f"arn:aws:iam::{ACCOUNT}:role/team/guest"
    iam.create_role(RoleName="guest", Path="/team/", AssumeRolePolicyDocument=policy(role, OUTSIDER))
    owner = create(analyzer, "a")
    for arn, kind in ((QUEUE, "sqsQueue"), (role, "iamRole")):
        members = {} if text is None else {POLICY_MEMBERS[kind].member: text}
        found = previewed(analyzer, owner, preview(analyzer, owner, arn, {kind: members}))
        assert [entry["changeType"] for entry in found] == changes


def test_previews_are_described_and_listed(analyzer: Client, now: int) -> None:
    owner = create(analyzer, "a")
    configuration = {"sqsQueue": {"queuePolicy": policy(QUEUE, "*")}}
    ids = {preview(analyzer, owner, QUEUE, configuration) for _ in range(3)}
    pages = analyzer.get_paginator("list_access_previews").paginate(analyzerArn=owner, PaginationConfig={"PageSize": 2})
    assert {entry["id"] for page in pages for entry in page["accessPreviews"]} == ids
    id = min(ids)
    described = analyzer.get_access_preview(analyzerArn=owner, accessPreviewId=id)["accessPreview"]
    assert described.pop("createdAt").timestamp() == now
    assert described == {
        "id": id, "analyzerArn": owner, "configurations": {QUEUE: configuration}, "status": "COMPLETED",
    }  # fmt: skip
    missing = "00000000-0000-0000-0000-000000000000"
    for call in (analyzer.get_access_preview, analyzer.list_access_preview_findings):
        with refusal("ResourceNotFoundException", missing):
            call(analyzerArn=owner, accessPreviewId=missing)


def test_read_analyses_one_preview(analyzer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one of the call, or the oldest that is left."""
    analysed: list[str] = []
    original = access_previews_module._analysed

    def count(store: Any, scope: Any, proposed: Any, owner: str) -> Any:
        analysed.append(proposed.text)
        return original(store, scope, proposed, owner)

    monkeypatch.setattr(access_previews_module, "_analysed", count)
    owner = create(analyzer, "a")
    texts = [policy(QUEUE, f"44445555666{number}") for number in range(3)]
    ids = [preview(analyzer, owner, QUEUE, {"sqsQueue": {"queuePolicy": text}}) for text in texts]
    previewed(analyzer, owner, ids[1])
    assert analysed == [texts[1]]
    for count_of_lists in (1, 2, 3):
        listed_previews = analyzer.list_access_previews(analyzerArn=owner)["accessPreviews"]
        completed = [entry["id"] for entry in listed_previews if entry["status"] == "COMPLETED"]
        assert len(completed) == len(analysed) == min(1 + count_of_lists, 3)


@pytest.mark.parametrize("text", ["{", "[]", policy(QUEUE, "*").ljust(20_481)], ids=["json", "list", "long"])
def test_invalid_policy_fails_the_preview(analyzer: Client, text: str) -> None:
    owner = create(analyzer, "a")
    id = preview(analyzer, owner, QUEUE, {"sqsQueue": {"queuePolicy": text}})
    described = analyzer.get_access_preview(analyzerArn=owner, accessPreviewId=id)["accessPreview"]
    assert (described["status"], described["statusReason"]) == ("FAILED", {"code": "INVALID_CONFIGURATION"})
    with refusal("ValidationException", "failed"):
        analyzer.list_access_preview_findings(analyzerArn=owner, accessPreviewId=id)


SNAPSHOT = f"arn:aws:ec2:us-east-1:{ACCOUNT}:snapshot/snap-1"
UNSUPPORTED: list[tuple[dict[str, Any], str]] = [
    ({QUEUE: {"sqsQueue": {}}, f"{QUEUE}2": {"sqsQueue": {}}}, "one resource"),
    ({}, "one resource"),
    ({QUEUE: {"snsTopic": {}}}, "AWS::SNS::Topic"),
    ({"nonsense": {"snsTopic": {}}}, "AWS::SNS::Topic"),
    ({SNAPSHOT: {"ebsSnapshot": {"groups": ["all"]}}}, "ebsSnapshot has no policy"),
    ({"arn:aws:s3:::a": {"s3Bucket": {"bucketPolicy": "", "accessPoints": {}}}}, "accessPoints"),
    ({f"arn:aws:kms:us-east-1:{ACCOUNT}:key/a": {"kmsKey": {"grants": []}}}, "grants"),
    ({f"arn:aws:kms:us-east-1:{ACCOUNT}:key/a": {"kmsKey": {"keyPolicies": {"other": "{}"}}}}, "key policy"),
    ({QUEUE.replace(ACCOUNT, OTHER_ACCOUNT): {"sqsQueue": {}}}, "zone of trust"),
]


@table(("configurations", "sentence"), UNSUPPORTED)
def test_configuration_without_counterpart_is_rejected(
    analyzer: Client, configurations: dict[str, Any], sentence: str
) -> None:
    owner = create(analyzer, "a")
    with refusal("ValidationException", sentence, 400):
        analyzer.create_access_preview(analyzerArn=owner, configurations=configurations)
    analyzer.delete_analyzer(analyzerName="a")


def test_preview_needs_external_access(analyzer: Client) -> None:
    owner = create(analyzer, "a", "ACCOUNT_UNUSED_ACCESS")
    with refusal("ValidationException", "external access"):
        preview(analyzer, owner, QUEUE, {"sqsQueue": {}})


def test_repeated_preview_is_the_same(analyzer: Client) -> None:
    owner = create(analyzer, "a")
    first = preview(analyzer, owner, QUEUE, {"sqsQueue": {}}, clientToken="t")
    assert preview(analyzer, owner, QUEUE, {"sqsQueue": {}}, clientToken="t") == first
    with refusal("ConflictException"):
        preview(analyzer, owner, QUEUE, {"sqsQueue": {"queuePolicy": ""}}, clientToken="t")


def test_oldest_previews_are_deleted(server: Running, analyzer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUOTAS, "access previews per analyzer", 2)
    owner = create(analyzer, "a")
    first = preview(analyzer, owner, QUEUE, {"sqsQueue": {}})
    with server.store.write_transaction() as records:
        records.update(access_previews, {"created": 1}, id=first)
    others = {preview(analyzer, owner, QUEUE, {"sqsQueue": {}}) for _ in range(2)}
    assert {entry["id"] for entry in analyzer.list_access_previews(analyzerArn=owner)["accessPreviews"]} == others


def test_other_account_sees_no_preview(analyzer: Client, other_analyzer: Client) -> None:
    owner, own = create(analyzer, "a"), create(other_analyzer, "a")
    id = preview(analyzer, owner, QUEUE, {"sqsQueue": {"queuePolicy": policy(QUEUE, "*")}})
    for call in (other_analyzer.get_access_preview, other_analyzer.list_access_preview_findings):
        with refusal("AccessDeniedException"):
            call(analyzerArn=owner, accessPreviewId=id)
        with refusal("ResourceNotFoundException"):
            call(analyzerArn=own, accessPreviewId=id)
    with refusal("AccessDeniedException"):
        preview(other_analyzer, owner, QUEUE, {"sqsQueue": {}})
    assert other_analyzer.list_access_previews(analyzerArn=own)["accessPreviews"] == []
