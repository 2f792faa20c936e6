"""`iam-guard account close`. The change is recorded."""

from __future__ import annotations

import click

from iam_guard.cli.account.opened_accounts import new_state, opened_accounts
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering


@click.command()
@ACCOUNT
@STORE
@answering
def command(account: str, store: str) -> Answer:
    """Close ACCOUNT (12 digits): suspend it, and deny its resources to every caller. Its data is kept.

    The management account of an organization can't be closed.
    """
    with opened_accounts(store) as accounts:
        return new_state(accounts.close(account))
