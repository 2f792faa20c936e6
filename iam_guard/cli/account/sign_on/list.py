"""`iam-guard account sign-on list`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from iam_guard.authn.people.sign_on.sign_on_providers import SignOnProvider
from iam_guard.cli.account.sign_on.sign_on_row import opened_providers, provider_row, return_url
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering
from iam_guard.settings import Settings, load_settings


@click.command()
@ACCOUNT
@STORE
@answering
def command(account: str, store: str) -> Answer:
    """List the identity providers whose people sign in to ACCOUNT (12 digits), and the URLs to register there."""
    settings = load_settings()
    with opened_providers(store) as providers:
        found = providers.list(account)
    rows = [provider_row(provider, settings) for provider in found]
    return Answer(rows, (line for provider in found for line in _lines(provider, settings)))


def _lines(provider: SignOnProvider, settings: Settings) -> Iterator[str]:
    client = "" if provider.client_id is None else f"  client {provider.client_id}"
    client += "" if provider.client_id is None or provider.client_secret is not None else " without a secret"
    mfa = "  trusts its MFA" if provider.trusts_mfa else ""
    yield f"{provider.name}  {provider.id}  {provider.provider}{client}{mfa}"
    if settings.site_url:
        task = "  to be registered: see `sign-on own-redirect`" if provider.has_common_redirect else ""
        yield f"    {return_url(settings, provider)}{task}"
    if provider.scopes:
        yield f"    scopes {' '.join(provider.scopes)}"
    yield from (f"    {rule}" for rule in provider.roles)
