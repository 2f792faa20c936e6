"""`iam-guard resource-policy share`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from iam_guard.cli.kit.commands import OWNER, STORE, Answer, answering
from iam_guard.cli.kit.reference_options import APP
from iam_guard.cli.resource_policy.opened_shares import (
    WITH_ACCOUNT,
    WITH_PRINCIPAL,
    opened_shares,
    share_line,
    share_row,
)


@click.command()
@click.argument("arn")
@click.argument("actions", nargs=-1, required=True)
@WITH_ACCOUNT
@WITH_PRINCIPAL
@click.option("--public", is_flag=True, help="Share with everyone, also with anonymous callers.")
@click.option("--external", is_flag=True, help="Accept an account that is not in the store.")
@click.option("--wildcards", is_flag=True, help="Accept actions with wildcards.")
@OWNER
@APP
@STORE
@answering
def command(
    arn: str,
    actions: Sequence[str],
    with_account: str | None,
    with_principal: str | None,
    public: bool,
    external: bool,
    wildcards: bool,
    account: str | None,
    app: str | None,
    store: str,
) -> Answer:
    """Allow an account, a principal or everyone some ACTIONS on the resource ARN, in addition to those it has."""
    with opened_shares(store, app) as shares:
        made = shares.share(
            arn,
            with_account=with_account,
            with_principal=with_principal,
            public=public,
            actions=actions,
            wildcards=wildcards,
            external=external,
            account=account,
        )
    return Answer(share_row(made), share_line(made))
