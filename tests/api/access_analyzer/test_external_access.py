"""Findings of external access over the wire: found, listed, filtered, archived, resolved (AA-3 to AA-13)."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore import xform_name

from iam_guard.api.access_analyzer import finding_updates
from iam_guard.api.access_analyzer.finding_updates import KEPT_SECONDS
from iam_guard.store.schema import analyzers, findings, resources
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.api.access_analyzer.analyzer_parts import arn_of, create, document_arn, listed, share, statuses
from tests.api.conftest import ACCOUNT, ADMIN_KEY, OTHER_ACCOUNT, Client, Running, refusal
from tests.tables import table

OUTSIDER = "999988887777"


@pytest.fixture
def shared(server: Running, analyzer: Client) -> str:
    """An analyzer; of four documents, one is public, one shared with conditions, one with two accounts, one private."""
    share(server, document_arn("public"), "*")
    share(server, document_arn("limited"), OUTSIDER, condition={"StringEquals": {"aws:SourceVpc": "vpc-1"}})
    share(server, document_arn("two"), OUTSIDER, OTHER_ACCOUNT, actions=["docs:Get", "docs:Put"])
    share(server, document_arn("private"), ACCOUNT)
    return create(analyzer, "a")


def test_shared_resources_are_found(shared: str, analyzer: Client, now: int) -> None:
    """Not what is shared within the account."""
    found = {(entry["resource"].rpartition("/")[2], entry["status"]) for entry in listed(analyzer, shared)}
    assert found == {("public", "ACTIVE"), ("limited", "ACTIVE"), ("two", "ACTIVE")}
    assert len(listed(analyzer, shared)) == 4
    described = analyzer.get_analyzer(analyzerName="a")["analyzer"]
    assert described["lastResourceAnalyzedAt"].timestamp() == now
    assert described["lastResourceAnalyzed"].startswith("arn:aws:docs:")


def test_finding_has_its_details(shared: str, analyzer: Client, now: int) -> None:
    """In both versions."""
    (public,) = listed(analyzer, shared, filter={"isPublic": {"eq": ["true"]}})
    assert public["findingType"] == "ExternalAccess"
    assert public["resourceType"] == "docs:document"
    assert public["resourceOwnerAccount"] == ACCOUNT
    whole = analyzer.get_finding(analyzerArn=shared, id=public["id"])["finding"]
    assert {name: whole[name] for name in ("principal", "action", "condition", "isPublic", "sources", "resource")} == {
        "principal": {"AWS": "*"},
        "action": ["docs:Get"],
        "condition": {},
        "isPublic": True,
        "sources": [{"type": "POLICY"}],
        "resource": document_arn("public"),
    }
    assert {whole[name].timestamp() for name in ("createdAt", "analyzedAt", "updatedAt")} == {now}
    second = analyzer.get_finding_v2(analyzerArn=shared, id=public["id"])
    (details,) = second["findingDetails"]
    assert details["externalAccessDetails"]["principal"] == {"AWS": "*"}
    assert "nextToken" not in second


FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"public", "limited", "two"}),
    ({"resource": {"eq": [document_arn("two")]}}, {"two"}),
    ({"resource": {"contains": ["docu"]}}, {"public", "limited", "two"}),
    ({"resource": {"neq": [document_arn("two")]}}, {"public", "limited"}),
    ({"principal.AWS": {"eq": [OTHER_ACCOUNT]}}, {"two"}),
    ({"principal.AWS": {"contains": [OUTSIDER]}}, {"limited", "two"}),
    ({"principal.Federated": {"exists": True}}, set()),
    ({"condition.aws:SourceVpc": {"exists": True}}, {"limited"}),
    ({"condition.AWS:sourcevpc": {"eq": ["vpc-1"]}}, {"limited"}),
    ({"condition.aws:SourceVpc": {"exists": False}, "isPublic": {"eq": ["false"]}}, {"two"}),
    ({"status": {"eq": ["RESOLVED"]}}, set()),
    ({"status": {"eq": ["ACTIVE", "ARCHIVED"]}, "isPublic": {"eq": ["true"]}}, {"public"}),
    ({"resourceType": {"eq": ["docs:document"]}, "resourceOwnerAccount": {"eq": [OTHER_ACCOUNT]}}, set()),
    ({"error": {"exists": True}}, set()),
    ({"action": {"eq": ["docs:Put"]}}, {"two"}),
    ({"findingType": {"neq": ["ExternalAccess"]}}, set()),
]


@table(("filter", "names"), FILTERS)
def test_findings_are_filtered(shared: str, analyzer: Client, filter: dict[str, Any], names: set[str]) -> None:
    """In both versions, over several pages."""
    found = listed(analyzer, shared, filter=filter)
    assert {entry["resource"].rpartition("/")[2] for entry in found} == names
    pages = analyzer.get_paginator("list_findings").paginate(
        analyzerArn=shared, filter=filter, PaginationConfig={"PageSize": 1}
    )
    assert {entry["id"] for page in pages for entry in page["findings"]} == {entry["id"] for entry in found}


@table(
    ("attribute", "order"),
    [(name, order) for name in ("resource", "updatedAt", "id", "principal.AWS") for order in ("ASC", "DESC")],
)
def test_findings_are_sorted(shared: str, analyzer: Client, attribute: str, order: str) -> None:
    """By one attribute, across pages."""
    pages = analyzer.get_paginator("list_findings").paginate(
        analyzerArn=shared, sort={"attributeName": attribute, "orderBy": order}, PaginationConfig={"PageSize": 1}
    )
    found = [entry for page in pages for entry in page["findings"]]
    assert len({entry["id"] for entry in found}) == 4
    values = [entry["principal"]["AWS"] if attribute == "principal.AWS" else entry[attribute] for entry in found]
    assert values == sorted(values, reverse=order == "DESC")


@table(
    ("parameters", "code"),
    [
        ({"filter": {"nonsense": {"eq": ["x"]}}}, "ValidationException"),
        ({"filter": {"resource": {}}}, "ValidationException"),
        ({"sort": {"attributeName": "nonsense"}}, "ValidationException"),
        ({"maxResults": 0}, "ValidationException"),
        ({"maxResults": 1001}, "ValidationException"),
        ({"nextToken": "nonsense"}, "ValidationException"),
        ({"analyzerArn": arn_of("missing")}, "ResourceNotFoundException"),
        ({"analyzerArn": arn_of("a", OTHER_ACCOUNT)}, "AccessDeniedException"),
    ],
)
def test_invalid_list_is_rejected(shared: str, analyzer: Client, parameters: dict[str, Any], code: str) -> None:
    for call in (analyzer.list_findings, analyzer.list_findings_v2):
        with refusal(code):
            call(**{"analyzerArn": shared, **parameters})


def test_missing_finding_is_an_error(shared: str, analyzer: Client) -> None:
    for call in (analyzer.get_finding, analyzer.get_finding_v2):
        with refusal("ResourceNotFoundException", "finding x does not exist", 404):
            call(analyzerArn=shared, id="x")


def test_first_version_needs_external_access(analyzer: Client) -> None:
    arn = create(analyzer, "a", "ACCOUNT_INTERNAL_ACCESS")
    for operation, more in (("list_findings", {}), ("get_finding", {"id": "x"})):
        with refusal("ValidationException", "external access"):
            getattr(analyzer, operation)(analyzerArn=arn, **more)
    assert analyzer.list_findings_v2(analyzerArn=arn)["findings"] == []


# --- what changes ------------------------------------------------------------------------------------------------


def test_changed_access_is_resolved_and_found_again(server: Running, shared: str, analyzer: Client, now: int) -> None:
    """AA-3: another principal or condition is a new finding; the same access that returns is the old one."""
    before = {entry["id"]: entry for entry in listed(analyzer, shared)}
    (old,) = (entry["id"] for entry in before.values() if entry["resource"] == document_arn("public"))
    share(server, document_arn("public"), "*", condition={"StringEquals": {"aws:SourceVpc": "vpc-2"}})
    assert statuses(analyzer, shared)["public"] == ["ACTIVE", "RESOLVED"]
    resolved = analyzer.get_finding(analyzerArn=shared, id=old)["finding"]
    assert resolved["status"] == "RESOLVED"
    assert resolved["updatedAt"].timestamp() == now
    share(server, document_arn("public"), "*")
    assert statuses(analyzer, shared)["public"] == ["ACTIVE", "RESOLVED"]
    assert analyzer.get_finding(analyzerArn=shared, id=old)["finding"]["status"] == "ACTIVE"
    server.guard.resource_policies.delete(document_arn("public"))
    assert statuses(analyzer, shared)["public"] == ["RESOLVED", "RESOLVED"]
    assert statuses(analyzer, shared)["two"] == ["ACTIVE", "ACTIVE"]


def test_resolved_finding_is_deleted_after_90_days(server: Running, shared: str, analyzer: Client, now: int) -> None:
    """It is not shown from then on, even if nothing is analysed."""
    listed(analyzer, shared)
    share(server, document_arn("public"))
    assert statuses(analyzer, shared)["public"] == ["RESOLVED"]

    def resolve(seconds_ago: int) -> None:
        with server.store.write_transaction() as records:
            records.update(findings, {"updated": now - seconds_ago}, resource=document_arn("public"))
            records.update(analyzers, {"analyzed": now - 86400}, name="a")

    resolve(KEPT_SECONDS - 60)
    assert statuses(analyzer, shared)["public"] == ["RESOLVED"]
    resolve(KEPT_SECONDS)
    assert "public" not in statuses(analyzer, shared)
    share(server, document_arn("limited"))
    assert statuses(analyzer, shared) == {"limited": ["RESOLVED"], "two": ["ACTIVE", "ACTIVE"]}
    with server.store.read_transaction() as records:
        assert records.count(findings, resource=document_arn("public")) == 0


def trusting(*principals: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": [*principals]}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_roles_follow_their_trust_policies(shared: str, analyzer: Client, iam: Client) -> None:
    """Created, changed, deleted."""
    listed(analyzer, shared)
    iam.create_role(RoleName="guest", AssumeRolePolicyDocument=trusting(OUTSIDER))
    assert statuses(analyzer, shared)["guest"] == ["ACTIVE"]
    (role,) = listed(analyzer, shared, filter={"resourceType": {"eq": ["AWS::IAM::Role"]}})
    assert role["resource"] == f"arn:aws:iam::{ACCOUNT}:role/guest"
    iam.update_assume_role_policy(RoleName="guest", PolicyDocument=trusting(ACCOUNT))
    assert statuses(analyzer, shared)["guest"] == ["RESOLVED"]
    iam.update_assume_role_policy(RoleName="guest", PolicyDocument=trusting(OUTSIDER))
    assert statuses(analyzer, shared)["guest"] == ["ACTIVE"]
    iam.delete_role(RoleName="guest")
    assert statuses(analyzer, shared)["guest"] == ["RESOLVED"]


def test_deleted_principal_is_another_principal(
    server: Running, shared: str, analyzer: Client, other_account: Client
) -> None:
    """P-5: a policy that names a deleted user names its unique id from then on."""
    other_account.create_user(UserName="bob")
    bob = f"arn:aws:iam::{OTHER_ACCOUNT}:user/bob"
    share(server, document_arn("bobs"), bob)
    (before,) = listed(analyzer, shared, filter={"principal.AWS": {"eq": [bob]}})
    other_account.delete_user(UserName="bob")
    assert [entry["status"] for entry in listed(analyzer, shared, filter={"id": {"eq": [before["id"]]}})] == [
        "RESOLVED"
    ]


def test_only_what_changed_is_analysed(
    server: Running, shared: str, analyzer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading without changes analyses nothing; an own write is no change of what is analysed."""
    analysed: list[Any] = []
    original = finding_updates.analyse

    def analyse(store: Any, scope: Any, arns: Any, references: Any) -> Any:
        analysed.append(arns)
        return original(store, scope, arns, references)

    monkeypatch.setattr(finding_updates, "analyse", analyse)
    listed(analyzer, shared)
    assert analysed == [None]
    listed(analyzer, shared)
    analyzer.tag_resource(resourceArn=shared, tags={"a": "b"})
    listed(analyzer, shared)
    assert analysed == [None]
    share(server, document_arn("private"), OUTSIDER)
    assert statuses(analyzer, shared)["private"] == ["ACTIVE"]
    assert analysed == [None, {document_arn("private")}]
    analyzer.start_resource_scan(analyzerArn=shared, resourceArn=document_arn("two"))
    assert analysed[2:] == [{document_arn("two")}]


