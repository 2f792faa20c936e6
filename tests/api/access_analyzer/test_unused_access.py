"""Findings of unused access, and recommendations, over the wire (AA-10, AA-43)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iam_guard.api.access_analyzer import finding_updates
from iam_guard.api.access_analyzer.finding_analysis import UNUSED_SECONDS
from iam_guard.store.schema import access_key_uses, access_keys, analyzers, identities, policy_versions, service_uses
from tests.api.access_analyzer.analyzer_parts import create, listed
from tests.api.conftest import ACCOUNT, ADMIN_KEY, Client, Running, allow, refusal
from tests.tables import table

TYPE = "ACCOUNT_UNUSED_ACCESS"
DAY = 86400
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
READER = f"arn:aws:iam::{ACCOUNT}:user/reader"


@pytest.fixture
def old(server: Running, iam: Client, client_for: Any, now: int) -> str:
    """A user who used some of its permissions, and a role that was never used; all were made a year ago."""
    client_for("reader", allow(["docs:Get", "docs:Delete"]), allow("mail:Send"))
    iam.create_role(RoleName="idle", AssumeRolePolicyDocument=json.dumps(TRUST), Tags=[{"Key": "team", "Value": "ops"}])
    with server.store.write_transaction() as records:
        for changed in (identities, access_keys, policy_versions):
            records.update(changed, {"created": now - 365 * DAY})
        reader = records.one(identities, name="reader")
        assert reader is not None
        use = {"identity_id": reader["id"], "region": "us-east-1"}
        records.insert(service_uses, **use, service="docs", action="Get", at=now - DAY)
        records.insert(service_uses, **use, service="docs", action="Delete", at=now - 100 * DAY)
        (key,) = records.all(access_keys, user_id=reader["id"])
        records.insert(access_key_uses, access_key_id=key["id"], at=now - 100 * DAY, region="us-east-1", service="docs")
    return str(reader["id"])


def unused(client: Client, arn: str, **more: Any) -> set[tuple[str, str, str]]:
    """Return the type, the resource's name and the status of each finding, of the two made by `old`."""
    found = listed(client, arn, **more)
    rows = [(entry["findingType"], entry["resource"].rpartition("/")[2], entry["status"]) for entry in found]
    return {row for row in rows if row[1] in ("reader", "idle")}


EXPECTED = {
    ("UnusedIAMRole", "idle", "ACTIVE"),
    ("UnusedIAMUserAccessKey", "reader", "ACTIVE"),
    ("UnusedPermission", "reader", "ACTIVE"),
}


def test_unused_access_is_found_with_its_details(old: str, analyzer: Client, now: int) -> None:
    arn = create(analyzer, "a", TYPE)
    assert unused(analyzer, arn) == EXPECTED
    details = {}
    for finding in listed(analyzer, arn, filter={"resource": {"contains": ["reader", "idle"]}}):
        answer = analyzer.get_finding_v2(analyzerArn=arn, id=finding["id"])
        details[finding["findingType"]] = answer["findingDetails"]
    assert details["UnusedIAMRole"] == [{"unusedIamRoleDetails": {}}]
    (key,) = details["UnusedIAMUserAccessKey"]
    assert key["unusedIamUserAccessKeyDetails"]["accessKeyId"].startswith("AKIA")
    assert key["unusedIamUserAccessKeyDetails"]["lastAccessed"].timestamp() == now - 100 * DAY
    services = {entry["unusedPermissionDetails"]["serviceNamespace"]: entry for entry in details["UnusedPermission"]}
    (delete,) = services["docs"]["unusedPermissionDetails"]["actions"]
    assert (delete["action"], delete["lastAccessed"].timestamp()) == ("docs:Delete", now - 100 * DAY)
    assert "mail" in services


@table(
    ("configuration", "expected"),
    [
        ({"unusedAccessAge": 101}, EXPECTED - {("UnusedIAMUserAccessKey", "reader", "ACTIVE")}),
        ({"analysisRule": {"exclusions": [{"resourceTags": [{"team": "ops"}]}]}},
         EXPECTED - {("UnusedIAMRole", "idle", "ACTIVE")}),
        ({"analysisRule": {"exclusions": [{"resourceTags": [{"team": ""}]}]}},
         EXPECTED - {("UnusedIAMRole", "idle", "ACTIVE")}),
        ({"analysisRule": {"exclusions": [{"resourceTags": [{"team": "dev"}]}]}}, EXPECTED),
    ],
)  # fmt: skip
def test_configuration_limits_what_is_found(
    old: str, analyzer: Client, configuration: dict[str, Any], expected: set[Any]
) -> None:
    """Changed configurations, too: what is no longer found is resolved."""
    arn = create(analyzer, "a", TYPE, configuration={"unusedAccess": configuration})
    assert unused(analyzer, arn) == expected
    analyzer.update_analyzer(analyzerName="a", configuration={"unusedAccess": {"unusedAccessAge": 90}})
    assert unused(analyzer, arn, filter={"status": {"eq": ["ACTIVE"]}}) == EXPECTED
    analyzer.delete_analyzer(analyzerName="a")


