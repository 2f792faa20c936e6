"""`iam-guard account list`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from iam_guard.administration.accounts import Accounts
from iam_guard.cli.account.opened_accounts import account_row, opened_accounts
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.cli.kit.terminal import terminal_safe
from iam_guard.model.account import Account, AccountState


@click.command()
@click.option(
    "--state", type=click.Choice([known.value for known in AccountState]), help="List only accounts in this state."
)
@STORE
@answering
def command(state: str | None, store: str) -> Answer:
    """List the accounts of the store."""
    with opened_accounts(store) as accounts:
        listed = list(_all(accounts, None if state is None else AccountState(state)))
    return Answer([account_row(account) for account in listed], map(_line, listed))


def _all(accounts: Accounts, state: AccountState | None) -> Iterator[Account]:
    page = accounts.list(state=state)
    while page:
        yield from page
        page = accounts.list(state=state, after=page[-1].id)


def _line(account: Account) -> str:
    email = "" if account.email is None else f"  {terminal_safe(account.email)}"
    return f"{account.id}  {account.state:9}  {account.created:%Y-%m-%d}  {terminal_safe(account.name)}{email}"