def test_unreadable_policy_is_an_error_until_it_is_repaired(server: Running, shared: str, analyzer: Client) -> None:
    """The finding of an error is removed, not resolved."""
    with server.store.write_transaction() as records:
        records.update(resources, {"text": "{", "digest": "0" * 64}, arn=document_arn("private"))
    (error,) = listed(analyzer, shared, filter={"error": {"exists": True}})
    assert error["resource"] == document_arn("private")
    statistics = analyzer.get_findings_statistics(analyzerArn=shared)["findingsStatistics"]
    by_type = statistics[0]["externalAccessFindingsStatistics"]["resourceTypeStatistics"]["docs:document"]
    assert by_type == {"totalActivePublic": 1, "totalActiveCrossAccount": 3, "totalActiveErrors": 1}
    share(server, document_arn("private"), ACCOUNT)
    assert "private" not in statuses(analyzer, shared)


# --- archiving ---------------------------------------------------------------------------------------------------


def test_finding_is_archived_and_activated(server: Running, shared: str, analyzer: Client) -> None:
    """By id and by resource; a resolved one can't be changed."""
    found = listed(analyzer, shared, filter={"resource": {"eq": [document_arn("two")]}})
    analyzer.update_findings(analyzerArn=shared, status="ARCHIVED", ids=[found[0]["id"]])
    assert statuses(analyzer, shared)["two"] == ["ACTIVE", "ARCHIVED"]
    analyzer.update_findings(analyzerArn=shared, status="ARCHIVED", resourceArn=document_arn("two"))
    assert statuses(analyzer, shared)["two"] == ["ARCHIVED", "ARCHIVED"]
    analyzer.update_findings(analyzerArn=shared, status="ACTIVE", ids=[entry["id"] for entry in found])
    assert statuses(analyzer, shared)["two"] == ["ACTIVE", "ACTIVE"]
    share(server, document_arn("two"))
    with refusal("ValidationException", "resolved"):
        analyzer.update_findings(analyzerArn=shared, status="ARCHIVED", ids=[found[0]["id"]])
    analyzer.update_findings(analyzerArn=shared, status="ACTIVE", resourceArn=document_arn("two"))
    assert statuses(analyzer, shared)["two"] == ["RESOLVED", "RESOLVED"]


