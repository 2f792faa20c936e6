"""`iam-guard account rename`."""

from __future__ import annotations

import click

from iam_guard.cli.account.opened_accounts import account_row, opened_accounts
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering


@click.command()
@ACCOUNT
@click.argument("name")
@STORE
@answering
def command(account: str, name: str, store: str) -> Answer:
    """Change the name of ACCOUNT (12 digits) to NAME."""
    with opened_accounts(store) as accounts:
        renamed = accounts.rename(account, name)
    return Answer(account_row(renamed), f"renamed the account {renamed.id} to {renamed.name}")
