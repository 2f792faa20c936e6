"""`iam-guard account sign-on own-redirect`."""

from __future__ import annotations

import click

from iam_guard.cli.account.sign_on.sign_on_row import opened_providers, provider_row, return_url
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.settings import load_settings


@click.command()
@click.argument("account")
@click.argument("name")
@STORE
@answering
def command(account: str, name: str, store: str) -> Answer:
    """Use the own redirect address of the sign-on provider NAME of ACCOUNT (12 digits).

    Register the address at the identity provider first: `sign-on list` shows it. Sign-on providers that version 0.2 or
    an earlier one has added share an address, and work only if their identity provider announces that it names itself
    in its answers (RFC 9207).
    """
    settings = load_settings()
    with opened_providers(store) as providers:
        changed = providers.use_own_redirect(account, name)
    lines = [f"the sign-on provider {changed.name} of the account {account} has its own redirect address"]
    if settings.site_url:
        lines.append(f"it must be registered at the identity provider: {return_url(settings, changed)}")
    return Answer(provider_row(changed, settings), lines)