@table(
    ("more", "code"),
    [
        ({}, "ValidationException"),
        ({"ids": ["x"], "resourceArn": document_arn("two")}, "ValidationException"),
        ({"ids": ["x"]}, "ResourceNotFoundException"),
        ({"ids": [str(number) for number in range(1001)]}, "ValidationException"),
    ],
)
def test_invalid_update_is_rejected(shared: str, analyzer: Client, more: dict[str, Any], code: str) -> None:
    with refusal(code):
        analyzer.update_findings(analyzerArn=shared, status="ARCHIVED", **more)


def test_archive_rules_apply_to_new_findings(server: Running, shared: str, analyzer: Client) -> None:
    """To existing ones only when they are applied; to those that return again."""
    listed(analyzer, shared)
    vpc = {"condition.aws:SourceVpc": {"eq": ["vpc-1", "vpc-2"]}}
    analyzer.create_archive_rule(analyzerName="a", ruleName="vpc", filter=vpc)
    assert statuses(analyzer, shared)["limited"] == ["ACTIVE"]
    share(server, document_arn("new"), OUTSIDER, condition={"StringEquals": {"aws:SourceVpc": "vpc-2"}})
    assert statuses(analyzer, shared)["new"] == ["ARCHIVED"]
    analyzer.apply_archive_rule(analyzerArn=shared, ruleName="vpc")
    found = statuses(analyzer, shared)
    assert found == {"new": ["ARCHIVED"], "limited": ["ARCHIVED"], "public": ["ACTIVE"], "two": ["ACTIVE", "ACTIVE"]}
    analyzer.update_findings(analyzerArn=shared, status="ACTIVE", resourceArn=document_arn("limited"))
    share(server, document_arn("limited"))
    assert statuses(analyzer, shared)["limited"] == ["RESOLVED"]
    share(server, document_arn("limited"), OUTSIDER, condition={"StringEquals": {"aws:SourceVpc": "vpc-1"}})
    assert statuses(analyzer, shared)["limited"] == ["ARCHIVED"]


