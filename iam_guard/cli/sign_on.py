"""`iam-guard account sign-on add|list|remove`: the identity providers whose people sign in to an account.

A client secret is read from a file or standard input, never from an argument, which other users of the machine could
read. It is neither printed nor recorded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import IO, Any

import click

from iam_guard.authn.people.sign_on_providers import SignOnProvider, SignOnProviders, has_sign_on_libraries
from iam_guard.cli.change_recording import recorded_store
from iam_guard.cli.options import JSON, STORE
from iam_guard.errors import InvalidInput
from iam_guard.settings import Settings, load
from iam_guard.store.sign_on_settings import MAX_SECRET

_RETURNS = {"oidc": "/oidc/callback", "saml": "/saml/acs"}
"""Where an identity provider sends people back to, below the sign-in page."""


@click.group("sign-on")
def sign_on() -> None:
    """Let people sign in to an account with their company's identity provider."""


@sign_on.command("add")
@click.argument("account")
@click.argument("name")
@click.option("--provider", metavar="ARN", required=True, help="The OIDC or SAML provider of the account in IAM.")
@click.option("--client-id", metavar="ID", help="The client that is registered at the OIDC provider.")
@click.option(
    "--client-secret-file",
    type=click.File("rb"),
    metavar="FILE",
    help="Read the client's secret from the first line of this file; - is standard input. Without it: a public client.",
)
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="Ask for this scope, too; repeatable.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    metavar="RULE",
    help="Offer roles by claims of the OIDC provider: `CLAIM=PATTERN ROLE_ARN`, `ROLE_ARN` for all its people, or "
    "`CLAIM`, whose values are ARNs of roles; repeatable.",
)
@click.option("--trust-mfa", "trusts_mfa", is_flag=True, help="Believe it that a person used a second factor.")
@STORE
@JSON
def add_provider(
    account: str,
    name: str,
    provider: str,
    client_id: str | None,
    client_secret_file: IO[bytes] | None,
    scopes: Sequence[str],
    roles: Sequence[str],
    trusts_mfa: bool,
    store: str,
    as_json: bool,
) -> None:
    """Let people of an identity provider sign in to ACCOUNT (12 digits); NAME is what they read on its button.

    The trust policies of roles decide who gets a session. Prints the URL that you register at the identity provider.
    """
    secret, settings = _read_secret(client_secret_file), load()
    with recorded_store(store) as (opened, change_recorder):
        added = SignOnProviders(opened, change_recorder, lambda: datetime.now(UTC)).add(
            account,
            name,
            provider,
            client_id=client_id,
            client_secret=secret,
            scopes=("openid", *scopes),
            roles=roles,
            trusts_mfa=trusts_mfa,
        )
    url = _return_url(settings, added)
    if as_json:
        click.echo(json.dumps({**_row(added), "returnUrl": url or None}))
        return
    click.echo(f"added the sign-on provider {added.name} ({added.id}) to the account {account}")
    if url:
        click.echo(f"register at the identity provider: {url}")
    for problem in _missing(settings):
        click.echo(f"people can't use it yet: {problem}", err=True)


@sign_on.command("list")
@click.argument("account")
@STORE
@JSON
def list_providers(account: str, store: str, as_json: bool) -> None:
    """List the identity providers whose people sign in to ACCOUNT (12 digits)."""
    with recorded_store(store) as (opened, change_recorder):
        found = SignOnProviders(opened, change_recorder, lambda: datetime.now(UTC)).list(account)
    if as_json:
        click.echo(json.dumps([_row(provider) for provider in found]))
        return
    for provider in found:
        client = "" if provider.client_id is None else f"  client {provider.client_id}"
        client += "" if provider.client_id is None or provider.client_secret is not None else " without a secret"
        mfa = "  trusts its MFA" if provider.trusts_mfa else ""
        click.echo(f"{provider.name}  {provider.id}  {provider.provider}{client}{mfa}")
        if provider.scopes:
            click.echo(f"    scopes {' '.join(provider.scopes)}")
        for rule in provider.roles:
            click.echo(f"    {rule}")


@sign_on.command("remove")
@click.argument("account")
@click.argument("name")
@STORE
@JSON
def remove_provider(account: str, name: str, store: str, as_json: bool) -> None:
    """Stop the sign-in to ACCOUNT (12 digits) with the sign-on provider NAME.

    Sessions that have begun go on; `iam-guard account sessions` ends them. The provider stays in IAM, for the API.
    """
    with recorded_store(store) as (opened, change_recorder):
        SignOnProviders(opened, change_recorder, lambda: datetime.now(UTC)).remove(account, name)
    removed = {"accountId": account, "name": name}
    click.echo(json.dumps(removed) if as_json else f"removed the sign-on provider {name} of the account {account}")


def _row(provider: SignOnProvider) -> dict[str, Any]:
    return {
        "id": provider.id,
        "name": provider.name,
        "provider": provider.provider,
        "clientId": provider.client_id,
        "hasSecret": provider.client_secret is not None,
        "scopes": list(provider.scopes),
        "roles": list(provider.roles),
        "trustsMfa": provider.trusts_mfa,
    }


def _return_url(settings: Settings, provider: SignOnProvider) -> str:
    if not settings.site_url:
        return ""
    return f"{settings.site_url}{(settings.sign_in_url or '/signin').rstrip('/')}{_RETURNS[provider.kind]}"


def _missing(settings: Settings) -> list[str]:
    """Return what must be set up before people can sign in with any identity provider."""
    found = [] if settings.site_url else ["the setting `site_url` is not set"]
    return found + ([] if has_sign_on_libraries() else ["the extra `sign-on` of iam_guard is not installed"])


def _read_secret(file: IO[bytes] | None) -> str | None:
    if file is None:
        return None
    line = file.readline(4 * MAX_SECRET + 2)
    try:
        return line.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise InvalidInput("expected text in UTF-8", place="client_secret") from None
