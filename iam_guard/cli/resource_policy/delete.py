"""`iam-guard resource-policy delete`."""

from __future__ import annotations

import click

from iam_guard.cli.kit.change_recording import recorded_store
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.store.policies.resource_policies import ResourcePolicies


@click.command()
@click.argument("arn")
@STORE
@answering
def command(arn: str, store: str) -> Answer:
    """Delete the policy of the resource ARN."""
    with recorded_store(store) as (opened, change_recorder):
        ResourcePolicies(opened, change_recorder).delete(arn)
    return Answer({"arn": arn}, f"deleted the policy of {arn}")
