"""`iam-guard resource-policy put`."""

from __future__ import annotations

from typing import TextIO

import click

from iam_guard.cli.kit.change_recording import recorded_store
from iam_guard.cli.kit.commands import OWNER, STORE, Answer, answering
from iam_guard.store.policies.resource_policies import ResourcePolicies


@click.command()
@click.argument("arn")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@OWNER
@STORE
@answering
def command(arn: str, file: TextIO, account: str | None, store: str) -> Answer:
    """Attach the policy in FILE (JSON; `-` for standard input) to the resource ARN, replacing any other."""
    with recorded_store(store) as (opened, change_recorder):
        ResourcePolicies(opened, change_recorder).put(arn, file.read(), account=account)
    return Answer({"arn": arn}, f"put the policy of {arn}")
