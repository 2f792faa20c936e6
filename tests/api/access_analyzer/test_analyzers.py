"""Analyzers over the wire: created, described, changed, tagged, deleted (AA-1, AA-10, AA-11)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name

from iam_guard.api.protocol.app import aws_api
from iam_guard.audit.verify.signing_keys import create_signing_key_file
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import findings
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.api.access_analyzer.analyzer_parts import arn_of, create
from tests.api.conftest import ACCOUNT, ADMIN_KEY, OTHER_ACCOUNT, SEED, Client, Running, allow, refusal
from tests.api.sample_server import NoSnapshot
from tests.audit.pipelines import facts_in
from tests.serving import serving
from tests.tables import table

UNUSED, INTERNAL = "ACCOUNT_UNUSED_ACCESS", "ACCOUNT_INTERNAL_ACCESS"


def organize(server: Running, management: str = ACCOUNT) -> None:
    """Put both accounts into an organization."""
    accounts = [{"id": ACCOUNT, "name": "acme"}, {"id": OTHER_ACCOUNT, "name": "globex"}]
    organization = {
        "id": "o-exampleorg",
        "management_account": management,
        "root_id": "r-ab12",
        "accounts": [ACCOUNT, OTHER_ACCOUNT],
    }
    apply_seed(
        server.store, load_seed_text(json.dumps({"version": 1, "accounts": accounts, "organization": organization}))
    )
    server.guard.refresh()


def test_created_analyzer_is_described(analyzer: Client, now: int) -> None:
    arn = create(analyzer, "first", tags={"team": "red"})
    assert arn == arn_of("first")
    described = analyzer.get_analyzer(analyzerName="first")["analyzer"]
    assert described.pop("createdAt").timestamp() == now
    assert described == {"arn": arn, "name": "first", "type": "ACCOUNT", "status": "ACTIVE", "tags": {"team": "red"}}


def test_analyzers_are_listed_by_type_and_page(analyzer: Client) -> None:
    for name, type in (("c", "ACCOUNT"), ("a", UNUSED), ("b", INTERNAL)):
        create(analyzer, name, type)
    pages = analyzer.get_paginator("list_analyzers").paginate(PaginationConfig={"PageSize": 1})
    assert [[entry["name"] for entry in page["analyzers"]] for page in pages] == [["a"], ["b"], ["c"]]
    assert [entry["name"] for entry in analyzer.list_analyzers(type=UNUSED)["analyzers"]] == ["a"]


def test_token_of_another_list_is_rejected(analyzer: Client) -> None:
    """A token is valid for the operation that returned it."""
    for name, type in (("a", "ACCOUNT"), ("b", UNUSED)):
        create(analyzer, name, type)
    token = analyzer.list_analyzers(maxResults=1)["nextToken"]
    with refusal("ValidationException", "Invalid nextToken"):
        analyzer.list_archive_rules(analyzerName="a", nextToken=token)
    with refusal("ValidationException", "maxResults"):
        analyzer.list_analyzers(maxResults=1001)


@table(
    ("type", "configuration", "expected"),
    [
        (UNUSED, None, {"unusedAccess": {"unusedAccessAge": 90}}),
        (UNUSED, {"unusedAccess": {"unusedAccessAge": 30}}, {"unusedAccess": {"unusedAccessAge": 30}}),
        (
            UNUSED,
            {"unusedAccess": {"analysisRule": {"exclusions": [{"resourceTags": [{"team": ""}]}]}}},
            {
                "unusedAccess": {
                    "unusedAccessAge": 90,
                    "analysisRule": {"exclusions": [{"resourceTags": [{"team": ""}]}]},
                }
            },
        ),
        (INTERNAL, None, {"internalAccess": {}}),
        (
            INTERNAL,
            {"internalAccess": {"analysisRule": {"inclusions": [{"resourceTypes": ["AWS::S3::Bucket"]}]}}},
            {"internalAccess": {"analysisRule": {"inclusions": [{"resourceTypes": ["AWS::S3::Bucket"]}]}}},
        ),
    ],
)
def test_configuration_has_its_defaults(
    analyzer: Client, type: str, configuration: dict[str, Any] | None, expected: dict[str, Any]
) -> None:
    given = {} if configuration is None else {"configuration": configuration}
    create(analyzer, "a", type, **given)
    assert analyzer.get_analyzer(analyzerName="a")["analyzer"]["configuration"] == expected
    analyzer.delete_analyzer(analyzerName="a")


@table(
    ("type", "configuration"),
    [
        ("ACCOUNT", {"unusedAccess": {}}),
        (UNUSED, {"internalAccess": {}}),
        (UNUSED, {"unusedAccess": {"unusedAccessAge": 0}}),
        (UNUSED, {"unusedAccess": {"unusedAccessAge": 366}}),
        (UNUSED, {"unusedAccess": {"analysisRule": {"exclusions": [{"accountIds": [ACCOUNT]}]}}}),
        (UNUSED, {"unusedAccess": {"analysisRule": {"exclusions": [{}]}}}),
        (UNUSED, {"unusedAccess": {"analysisRule": {"exclusions": [{"resourceTags": [{"": "x"}]}]}}}),
        (UNUSED, {"unusedAccess": {"analysisRule": {"exclusions": [{"resourceTags": [{"a": "x", "b": "y"}]}]}}}),
        (INTERNAL, {"internalAccess": {"analysisRule": {"inclusions": [{"accountIds": ["x"]}]}}}),
        (INTERNAL, {"internalAccess": {"analysisRule": {"inclusions": [{"resourceArns": ["x"]}]}}}),
        (INTERNAL, {"internalAccess": {"analysisRule": {"inclusions": [{"resourceTypes": ["docs:document"]}]}}}),
        (INTERNAL, {"internalAccess": {"analysisRule": {"inclusions": [{"resourceArns": ["arn:a:b:c:d:e"] * 2001}]}}}),
    ],
)
def test_invalid_configuration_is_rejected(analyzer: Client, type: str, configuration: dict[str, Any]) -> None:
    with refusal("ValidationException"):
        create(analyzer, "a", type, configuration=configuration)
    assert analyzer.list_analyzers()["analyzers"] == []


def test_configuration_is_changed(analyzer: Client) -> None:
    """Those of unused and internal access; an analyzer of external access has none."""
    create(analyzer, "a", UNUSED)
    changed = {"unusedAccess": {"unusedAccessAge": 7}}
    assert analyzer.update_analyzer(analyzerName="a", configuration=changed)["configuration"] == changed
    assert analyzer.update_analyzer(analyzerName="a")["configuration"] == changed
    with refusal("ValidationException"):
        analyzer.update_analyzer(analyzerName="a", configuration={"internalAccess": {}})
    create(analyzer, "b")
    with refusal("ValidationException"):
        analyzer.update_analyzer(analyzerName="b", configuration=changed)


def test_repeated_creation_returns_the_same_analyzer(analyzer: Client) -> None:
    """With the same token and members; the name is in use for all other calls."""
    arn = create(analyzer, "a", clientToken="t")
    assert create(analyzer, "a", clientToken="t") == arn
    for type, token in (("ACCOUNT", "other"), (UNUSED, "t")):
        with refusal("ConflictException", "a exists", 409):
            create(analyzer, "a", type, clientToken=token)


@pytest.mark.parametrize("type", ["ACCOUNT", UNUSED, INTERNAL])
def test_account_has_one_analyzer_per_type(analyzer: Client, other_analyzer: Client, type: str) -> None:
    create(analyzer, "a", type)
    with refusal("ServiceQuotaExceededException", type, 402):
        create(analyzer, "b", type)
    create(other_analyzer, "b", type)


def test_organization_is_a_zone_of_its_management_account(
    server: Running, analyzer: Client, other_analyzer: Client
) -> None:
    """Five analyzers of external and of unused access, one of internal access; FAILED once there is no organization."""
    with refusal("ValidationException", "organization"):
        create(analyzer, "a", "ORGANIZATION")
    organize(server)
    with refusal("ValidationException", "organization"):
        create(other_analyzer, "a", "ORGANIZATION")
    for type, maximum in (
        ("ORGANIZATION", 5),
        ("ORGANIZATION_UNUSED_ACCESS", 5),
        ("ORGANIZATION_INTERNAL_ACCESS", 1),
    ):
        for number in range(maximum):
            create(analyzer, f"{type}{number}", type)
        with refusal("ServiceQuotaExceededException"):
            create(analyzer, "more", type)
    exclusions = {"unusedAccess": {"analysisRule": {"exclusions": [{"accountIds": [OTHER_ACCOUNT]}]}}}
    analyzer.update_analyzer(analyzerName="ORGANIZATION_UNUSED_ACCESS0", configuration=exclusions)
    organize(server, management=OTHER_ACCOUNT)
    described = analyzer.get_analyzer(analyzerName="ORGANIZATION0")["analyzer"]
    assert (described["status"], described["statusReason"]) == ("FAILED", {"code": "ORGANIZATION_DELETED"})


def test_deleted_analyzer_is_gone(server: Running, analyzer: Client) -> None:
    """With its archive rules."""
    create(analyzer, "a", archiveRules=[{"ruleName": "r", "filter": {"isPublic": {"eq": ["false"]}}}])
    analyzer.delete_analyzer(analyzerName="a")
    for call in (analyzer.get_analyzer, analyzer.delete_analyzer, analyzer.list_archive_rules):
        with refusal("ResourceNotFoundException", "a does not exist", 404):
            call(analyzerName="a")
    create(analyzer, "a")
    assert analyzer.list_archive_rules(analyzerName="a")["archiveRules"] == []
    with server.store.read_transaction() as records:
        assert records.count(findings) == 0


def test_tags_are_set_and_removed(analyzer: Client) -> None:
    arn = create(analyzer, "a", tags={"team": "red", "stage": "test"})
    analyzer.tag_resource(resourceArn=arn, tags={"Team": "blue", "cost": "1"})
    tags = {"Team": "blue", "stage": "test", "cost": "1"}
    assert analyzer.list_tags_for_resource(resourceArn=arn)["tags"] == tags
    analyzer.untag_resource(resourceArn=arn, tagKeys=["Team", "missing"])
    assert analyzer.list_tags_for_resource(resourceArn=arn)["tags"] == {"stage": "test", "cost": "1"}


@table(
    "tags",
    [
        {"aws:x": "y"},
        {"k" * 129: "v"},
        {"k": "v" * 257},
        {"team": "red", "Team": "blue"},
        {f"k{number}": "v" for number in range(51)},
    ],
)
def test_invalid_tags_are_rejected(analyzer: Client, tags: dict[str, str]) -> None:
    with refusal("ValidationException"):
        create(analyzer, "a", tags=tags)


def test_tags_decide(analyzer: Client, client_for: Any, server: Running) -> None:
    """`aws:ResourceTag` and `aws:RequestTag` can be tested."""
    create(analyzer, "red", tags={"team": "red"})
    create(analyzer, "blue", UNUSED, tags={"team": "blue"})
    tagged = allow("access-analyzer:GetAnalyzer", StringEquals={"aws:ResourceTag/team": "red"})
    setting = allow("access-analyzer:CreateAnalyzer", StringEquals={"aws:RequestTag/team": "red"})
    client_for("team", tagged, setting)
    team = server.client(("AKIA000000000000TEAM"[:20], "secret-of-team"), "accessanalyzer")
    assert team.get_analyzer(analyzerName="red")["analyzer"]["name"] == "red"
    with refusal("AccessDeniedException"):
        team.get_analyzer(analyzerName="blue")
    with refusal("AccessDeniedException"):
        create(team, "x", INTERNAL, tags={"team": "blue"})
    create(team, "x", INTERNAL, tags={"team": "red"})


def test_other_account_reaches_nothing(analyzer: Client, other_analyzer: Client) -> None:
    """Neither by name nor by ARN; a name that both have is each account's own."""
    arn = create(analyzer, "a", tags={"secret": "known-to-acme"})
    analyzer.create_archive_rule(analyzerName="a", ruleName="r", filter={"isPublic": {"eq": ["true"]}})
    assert other_analyzer.list_analyzers()["analyzers"] == []
    by_name: dict[str, dict[str, Any]] = {
        "GetAnalyzer": {}, "DeleteAnalyzer": {}, "UpdateAnalyzer": {}, "ListArchiveRules": {},
        "GetArchiveRule": {"ruleName": "r"}, "DeleteArchiveRule": {"ruleName": "r"},
        "UpdateArchiveRule": {"ruleName": "r", "filter": {"isPublic": {"eq": ["true"]}}},
        "CreateArchiveRule": {"ruleName": "s", "filter": {"isPublic": {"eq": ["true"]}}},
    }  # fmt: skip
    for operation, more in by_name.items():
        with refusal("ResourceNotFoundException"):
            getattr(other_analyzer, xform_name(operation))(analyzerName="a", **more)
    by_arn: dict[str, dict[str, Any]] = {
        "TagResource": {"resourceArn": arn, "tags": {"a": "b"}},
        "UntagResource": {"resourceArn": arn, "tagKeys": ["secret"]},
        "ListTagsForResource": {"resourceArn": arn},
        "ApplyArchiveRule": {"analyzerArn": arn, "ruleName": "r"},
    }
    for operation, parameters in by_arn.items():
        with refusal("AccessDeniedException", "not authorized"):
            getattr(other_analyzer, xform_name(operation))(**parameters)
    create(other_analyzer, "a", UNUSED)
    other_analyzer.delete_analyzer(analyzerName="a")
    assert analyzer.get_analyzer(analyzerName="a")["analyzer"]["type"] == "ACCOUNT"


