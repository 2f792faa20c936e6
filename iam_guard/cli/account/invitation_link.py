"""`iam-guard account invitation-link`: a link with which a user chooses the first password."""

from __future__ import annotations

import click

from iam_guard.cli.account.reset_link import link_answer
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering


@click.command()
@ACCOUNT
@click.argument("user")
@STORE
@answering
def command(account: str, user: str, store: str) -> Answer:
    """Print a link with which USER of ACCOUNT (12 digits), who has no password, chooses the first one.

    It is valid for a week and once, and ends earlier links. Without the setting `site_url`, only its path is printed.
    """
    return link_answer(account, user, store, invites=True)