def test_later_use_resolves_the_finding(server: Running, old: str, analyzer: Client, now: int) -> None:
    """The analysis is repeated after an hour, since uses are not in the change feed."""
    arn = create(analyzer, "a", TYPE)
    listed(analyzer, arn)
    with server.store.write_transaction() as records:
        records.update(service_uses, {"at": now - DAY}, identity_id=old, action="Delete")
    assert unused(analyzer, arn) == EXPECTED
    assert finding_updates.UNUSED_SECONDS == UNUSED_SECONDS
    with server.store.write_transaction() as records:
        records.update(analyzers, {"analyzed": now - UNUSED_SECONDS}, name="a")
    found = [entry for entry in listed(analyzer, arn) if entry["resource"] == READER]
    by_status = sorted((entry["findingType"], entry["status"]) for entry in found)
    assert by_status == [
        ("UnusedIAMUserAccessKey", "ACTIVE"),
        ("UnusedPermission", "ACTIVE"),
        ("UnusedPermission", "RESOLVED"),
    ]


def test_statistics_count_by_type(old: str, analyzer: Client) -> None:
    arn = create(analyzer, "a", TYPE)
    (statistics,) = analyzer.get_findings_statistics(analyzerArn=arn)["findingsStatistics"]
    counts = statistics["unusedAccessFindingsStatistics"]
    types = {entry["unusedAccessType"]: entry["total"] for entry in counts["unusedAccessTypeStatistics"]}
    assert {"UnusedIAMRole", "UnusedIAMUserAccessKey", "UnusedPermission"} <= types.keys()
    assert counts["totalActiveFindings"] == sum(types.values())
    with refusal("ValidationException"):
        analyzer.list_analyzed_resources(analyzerArn=arn)


# --- recommendations ---------------------------------------------------------------------------------------------


def permission(client: Client, arn: str) -> str:
    (found,) = listed(client, arn, filter={"findingType": {"eq": ["UnusedPermission"]}, "resource": {"eq": [READER]}})
    id: str = found["id"]
    return id


def test_recommendation_replaces_the_policy(old: str, analyzer: Client, now: int) -> None:
    """With one that allows what was used, and nothing more."""
    arn = create(analyzer, "a", TYPE)
    id = permission(analyzer, arn)
    analyzer.generate_finding_recommendation(analyzerArn=arn, id=id)
    answer = analyzer.get_finding_recommendation(analyzerArn=arn, id=id)
    assert (answer["status"], answer["resourceArn"]) == ("SUCCEEDED", READER)
    assert answer["startedAt"].timestamp() == answer["completedAt"].timestamp() == now
    (step,) = answer["recommendedSteps"]
    recommended = step["unusedPermissionsRecommendedStep"]
    assert (recommended["recommendedAction"], recommended["existingPolicyId"]) == ("CREATE_POLICY", "Statements")
    used = {"actions": ["docs:Delete", "mail:Send"]}
    text = recommended["recommendedPolicy"]
    check = analyzer.check_access_not_granted(policyDocument=text, access=[used], policyType="IDENTITY_POLICY")
    assert check["result"] == "PASS"
    kept = {"actions": ["docs:Get"]}
    check = analyzer.check_access_not_granted(policyDocument=text, access=[kept], policyType="IDENTITY_POLICY")
    assert check["result"] == "FAIL"
    analyzer.generate_finding_recommendation(analyzerArn=arn, id=id)
    again = analyzer.get_finding_recommendation(analyzerArn=arn, id=id)
    assert again["recommendedSteps"] == answer["recommendedSteps"]


def test_recommendation_needs_a_finding_of_permissions(
    old: str, analyzer: Client, other_analyzer: Client, iam: Client
) -> None:
    arn = create(analyzer, "a", TYPE)
    (role,) = listed(analyzer, arn, filter={"findingType": {"eq": ["UnusedIAMRole"]}})
    with refusal("ValidationException", "UnusedPermission"):
        analyzer.generate_finding_recommendation(analyzerArn=arn, id=role["id"])
    id = permission(analyzer, arn)
    with refusal("ResourceNotFoundException", "no recommendation"):
        analyzer.get_finding_recommendation(analyzerArn=arn, id=id)
    analyzer.generate_finding_recommendation(analyzerArn=arn, id=id)
    theirs = create(other_analyzer, "a", TYPE)
    for call in (other_analyzer.get_finding_recommendation, other_analyzer.generate_finding_recommendation):
        with refusal("AccessDeniedException"):
            call(analyzerArn=arn, id=id)
        with refusal("ResourceNotFoundException"):
            call(analyzerArn=theirs, id=id)
    iam.delete_user_policy(UserName="reader", PolicyName="Statements")
    with refusal("ValidationException", "resolved"):
        analyzer.generate_finding_recommendation(analyzerArn=arn, id=id)


def test_recommendation_for_a_deleted_user_fails(server: Running, old: str, analyzer: Client) -> None:
    arn = create(analyzer, "a", TYPE)
    id = permission(analyzer, arn)
    analyzer.generate_finding_recommendation(analyzerArn=arn, id=id)
    with server.store.write_transaction() as records:
        records.delete(identities, id=old)
    server.guard.refresh()
    answer = analyzer.get_finding_recommendation(analyzerArn=arn, id=id)
    assert (answer["status"], answer["error"]["code"]) == ("FAILED", "SERVICE_ERROR")
    assert "reader" in answer["error"]["message"]
    assert server.client(ADMIN_KEY).get_user(UserName="admin")
