"""Names and calls that the tests of Access Analyzer share."""

from __future__ import annotations

from typing import Any

from tests.api.conftest import ACCOUNT, Client


def arn_of(name: str, account: str = ACCOUNT) -> str:
    """Return the ARN of an analyzer."""
    return f"arn:aws:access-analyzer:us-east-1:{account}:analyzer/{name}"


def create(client: Client, name: str = "a", type: str = "ACCOUNT", **more: Any) -> str:
    """Create an analyzer; return its ARN."""
    arn: str = client.create_analyzer(analyzerName=name, type=type, **more)["arn"]
    return arn
