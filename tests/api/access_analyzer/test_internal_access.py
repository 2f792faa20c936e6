"""Findings of internal access over the wire (AA-11)."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest

from iam_guard.api.access_analyzer import internal_zones
from iam_guard.model.catalogue import Catalogue
from tests.api.access_analyzer.analyzer_parts import create, document_arn, listed, share, statuses
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, Running, allow, refusal
from tests.tables import table

TYPE = "ACCOUNT_INTERNAL_ACCESS"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}],
}


def internal(client: Client, *inclusions: dict[str, Any], name: str = "a") -> str:
    """Create an analyzer of the resources that inclusions select."""
    configuration = {"internalAccess": {"analysisRule": {"inclusions": [*inclusions]}}}
    return create(client, name, TYPE, configuration=configuration)


def principals(client: Client, arn: str) -> dict[str, list[str]]:
    """Return who reaches each resource: the names of principals by that of the resource, of active findings."""
    found: dict[str, list[str]] = {}
    for finding in listed(client, arn, filter={"status": {"eq": ["ACTIVE"]}}):
        (details,) = client.get_finding_v2(analyzerArn=arn, id=finding["id"])["findingDetails"]
        name = details["internalAccessDetails"]["principal"]["AWS"].rpartition("/")[2]
        found.setdefault(finding["resource"].rpartition("/")[2], []).append(name)
    return {resource: sorted(names) for resource, names in found.items()}


def test_principals_of_the_account_are_found(server: Running, analyzer: Client, client_for: Any) -> None:
    """Those whose policies, with that of the resource, allow it; each with the details."""
    client_for("reader", allow("docs:Get", document_arn("plan")))
    client_for("idle", allow("s3:*"))
    arn = internal(analyzer, {"resourceArns": [document_arn("plan")]})
    assert principals(analyzer, arn) == {"plan": ["admin", "reader"]}
    (found,) = listed(analyzer, arn, filter={"principal.AWS": {"contains": ["reader"]}})
    assert (found["findingType"], found["resourceType"]) == ("InternalAccess", "docs:document")
    (details,) = analyzer.get_finding_v2(analyzerArn=arn, id=found["id"])["findingDetails"]
    assert details["internalAccessDetails"] == {
        "action": ["docs:Get"],
        "condition": {},
        "principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/reader"},
        "principalOwnerAccount": ACCOUNT,
        "accessType": "INTRA_ACCOUNT",
        "principalType": "IAM_USER",
        "sources": [{"type": "POLICY"}],
        "resourceControlPolicyRestriction": "NOT_APPLICABLE",
        "serviceControlPolicyRestriction": "NOT_APPLICABLE",
    }


def test_changes_of_policies_are_followed(server: Running, analyzer: Client, client_for: Any, iam: Client) -> None:
    """Those of principals and of the resource."""
    client_for("reader", allow("docs:Get", document_arn("plan")))
    arn = internal(analyzer, {"resourceArns": [document_arn("plan")]})
    assert principals(analyzer, arn) == {"plan": ["admin", "reader"]}
    iam.delete_user_policy(UserName="reader", PolicyName="Statements")
    assert principals(analyzer, arn) == {"plan": ["admin"]}
    assert set(statuses(analyzer, arn)["plan"]) == {"ACTIVE", "RESOLVED"}
    share(server, document_arn("plan"), f"arn:aws:iam::{ACCOUNT}:user/reader")
    assert principals(analyzer, arn) == {"plan": ["admin", "reader"]}
    share(server, document_arn("plan"))  # denies it
    assert principals(analyzer, arn) == {"plan": ["admin"]}


SELECTIONS: list[tuple[list[dict[str, Any]], set[str]]] = [
    ([], set()),
    ([{"accountIds": [ACCOUNT]}], {"one", "two", "bucket", "guest"}),
    ([{"accountIds": [OTHER_ACCOUNT]}], set()),
    ([{"resourceTypes": ["AWS::S3::Bucket"]}], {"bucket"}),
    ([{"resourceTypes": ["AWS::S3::Bucket", "AWS::IAM::Role"]}], {"bucket", "guest"}),
    ([{"resourceArns": [document_arn("one")]}, {"resourceTypes": ["AWS::S3::Bucket"]}], {"one", "bucket"}),
    ([{"resourceArns": [document_arn("one")], "resourceTypes": ["AWS::S3::Bucket"]}], set()),
    ([{"resourceArns": [document_arn("*")]}], {"one", "two"}),
    ([{"resourceArns": [document_arn("unknown")]}], {"unknown"}),
    ([{"resourceArns": [document_arn("one", OTHER_ACCOUNT)]}], set()),
]


@table(("inclusions", "names"), SELECTIONS)
def test_inclusions_select_resources(
    server: Running, analyzer: Client, iam: Client, inclusions: list[dict[str, Any]], names: set[str]
) -> None:
    """Each by all its members; ARNs may have wildcards, and need no record of the resource."""
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName="guest", AssumeRolePolicyDocument=json.dumps(TRUST))
    for arn in (document_arn("one"), document_arn("two"), "arn:aws:s3:::bucket"):
        statement = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "*", "Resource": arn}
        document = {"Version": "2012-10-17", "Statement": [statement]}
        server.guard.resource_policies.put(arn, document, account=ACCOUNT)
    arn = internal(analyzer, *inclusions)
    listed_resources = analyzer.list_analyzed_resources(analyzerArn=arn)["analyzedResources"]
    assert {entry["resourceArn"].replace(":", "/").rpartition("/")[2] for entry in listed_resources} == names
    assert {entry["resource"].replace(":", "/").rpartition("/")[2] for entry in listed(analyzer, arn)} == names
    analyzer.delete_analyzer(analyzerName="a")


def test_statistics_and_resources_of_internal_access(server: Running, analyzer: Client) -> None:
    arn = internal(analyzer, {"resourceArns": [document_arn("plan")]})
    (statistics,) = analyzer.get_findings_statistics(analyzerArn=arn)["findingsStatistics"]
    counts = {"totalActiveFindings": 1, "totalResolvedFindings": 0, "totalArchivedFindings": 0}
    assert statistics["internalAccessFindingsStatistics"] == {
        "resourceTypeStatistics": {"docs:document": counts},
        **counts,
    }
    resource = analyzer.get_analyzed_resource(analyzerArn=arn, resourceArn=document_arn("plan"))["resource"]
    assert (resource["status"], resource["isPublic"]) == ("ACTIVE", False)
    with refusal("ValidationException"):
        analyzer.start_resource_scan(analyzerArn=arn, resourceArn=document_arn("plan"))


def test_changed_configuration_selects_again(server: Running, analyzer: Client) -> None:
    """What is no longer selected is resolved."""
    arn = internal(analyzer, {"resourceArns": [document_arn("plan")]})
    assert statuses(analyzer, arn) == {"plan": ["ACTIVE"]}
    rule = {"analysisRule": {"inclusions": [{"resourceArns": [document_arn("draft")]}]}}
    analyzer.update_analyzer(analyzerName="a", configuration={"internalAccess": rule})
    assert statuses(analyzer, arn) == {"plan": ["RESOLVED"], "draft": ["ACTIVE"]}


def test_other_account_is_not_inside(server: Running, analyzer: Client, other_analyzer: Client) -> None:
    """Its analyzer finds its principals, and nothing of resources of the first."""
    share(server, document_arn("plan"), OTHER_ACCOUNT)
    arn = internal(analyzer, {"resourceArns": [document_arn("plan")]})
    assert principals(analyzer, arn) == {"plan": ["admin"]}
    theirs = internal(other_analyzer, {"resourceArns": [document_arn("plan"), document_arn("*")]})
    assert listed(other_analyzer, theirs) == []


@pytest.mark.over_http
def test_declared_actions_of_the_application_are_all_there_are(
    server: Running, analyzer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without declarations, any action may exist. Each `requires` with a full action name has a catalogue."""
    arn = internal(analyzer, {"resourceArns": [document_arn("plan")]})
    (found,) = listed(analyzer, arn)
    actions = analyzer.get_finding_v2(analyzerArn=arn, id=found["id"])["findingDetails"][0]
    assert actions["internalAccessDetails"]["action"] == ["docs:*"]
    catalogues = []
    for name in ("Get", "Put"):
        catalogues.append(Catalogue("docs"))
        catalogues[-1].declare_action(name)
    server.change(monkeypatch, catalogues=tuple(catalogues))
    monkeypatch.setattr(internal_zones, "MAX_AGE", 0)
    analyzer.update_analyzer(
        analyzerName="a",
        configuration={"internalAccess": {"analysisRule": {"inclusions": [{"resourceArns": [document_arn("plan")]}]}}},
    )
    (found,) = listed(analyzer, arn, filter={"status": {"eq": ["ACTIVE"]}})
    actions = analyzer.get_finding_v2(analyzerArn=arn, id=found["id"])["findingDetails"][0]
    assert actions["internalAccessDetails"]["action"] == ["docs:Get", "docs:Put"]
