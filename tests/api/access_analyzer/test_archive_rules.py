"""Archive rules over the wire (AA-12, AA-13)."""

from __future__ import annotations

from typing import Any

from iam_guard.store.quotas import QUOTAS
from tests.api.access_analyzer.analyzer_parts import arn_of, create
from tests.api.conftest import Client, refusal
from tests.tables import table

PUBLIC = {"isPublic": {"eq": ["true"]}}


def test_rule_is_created_changed_and_deleted(analyzer: Client, now: int) -> None:
    create(analyzer, "a", archiveRules=[{"ruleName": "first", "filter": PUBLIC}])
    analyzer.create_archive_rule(analyzerName="a", ruleName="second", filter=PUBLIC)
    pages = analyzer.get_paginator("list_archive_rules").paginate(analyzerName="a", PaginationConfig={"PageSize": 1})
    assert [[rule["ruleName"] for rule in page["archiveRules"]] for page in pages] == [["first"], ["second"]]
    changed = {"condition.aws:SourceVpc": {"exists": True}, "resource": {"contains": ["docs"], "neq": ["x"]}}
    analyzer.update_archive_rule(analyzerName="a", ruleName="first", filter=changed)
    rule = analyzer.get_archive_rule(analyzerName="a", ruleName="first")["archiveRule"]
    assert (rule["filter"], rule["updatedAt"].timestamp()) == (changed, now)
    analyzer.delete_archive_rule(analyzerName="a", ruleName="first")
    for call in (analyzer.get_archive_rule, analyzer.delete_archive_rule):
        with refusal("ResourceNotFoundException", "first does not exist", 404):
            call(analyzerName="a", ruleName="first")
    with refusal("ResourceNotFoundException"):
        analyzer.apply_archive_rule(analyzerArn=arn_of("a"), ruleName="first")


def test_repeated_rule_conflicts_unless_it_is_the_same_call(analyzer: Client) -> None:
    create(analyzer, "a")
    for _ in range(2):
        analyzer.create_archive_rule(analyzerName="a", ruleName="r", filter=PUBLIC, clientToken="t")
    for token, filter in (("other", PUBLIC), ("t", {"isPublic": {"eq": ["false"]}})):
        with refusal("ConflictException", "r exists", 409):
            analyzer.create_archive_rule(analyzerName="a", ruleName="r", filter=filter, clientToken=token)


def test_number_of_rules_is_limited(analyzer: Client) -> None:
    maximum = QUOTAS["archive rules per analyzer"]
    rules = [{"ruleName": f"r{number}", "filter": PUBLIC} for number in range(maximum + 1)]
    with refusal("ServiceQuotaExceededException", str(maximum), 402):
        create(analyzer, "a", archiveRules=rules)
    assert analyzer.list_analyzers()["analyzers"] == []
    create(analyzer, "a", archiveRules=rules[:-1])
    with refusal("ServiceQuotaExceededException"):
        analyzer.create_archive_rule(analyzerName="a", ruleName="more", filter=PUBLIC)


@table(
    "filter",
    [
        {},
        {"isPublic": {}},
        {"nonsense": {"eq": ["x"]}},
        {"createdAt": {"eq": ["x"]}},
        {"condition.": {"eq": ["x"]}},
        {"isPublic": {"eq": ["x"] * 21}},
        {f"condition.k{number}": {"exists": True} for number in range(51)},
    ],
)
def test_invalid_filter_is_rejected(analyzer: Client, filter: dict[str, Any]) -> None:
    with refusal("ValidationException"):
        create(analyzer, "a", archiveRules=[{"ruleName": "r", "filter": filter}])
    assert analyzer.list_analyzers()["analyzers"] == []