@table(
    ("arn", "code"),
    [
        (arn_of("missing"), "ResourceNotFoundException"),
        (arn_of("a").replace("us-east-1", "eu-west-1"), "ResourceNotFoundException"),
        (arn_of("a/archive-rule/r"), "ResourceNotFoundException"),
        (arn_of("*"), "ResourceNotFoundException"),
        (f"arn:aws:iam::{ACCOUNT}:user/admin", "ResourceNotFoundException"),
        (arn_of("a", OTHER_ACCOUNT), "AccessDeniedException"),
    ],
)
def test_arn_of_something_else_is_no_analyzer(analyzer: Client, arn: str, code: str) -> None:
    create(analyzer, "a")
    with refusal(code):
        analyzer.list_tags_for_resource(resourceArn=arn)
    analyzer.delete_analyzer(analyzerName="a")


def test_change_is_audited(tmp_path: Path) -> None:
    """With its parameters and the ARN; readings have only their decision."""
    create_signing_key_file(tmp_path / "key")
    settings = Settings(audit=f"{tmp_path}/trail/", audit_key_file=f"{tmp_path}/key")
    store = create_store("sqlite://", settings)
    apply_seed(store, load_seed_text(SEED))
    guard = guard_with_store(store, settings)
    with serving(aws_api(guard)) as url:
        client = Running(url, guard, store, NoSnapshot()).client(ADMIN_KEY, "accessanalyzer")  # type: ignore[arg-type]
        arn = create(client, "a", UNUSED, tags={"team": "red"})
        client.get_analyzer(analyzerName="a")
    guard.close()
    facts = [entry for entry in facts_in(tmp_path / "trail") if entry["eventSource"] == "access-analyzer.amazonaws.com"]
    assert [(entry["eventName"], entry["iamGuard"]["kind"]) for entry in facts] == [
        ("CreateAnalyzer", "decision"), ("CreateAnalyzer", "admin_call"), ("GetAnalyzer", "decision"),
    ]  # fmt: skip
    result = facts[1]
    assert result["requestParameters"]["analyzerName"] == "a"
    assert result["requestParameters"]["tags"] == {"team": "red"}
    assert result["responseElements"] == {"arn": arn}
    assert result["resources"][0]["ARN"] == arn
