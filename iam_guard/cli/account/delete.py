"""`iam-guard account delete`. The change is recorded."""

from __future__ import annotations

import sys

import click

from iam_guard.administration.accounts import DELETION_BATCH
from iam_guard.cli.account.opened_accounts import opened_accounts
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering
from iam_guard.cli.kit.progress import progress
from iam_guard.errors import InvalidInput
from iam_guard.store.accounts.account_deletion import MAX_BATCH


@click.command()
@ACCOUNT
@click.option("--confirm", metavar="NAME", help="The name of the account, instead of a prompt for it.")
@click.option(
    "--batch",
    type=click.IntRange(1, MAX_BATCH),
    default=DELETION_BATCH,
    show_default=True,
    help="Rows that are deleted in one transaction, while which other writers wait.",
)
@STORE
@answering
def command(account: str, confirm: str | None, batch: int, store: str) -> Answer:
    """Delete ACCOUNT (12 digits), which is closed, with all its data. This can't be undone.

    The id is never given again; the name and the e-mail address are free. After an interruption, run it again.
    """
    with opened_accounts(store) as accounts:
        name = accounts.get(account).name
        if confirm is None and sys.stdin.isatty():
            confirm = click.prompt(f"Type the name of the account {account} to delete it", err=True)
        if confirm != name:
            raise InvalidInput("expected the name of the account", place="--confirm")
        rows = 0
        with progress("Deleting", unit="rows") as advance:

            def count(deleted: int) -> None:
                nonlocal rows
                rows += deleted
                advance(deleted)

            accounts.delete(account, batch=batch, progress=count)
    return Answer({"id": account, "deletedRows": rows}, f"deleted the account {account}, {rows:,} rows")
