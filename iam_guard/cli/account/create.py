"""`iam-guard account create`."""

from __future__ import annotations

from pathlib import Path

import click

from iam_guard.cli.account.opened_accounts import account_row, opened_accounts
from iam_guard.cli.kit.commands import ACCOUNT_ID, STORE, Answer, answering
from iam_guard.cli.kit.password_input import read_password
from iam_guard.errors import InvalidInput


@click.command()
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
@answering
def command(name: str, email: str | None, id: str | None, seed: Path | None, has_password: bool, store: str) -> Answer:
    """Create the account NAME.

    If anything is invalid, nothing is created. The seed has the members of one account, without id, name and e-mail
    address; it refers to no other files and no environment variables.
    """
    content = None if seed is None else _text_of(seed)
    password = read_password(from_stdin=True) if has_password else None
    with opened_accounts(store) as accounts:
        created = accounts.create(name, email=email, id=id, seed=content, password=password)
    return Answer(account_row(created), f"created the account {created.id}")


def _text_of(seed: Path) -> str:
    try:
        return seed.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidInput(f"cannot read the file `{seed.name}`: {reason}", place="--seed") from None
