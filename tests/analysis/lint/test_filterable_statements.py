"""The rule about lists: each statement that no query can have is named, whatever the caller, and the others counted."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import JSON, Column, Integer, MetaData, Numeric, String, Table

from iam_guard.analysis.lint.linter import Linter, LintFinding
from iam_guard.analysis.lint.rules.lists import FilterableStatements
from iam_guard.analysis.lint.sources import sources_of_text
from iam_guard.model.decision import PolicyType
from iam_guard.web.service import Service
from tests.tables import table

CODE = "STATEMENT_NOT_FILTERABLE"
DOCUMENTS = Table(
    "documents",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("account", String),
    Column("kind", String),
    Column("price", Numeric(10, 2)),
    Column("tags", JSON),
)


def services() -> Service:
    docs = Service("docs")
    docs.resource_type(
        "document",
        "document/{id}",
        model=DOCUMENTS,
        account=DOCUMENTS.c.account,
        tags=DOCUMENTS.c.tags,
        keys={"docs:Kind": DOCUMENTS.c.kind, "docs:Price": DOCUMENTS.c.price},
    )
    docs.requires("GetDocument", resource="document/{id}")
    docs.requires("GetFolder", resource="folder/{id}")
    docs.requires("MoveAnything", resource=lambda: None)
    docs.requires("ListDocuments")
    return docs


DOCS = services()


def found(
    *statements: dict[str, Any], type: PolicyType = PolicyType.IDENTITY, partition: str = "aws"
) -> tuple[list[LintFinding], FilterableStatements]:
    rule = FilterableStatements([DOCS.catalogue])
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=2)
    [file] = sources_of_text(text, "policy.json", type)
    linter = Linter([DOCS.reference()], rules=[rule], partition=partition)
    return [finding for finding in linter.lint(file) if finding.code == CODE], rule


def statement(*, operator: str = "StringEquals", key: str = "docs:Kind", value: str = "a", **more: Any) -> Any:
    return {
        "Effect": "Allow",
        "Action": "docs:GetDocument",
        "Resource": "*",
        "Condition": {operator: {key: value}},
        **more,
    }


FOLDED = statement(operator="StringEqualsIgnoreCase")
REASON = "`StringEqualsIgnoreCase` on `docs:kind`, which is text"


def test_statement_that_cannot_be_filtered_is_named() -> None:
    findings, rule = found(statement(), {**FOLDED, "Sid": "Folded"})
    [finding] = findings
    assert finding.message == f"lists of `docs document` cannot be filtered: {REASON}"
    assert (finding.level, finding.sid, finding.place) == (
        "WARNING",
        "Folded",
        "/Statement/1/Condition/StringEqualsIgnoreCase/docs:Kind",
    )
    assert (rule.statements, rule.filterable) == (2, 1)


def test_dialect_that_cannot_filter_is_named() -> None:
    findings, _ = found(statement(operator="NumericLessThan", key="docs:Price", value="5"))
    assert [finding.message.partition(": ")[0] for finding in findings] == [
        "lists of `docs document` cannot be filtered on sqlite"
    ]


@table("partition", ["aws", "aws-cn"])
def test_resource_that_cannot_be_filtered_is_named(partition: str) -> None:
    """By the ARNs of the application's partition."""
    resource = f"arn:{partition}:docs:*:*:document/${{docs:Price}}"
    findings, _ = found({"Effect": "Allow", "Action": "docs:GetDocument", "Resource": resource}, partition=partition)
    assert [finding.place for finding in findings] == ["/Statement/0/Resource"]


@table(
    "changed",
    {
        "an unmet known condition before": {
            "Condition": {"Bool": {"aws:SecureTransport": "true"}, **FOLDED["Condition"]}
        },
        "a value with a tag of the caller": {
            "Condition": {"StringEqualsIgnoreCase": {"docs:Kind": "${aws:PrincipalTag/kind}"}}
        },
        "a value with a name of the caller": {
            "Condition": {"StringEqualsIgnoreCase": {"docs:Kind": "${aws:username}"}}
        },
        "a Deny": {"Effect": "Deny"},
        "every action": {"Action": "*"},
        "an action of a loader": {"Action": "docs:MoveAnything"},
        "other actions": {"Action": None, "NotAction": "docs:ListDocuments"},
        "a resource that no document has": {"Resource": "arn:aws:docs:*:*:folder/*"},
    }.items(),
    ids=lambda case: case[0],
)
def test_statement_is_refused_for_every_caller(changed: tuple[str, dict[str, Any]]) -> None:
    """What a filter of some caller could raise is found, also where the rule's own caller would not meet it."""
    elements = {name: value for name, value in {**FOLDED, **changed[1]}.items() if value is not None}
    findings, rule = found(elements)
    assert [finding.message.partition(": ")[2] for finding in findings] == [REASON]
    assert (rule.statements, rule.filterable) == (1, 0)


@table(
    "elements",
    [
        {"Action": "docs:GetFolder"},
        {"Action": ["docs:ListDocuments", "other:*"]},
        {"NotAction": ["docs:Get*", "docs:Move*"]},
    ],
    ids=str,
)
def test_statement_about_other_actions_is_not_counted(elements: dict[str, Any]) -> None:
    others = {name: value for name, value in FOLDED.items() if name != "Action"}
    findings, rule = found({**others, **elements})
    assert (findings, rule.statements) == ([], 0)


def test_condition_on_the_caller_alone_is_filterable() -> None:
    findings, rule = found(statement(operator="StringEqualsIgnoreCase", key="aws:PrincipalTag/team"))
    assert (findings, rule.filterable) == ([], 1)


def test_resource_policy_and_boundary_are_checked_too() -> None:
    for type, more in {PolicyType.BOUNDARY: {}, PolicyType.RESOURCE: {"Principal": "*"}}.items():
        findings, rule = found({**FOLDED, **more}, type=type)
        assert (len(findings), rule.statements) == (1, 1)


def test_variable_in_the_account_of_an_arn_is_refused() -> None:
    owner = "arn:aws:iam::${aws:ResourceTag/account}:user/*"
    findings, _ = found(statement(operator="ArnLike", key="aws:PrincipalArn", value=owner))
    assert [finding.place for finding in findings] == ["/Statement/0/Condition/ArnLike/aws:PrincipalArn"]
