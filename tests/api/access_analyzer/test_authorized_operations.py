"""Every operation of Access Analyzer is authorized on the resource that AWS's service authorization reference names."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import xform_name

from iam_guard.api.access_analyzer.operation_table import ACCESS_ANALYZER
from iam_guard.api.protocol.service_model import load_api
from tests.api.access_analyzer.analyzer_parts import arn_of, create
from tests.api.conftest import ACCOUNT, Client, Running, allow, refusal
from tests.tables import table

UUID = "00000000-0000-0000-0000-000000000000"
ANALYZER, RULE = arn_of("a"), f"{arn_of('a')}/archive-rule/r"
FILTER = {"isPublic": {"eq": ["true"]}}
DOCUMENT = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get","Resource":"*"}]}'
QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:a"

OPERATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "ApplyArchiveRule": (RULE, {"analyzerArn": ANALYZER, "ruleName": "r"}),
    "CancelPolicyGeneration": ("*", {"jobId": "x"}),
    "CheckAccessNotGranted": (
        "*",
        {"policyDocument": DOCUMENT, "access": [{"actions": ["s3:Put"]}], "policyType": "IDENTITY_POLICY"},
    ),
    "CheckNoNewAccess": (
        "*",
        {"newPolicyDocument": DOCUMENT, "existingPolicyDocument": DOCUMENT, "policyType": "IDENTITY_POLICY"},
    ),
    "CheckNoPublicAccess": ("*", {"policyDocument": DOCUMENT, "resourceType": "AWS::S3::Bucket"}),
    "CreateAccessPreview": (ANALYZER, {"analyzerArn": ANALYZER, "configurations": {QUEUE: {"sqsQueue": {}}}}),
    "CreateAnalyzer": (arn_of("new"), {"analyzerName": "new", "type": "ACCOUNT_UNUSED_ACCESS"}),
    "CreateArchiveRule": (f"{ANALYZER}/archive-rule/s", {"analyzerName": "a", "ruleName": "s", "filter": FILTER}),
    "DeleteAnalyzer": (ANALYZER, {"analyzerName": "a"}),
    "DeleteArchiveRule": (RULE, {"analyzerName": "a", "ruleName": "r"}),
    "GenerateFindingRecommendation": (ANALYZER, {"analyzerArn": ANALYZER, "id": "x"}),
    "GetAccessPreview": (ANALYZER, {"analyzerArn": ANALYZER, "accessPreviewId": UUID}),
    "GetAnalyzedResource": (ANALYZER, {"analyzerArn": ANALYZER, "resourceArn": QUEUE}),
    "GetAnalyzer": (ANALYZER, {"analyzerName": "a"}),
    "GetArchiveRule": (RULE, {"analyzerName": "a", "ruleName": "r"}),
    "GetFinding": (ANALYZER, {"analyzerArn": ANALYZER, "id": "x"}),
    "GetFindingRecommendation": (ANALYZER, {"analyzerArn": ANALYZER, "id": "x"}),
    "GetFindingV2": (ANALYZER, {"analyzerArn": ANALYZER, "id": "x"}),
    "GetFindingsStatistics": (ANALYZER, {"analyzerArn": ANALYZER}),
    "GetGeneratedPolicy": ("*", {"jobId": "x"}),
    "ListAccessPreviewFindings": (ANALYZER, {"analyzerArn": ANALYZER, "accessPreviewId": UUID}),
    "ListAccessPreviews": (ANALYZER, {"analyzerArn": ANALYZER}),
    "ListAnalyzedResources": (ANALYZER, {"analyzerArn": ANALYZER}),
    "ListAnalyzers": ("*", {}),
    "ListArchiveRules": (ANALYZER, {"analyzerName": "a"}),
    "ListFindings": (ANALYZER, {"analyzerArn": ANALYZER}),
    "ListFindingsV2": (ANALYZER, {"analyzerArn": ANALYZER}),
    "ListPolicyGenerations": ("*", {}),
    "ListTagsForResource": (ANALYZER, {"resourceArn": ANALYZER}),
    "StartPolicyGeneration": (
        "*",
        {"policyGenerationDetails": {"principalArn": f"arn:aws:iam::{ACCOUNT}:user/admin"}},
    ),
    "StartResourceScan": (ANALYZER, {"analyzerArn": ANALYZER, "resourceArn": QUEUE}),
    "TagResource": (ANALYZER, {"resourceArn": ANALYZER, "tags": {"a": "b"}}),
    "UntagResource": (ANALYZER, {"resourceArn": ANALYZER, "tagKeys": ["a"]}),
    "UpdateAnalyzer": (ANALYZER, {"analyzerName": "a"}),
    "UpdateArchiveRule": (RULE, {"analyzerName": "a", "ruleName": "r", "filter": FILTER}),
    "UpdateFindings": (ANALYZER, {"analyzerArn": ANALYZER, "status": "ARCHIVED", "resourceArn": QUEUE}),
    "ValidatePolicy": ("*", {"policyDocument": DOCUMENT, "policyType": "IDENTITY_POLICY"}),
}
"""Operation -> the resource that AWS authorizes, and valid parameters."""


def test_every_operation_of_the_model_is_served_or_has_a_reason() -> None:
    assert set(load_api("accessanalyzer").operations) == {*ACCESS_ANALYZER.operations, *ACCESS_ANALYZER.not_supported}
    assert set(ACCESS_ANALYZER.operations) == set(OPERATIONS)


@pytest.fixture
def prepared(analyzer: Client) -> Client:
    """An analyzer with a rule, tags and no findings."""
    create(analyzer, archiveRules=[{"ruleName": "r", "filter": FILTER}], tags={"team": "red"})
    return analyzer


@table("operation", sorted(OPERATIONS))
def test_denied_caller_gets_the_resource_and_changes_nothing(
    server: Running, prepared: Client, client_for: Any, operation: str
) -> None:
    """X-1; the same for an analyzer that exists and for one that does not."""
    client_for("newcomer")
    denied = server.client(("AKIA00000000NEWCOMER", "secret-of-newcomer"), "accessanalyzer")
    epoch = server.store.epoch()
    resource, parameters = OPERATIONS[operation]
    on = "" if resource == "*" else f" on resource: {resource}"
    sentence = f"is not authorized to perform: access-analyzer:{operation}{on} because no identity-based policy"
    with refusal("AccessDeniedException", sentence, 403):
        getattr(denied, xform_name(operation))(**parameters)
    assert server.store.epoch() == epoch


@table("operation", sorted(OPERATIONS))
def test_permission_on_the_resource_is_sufficient(
    server: Running, client_for: Any, analyzer: Client, operation: str
) -> None:
    """What is denied then is only that an entity does not exist."""
    for row in analyzer.list_analyzers()["analyzers"]:
        analyzer.delete_analyzer(analyzerName=row["name"])
    create(analyzer, archiveRules=[{"ruleName": "r", "filter": FILTER}])
    resource, parameters = OPERATIONS[operation]
    client_for("asker", allow(f"access-analyzer:{operation}", resource))
    asker = server.client(("AKIA00000000000ASKER", "secret-of-asker"), "accessanalyzer")
    try:
        getattr(asker, xform_name(operation))(**parameters)
    except asker.exceptions.ResourceNotFoundException:
        assert {"id", "jobId", "accessPreviewId", "resourceArn"} & parameters.keys()
    except asker.exceptions.ValidationException:
        assert operation == "UpdateAnalyzer"  # external access has no configuration


@table("operation", sorted(ACCESS_ANALYZER.not_supported))
def test_unsupported_operation_has_its_reason(analyzer: Client, operation: str) -> None:
    parameters = {"type": "ACCOUNT"} if operation.startswith("Create") else {"analyzerName": "a"}
    with refusal("NotSupported", ACCESS_ANALYZER.not_supported[operation], 400):
        getattr(analyzer, xform_name(operation))(**parameters)
