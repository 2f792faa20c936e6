"""`iam-guard account show`."""

from __future__ import annotations

import click

from iam_guard.cli.account.opened_accounts import account_row, opened_accounts
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering
from iam_guard.cli.kit.terminal import terminal_safe


@click.command()
@ACCOUNT
@STORE
@answering
def command(account: str, store: str) -> Answer:
    """Show the name, addresses and state of ACCOUNT (12 digits)."""
    with opened_accounts(store) as accounts:
        row = account_row(accounts.get(account))
    return Answer(row, [f"{key:12}{'-' if value is None else terminal_safe(value)}" for key, value in row.items()])
