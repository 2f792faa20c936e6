"""`iam-guard resource-policy get`."""

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
    """Print the policy of the resource ARN; exit code 1 if it has none."""
    with recorded_store(store) as (opened, _):
        text = ResourcePolicies(opened).get(arn)
    return Answer({"arn": arn, "policy": text}, () if text is None else text, exit_code=int(text is None))
