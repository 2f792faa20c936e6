"""`iam-guard account suspend`. The change is recorded."""

from __future__ import annotations

import click

from iam_guard.cli.account.opened_accounts import new_state, opened_accounts
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering


@click.command()
@ACCOUNT
@STORE
@answering
def command(account: str, store: str) -> Answer:
    """Refuse every credential of ACCOUNT (12 digits), until it is resumed.

    People can't sign in to it, and its roles can't be assumed. Other accounts still reach what it shares with them.
    """
    with opened_accounts(store) as accounts:
        return new_state(accounts.suspend(account))
