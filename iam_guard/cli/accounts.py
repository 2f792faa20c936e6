"""`iam-guard account create|list|show|rename`: the accounts of a store, which are the tenants of an application."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from iam_guard.administration.accounts import Accounts
from iam_guard.cli.audit_sources import terminal_safe
from iam_guard.cli.change_recording import recorded_store
from iam_guard.cli.options import ACCOUNT, ACCOUNT_ID, JSON, STORE
from iam_guard.cli.password_input import read_password
from iam_guard.errors import InvalidInput
from iam_guard.model.account import Account, AccountState
from iam_guard.settings import load


@click.command("create")
@click.argument("name")
@click.option("--email", metavar="ADDRESS", help="Set the e-mail address with which the root user signs in.")
@click.option("--id", type=ACCOUNT_ID, metavar="ID", help="Use this account id (12 digits) instead of a random one.")
@click.option(
    "--seed",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Create the users, groups, roles and policies that this file declares, as in an account of a seed.",
)
@click.option(
    "--root-password-stdin",
    "has_password",
    is_flag=True,
    help="Read the password of the root user from the first line of standard input, or prompt for it on a terminal.",
)
@STORE
@JSON
def create_account(
    name: str, email: str | None, id: str | None, seed: Path | None, has_password: bool, store: str, as_json: bool
) -> None:
    """Create the account NAME.

    If anything is invalid, nothing is created. The seed has the members of one account, without id, name and e-mail
    address; it refers to no other files and no environment variables.
    """
    content = None if seed is None else _text_of(seed)
    password = read_password(from_stdin=True) if has_password else None
    with opened_accounts(store) as accounts:
        created = accounts.create(name, email=email, id=id, seed=content, password=password)
    click.echo(json.dumps(account_as_json(created)) if as_json else f"created the account {created.id}")


@click.command("list")
@click.option(
    "--state", type=click.Choice([known.value for known in AccountState]), help="List only accounts in this state."
)
@STORE
@JSON
def list_accounts(state: str | None, store: str, as_json: bool) -> None:
    """List the accounts of the store."""
    with opened_accounts(store) as accounts:
        listed = list(_all(accounts, None if state is None else AccountState(state)))
    if as_json:
        click.echo(json.dumps([account_as_json(account) for account in listed]))
        return
    for account in listed:
        email = "" if account.email is None else f"  {terminal_safe(account.email)}"
        click.echo(f"{account.id}  {account.state:9}  {account.created:%Y-%m-%d}  {terminal_safe(account.name)}{email}")


@click.command("show")
@ACCOUNT
@STORE
@JSON
def show_account(account: str, store: str, as_json: bool) -> None:
    """Show the name, addresses and state of ACCOUNT (12 digits)."""
    with opened_accounts(store) as accounts:
        row = account_as_json(accounts.get(account))
    if as_json:
        click.echo(json.dumps(row))
        return
    for key, value in row.items():
        click.echo(f"{key:12}{'-' if value is None else terminal_safe(value)}")


@click.command("rename")
@ACCOUNT
@click.argument("name")
@STORE
@JSON
def rename_account(account: str, name: str, store: str, as_json: bool) -> None:
    """Change the name of ACCOUNT (12 digits) to NAME."""
    with opened_accounts(store) as accounts:
        renamed = accounts.rename(account, name)
    text = f"renamed the account {renamed.id} to {renamed.name}"
    click.echo(json.dumps(account_as_json(renamed)) if as_json else text)


@contextmanager
def opened_accounts(store: str) -> Iterator[Accounts]:
    """Yield the accounts of a store; the operator's changes are recorded."""
    with recorded_store(store) as (opened, change_recorder):
        yield Accounts(opened, load(), change_recorder, lambda: datetime.now(UTC))


def _all(accounts: Accounts, state: AccountState | None) -> Iterator[Account]:
    page = accounts.list(state=state)
    while page:
        yield from page
        page = accounts.list(state=state, after=page[-1].id)


def account_as_json(account: Account) -> dict[str, str | None]:
    """Return an account as every command with `--json` prints it."""
    return {
        "id": account.id,
        "name": account.name,
        "state": account.state.value,
        "stateSince": account.state_since.isoformat(),
        "created": account.created.isoformat(),
        "email": account.email,
        "alias": account.alias,
    }


def _text_of(seed: Path) -> str:
    try:
        return seed.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidInput(f"cannot read the file `{seed.name}`: {reason}", place="--seed") from None