# --- resources and numbers ---------------------------------------------------------------------------------------


def test_analyzed_resources_are_listed_and_described(shared: str, analyzer: Client, now: int) -> None:
    pages = analyzer.get_paginator("list_analyzed_resources").paginate(
        analyzerArn=shared, PaginationConfig={"PageSize": 1}
    )
    arns = [entry["resourceArn"] for page in pages for entry in page["analyzedResources"]]
    assert arns == sorted(map(document_arn, ("limited", "private", "public", "two")))
    of_buckets = analyzer.list_analyzed_resources(analyzerArn=shared, resourceType="AWS::S3::Bucket")
    assert of_buckets["analyzedResources"] == []
    two = analyzer.get_analyzed_resource(analyzerArn=shared, resourceArn=document_arn("two"))["resource"]
    assert (two["actions"], two["isPublic"], two["status"]) == (["docs:Get", "docs:Put"], False, "ACTIVE")
    private = analyzer.get_analyzed_resource(analyzerArn=shared, resourceArn=document_arn("private"))["resource"]
    assert (private["isPublic"], private.get("status"), private["analyzedAt"].timestamp()) == (False, None, now)
    with refusal("ResourceNotFoundException"):
        analyzer.get_analyzed_resource(analyzerArn=shared, resourceArn=document_arn("missing"))


