"""`iam-guard resource-policy unshare`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from iam_guard.cli.kit.commands import OWNER, STORE, Answer, answering
from iam_guard.cli.resource_policy.opened_shares import WITH_ACCOUNT, WITH_PRINCIPAL, listed_shares, opened_shares


@click.command()
@click.argument("arn")
@click.argument("actions", nargs=-1)
@WITH_ACCOUNT
@WITH_PRINCIPAL
@click.option("--public", is_flag=True, help="End the share with everyone.")
@OWNER
@STORE
@answering
def command(
    arn: str,
    actions: Sequence[str],
    with_account: str | None,
    with_principal: str | None,
    public: bool,
    account: str | None,
    store: str,
) -> Answer:
    """Take ACTIONS on the resource ARN from a grantee, or all without ACTIONS; print what still applies to it."""
    with opened_shares(store) as shares:
        remaining = shares.unshare(
            arn,
            with_account=with_account,
            with_principal=with_principal,
            public=public,
            actions=actions or None,
            account=account,
        )
    return listed_shares(remaining)
