"""Names and calls that the tests of Access Analyzer share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.api.conftest import ACCOUNT, Client, Running


def arn_of(name: str, account: str = ACCOUNT) -> str:
    """Return the ARN of an analyzer."""
    return f"arn:aws:access-analyzer:us-east-1:{account}:analyzer/{name}"


def create(client: Client, name: str = "a", type: str = "ACCOUNT", **more: Any) -> str:
    """Create an analyzer; return its ARN."""
    arn: str = client.create_analyzer(analyzerName=name, type=type, **more)["arn"]
    return arn


def share(
    server: Running, arn: str, *principals: str, actions: Sequence[str] = ("docs:Get",), condition: Any = None
) -> None:
    """Store for a resource a policy that lets principals of AWS in; without any, one that denies everything."""
    statement = {
        "Effect": "Allow" if principals else "Deny",
        "Principal": {"AWS": [*principals]} if principals else "*",
        "Action": [*actions],
        "Resource": arn,
        **({} if condition is None else {"Condition": condition}),
    }
    server.guard.resource_policies.put(arn, {"Version": "2012-10-17", "Statement": [statement]})


def document_arn(name: str, account: str = ACCOUNT) -> str:
    """Return the ARN of a resource of an application."""
    return f"arn:aws:docs:us-east-1:{account}:document/{name}"


def listed(client: Client, arn: str, **more: Any) -> list[dict[str, Any]]:
    """Return all findings of an analyzer in version 2, a few per page."""
    pages = client.get_paginator("list_findings_v2").paginate(analyzerArn=arn, PaginationConfig={"PageSize": 2}, **more)
    return [finding for page in pages for finding in page["findings"]]


def statuses(client: Client, arn: str) -> dict[str, list[str]]:
    """Return the statuses of an analyzer's findings by the name of the resource."""
    found: dict[str, list[str]] = {}
    for finding in listed(client, arn):
        found.setdefault(finding["resource"].rpartition("/")[2], []).append(finding["status"])
    return {name: sorted(values) for name, values in found.items()}
