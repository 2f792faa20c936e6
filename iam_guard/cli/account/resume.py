"""`iam-guard account resume`. The change is recorded."""

from __future__ import annotations

import click

from iam_guard.cli.account.opened_accounts import new_state, opened_accounts
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering


@click.command()
@ACCOUNT
@STORE
@answering
def command(account: str, store: str) -> Answer:
    """Accept the credentials of ACCOUNT (12 digits) again, which is suspended or closed."""
    with opened_accounts(store) as accounts:
        return new_state(accounts.resume(account))
