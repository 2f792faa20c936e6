"""`iam-guard account sign-on remove`."""

from __future__ import annotations

import click

from iam_guard.cli.account.sign_on.sign_on_row import opened_providers
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering


@click.command()
@ACCOUNT
@click.argument("name")
@STORE
@answering
def command(account: str, name: str, store: str) -> Answer:
    """Stop the sign-in to ACCOUNT (12 digits) with the sign-on provider NAME.

    Sessions that have begun go on; `iam-guard account sessions` ends them. The provider stays in IAM, for the API.
    """
    with opened_providers(store) as providers:
        providers.remove(account, name)
    text = f"removed the sign-on provider {name} of the account {account}"
    return Answer({"accountId": account, "name": name}, text)
