"""`iam-guard resource-policy shares`."""

from __future__ import annotations

import click

from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.cli.resource_policy.opened_shares import listed_shares, opened_shares


@click.command()
@click.argument("arn")
@STORE
@answering
def command(arn: str, store: str) -> Answer:
    """Print who has which actions by the policy of the resource ARN."""
    with opened_shares(store) as shares:
        return listed_shares(shares.shares_of(arn))
