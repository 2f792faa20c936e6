"""`iam-guard account suspend|resume|close|delete`: the states of accounts. Each change is recorded."""

from __future__ import annotations

import json
import sys

import click

from iam_guard.administration.accounts import DELETION_BATCH
from iam_guard.cli.accounts import account_as_json, opened_accounts
from iam_guard.cli.audit_sources import terminal_safe
from iam_guard.cli.options import ACCOUNT, JSON, STORE
from iam_guard.cli.progress import progress
from iam_guard.errors import InvalidInput
from iam_guard.model.account import Account
from iam_guard.store.accounts.account_deletion import MAX_BATCH


@click.command("suspend")
@ACCOUNT
@STORE
@JSON
def suspend_account(account: str, store: str, as_json: bool) -> None:
    """Refuse every credential of ACCOUNT (12 digits), until it is resumed.

    People can't sign in to it, and its roles can't be assumed. Other accounts still reach what it shares with them.
    """
    with opened_accounts(store) as accounts:
        _show(accounts.suspend(account), as_json=as_json)


@click.command("resume")
@ACCOUNT
@STORE
@JSON
def resume_account(account: str, store: str, as_json: bool) -> None:
    """Accept the credentials of ACCOUNT (12 digits) again, which is suspended or closed."""
    with opened_accounts(store) as accounts:
        _show(accounts.resume(account), as_json=as_json)


@click.command("close")
@ACCOUNT
@STORE
@JSON
def close_account(account: str, store: str, as_json: bool) -> None:
    """Close ACCOUNT (12 digits): suspend it, and deny its resources to every caller. Its data is kept.

    The management account of an organization can't be closed.
    """
    with opened_accounts(store) as accounts:
        _show(accounts.close(account), as_json=as_json)


@click.command("delete")
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
@JSON
def delete_account(account: str, confirm: str | None, batch: int, store: str, as_json: bool) -> None:
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
    deleted = {"id": account, "deletedRows": rows}
    click.echo(json.dumps(deleted) if as_json else f"deleted the account {account}, {rows:,} rows")


def _show(account: Account, *, as_json: bool) -> None:
    text = f"the account {account.id} ({terminal_safe(account.name)}) is {account.state}"
    click.echo(json.dumps(account_as_json(account)) if as_json else text)
