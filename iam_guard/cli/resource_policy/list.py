"""`iam-guard resource-policy list`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from iam_guard.cli.kit.change_recording import recorded_store
from iam_guard.cli.kit.commands import ACCOUNT_ID, STORE, Answer, answering
from iam_guard.store.policies.resource_policies import ListedPolicy, ResourcePolicies


@click.command()
@click.option("--account", type=ACCOUNT_ID, help="List only resources of this account.")
@STORE
@answering
def command(account: str | None, store: str) -> Answer:
    """List the resources that have a policy."""
    with recorded_store(store) as (opened, _):
        listed = list(_all(ResourcePolicies(opened), account))
    return Answer([policy._asdict() for policy in listed], [f"{policy.account}  {policy.arn}" for policy in listed])


def _all(policies: ResourcePolicies, account: str | None) -> Iterator[ListedPolicy]:
    after: str | None = None
    while page := policies.list(account=account, after=after):
        yield from page
        after = page[-1].arn