def test_statistics_count_findings(shared: str, analyzer: Client, now: int) -> None:
    listed(analyzer, shared)
    analyzer.update_findings(analyzerArn=shared, status="ARCHIVED", resourceArn=document_arn("limited"))
    answer = analyzer.get_findings_statistics(analyzerArn=shared)
    assert answer["lastUpdatedAt"].timestamp() == now
    assert answer["findingsStatistics"] == [
        {
            "externalAccessFindingsStatistics": {
                "resourceTypeStatistics": {
                    "docs:document": {"totalActivePublic": 1, "totalActiveCrossAccount": 2, "totalActiveErrors": 0}
                },
                "totalActiveFindings": 3,
                "totalArchivedFindings": 1,
                "totalResolvedFindings": 0,
            }
        }
    ]


# --- zones and tenants -------------------------------------------------------------------------------------------


def test_organization_is_inside(server: Running, shared: str, analyzer: Client) -> None:
    """AA-4; accounts that join or leave change what is outside."""
    listed(analyzer, shared)
    accounts = [{"id": ACCOUNT, "name": "acme"}, {"id": OTHER_ACCOUNT, "name": "globex"}]
    organization: dict[str, Any] = {"id": "o-exampleorg", "management_account": ACCOUNT, "root_id": "r-ab12"}

    def join(*members: str) -> None:
        seed = {"version": 1, "accounts": accounts, "organization": {**organization, "accounts": [*members]}}
        apply_seed(server.store, load_seed_text(json.dumps(seed)))

    join(ACCOUNT)
    whole = create(analyzer, "org", "ORGANIZATION")
    assert len(listed(analyzer, whole)) == 4
    join(ACCOUNT, OTHER_ACCOUNT)
    share(server, document_arn("theirs", OTHER_ACCOUNT), OUTSIDER)
    found = statuses(analyzer, whole)
    assert found == {"public": ["ACTIVE"], "limited": ["ACTIVE"], "two": ["ACTIVE", "RESOLVED"], "theirs": ["ACTIVE"]}
    assert "theirs" not in statuses(analyzer, shared)


def test_other_account_sees_no_findings(server: Running, shared: str, analyzer: Client, other_analyzer: Client) -> None:
    """Neither by the ARN of the analyzer, nor with an analyzer of its own."""
    (some, *_) = listed(analyzer, shared)
    of_analyzer: dict[str, dict[str, Any]] = {
        "ListFindings": {}, "ListFindingsV2": {}, "GetFindingsStatistics": {}, "ListAnalyzedResources": {},
        "GetFinding": {"id": some["id"]}, "GetFindingV2": {"id": some["id"]},
        "UpdateFindings": {"status": "ARCHIVED", "ids": [some["id"]]},
        "GetAnalyzedResource": {"resourceArn": some["resource"]},
        "StartResourceScan": {"resourceArn": some["resource"]},
    }  # fmt: skip
    own = create(other_analyzer, "a")
    for operation, more in of_analyzer.items():
        with refusal("AccessDeniedException", "not authorized"):
            getattr(other_analyzer, xform_name(operation))(analyzerArn=shared, **more)
    other_analyzer.start_resource_scan(analyzerArn=own, resourceArn=some["resource"])
    assert other_analyzer.list_findings(analyzerArn=own)["findings"] == []
    assert other_analyzer.list_analyzed_resources(analyzerArn=own)["analyzedResources"] == []
    for operation in ("GetFinding", "GetFindingV2", "UpdateFindings"):
        more = of_analyzer[operation]
        with refusal("ResourceNotFoundException"):
            getattr(other_analyzer, xform_name(operation))(analyzerArn=own, **more)
    assert statuses(analyzer, shared)["two"] == ["ACTIVE", "ACTIVE"]


def test_concurrent_readings_store_each_finding_once(server: Running, shared: str) -> None:
    """The first analysis and one after a change, each by several callers at once."""
    clients = [server.client(ADMIN_KEY, "accessanalyzer") for _ in range(6)]

    def ids(client: Client) -> list[str]:
        return sorted(entry["id"] for entry in client.list_findings(analyzerArn=shared)["findings"])

    with ThreadPoolExecutor(6) as pool:
        for expected in (4, 5):
            found = list(pool.map(ids, clients))
            assert found == [found[0]] * 6
            assert len(found[0]) == expected
            share(server, document_arn("private"), OUTSIDER)
