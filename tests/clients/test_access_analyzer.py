"""The `aws accessanalyzer` command finds a role that another account can assume."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.clients.conftest import Name
from tests.clients.programs import Aws

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "444455556666"}, "Action": "sts:AssumeRole"}],
}
TYPE = "ACCOUNT"


@pytest.fixture
def analyzer(aws: Aws, name: Name) -> Iterator[tuple[Aws, str]]:
    """The command, and the ARN of an analyzer; an account has one of its type."""
    client, own = replace(aws, service="accessanalyzer"), name("outside").replace("-", "_")
    for existing in client("list-analyzers", type=TYPE)["analyzers"]:
        client("delete-analyzer", analyzer_name=existing["name"])
    yield client, client("create-analyzer", analyzer_name=own, type=TYPE)["arn"]
    client("delete-analyzer", analyzer_name=own)


def test_shared_role_is_found_until_it_is_not_shared(aws: Aws, analyzer: tuple[Aws, str], name: Name) -> None:
    """Listed by filter, archived by a rule, previewed, and resolved."""
    client, arn = analyzer
    role = name("guest")
    created = aws("create-role", role_name=role, assume_role_policy_document=TRUST)["Role"]
    mine = {"resource": {"eq": [created["Arn"]]}}
    (found,) = client("list-findings", analyzer_arn=arn, filter=mine)["findings"]
    assert (found["status"], found["principal"], found["isPublic"]) == ("ACTIVE", {"AWS": "444455556666"}, False)
    (same,) = client("list-findings-v2", analyzer_arn=arn, filter=mine)["findings"]
    assert (same["id"], same["findingType"]) == (found["id"], "ExternalAccess")

    rule = {"principal.AWS": {"eq": ["444455556666"]}}
    client("create-archive-rule", analyzer_name=arn.rpartition("/")[2], rule_name="partner", filter=rule)
    client("apply-archive-rule", analyzer_arn=arn, rule_name="partner")
    assert client("get-finding", analyzer_arn=arn, id=found["id"])["finding"]["status"] == "ARCHIVED"

    configurations = {created["Arn"]: {"iamRole": {"trustPolicy": ""}}}
    preview = client("create-access-preview", analyzer_arn=arn, configurations=configurations)["id"]
    (change,) = client("list-access-preview-findings", analyzer_arn=arn, access_preview_id=preview)["findings"]
    assert (change["changeType"], change["status"], change["existingFindingId"]) == ("CHANGED", "RESOLVED", found["id"])

    aws("delete-role", role_name=role)
    assert client("get-finding", analyzer_arn=arn, id=found["id"])["finding"]["status"] == "RESOLVED"
    assert "ResourceNotFoundException" in client.refused("get-finding", analyzer_arn=arn, id="missing")
