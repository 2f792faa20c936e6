"""`iam-guard account sign-on add|list|own-redirect|remove`: the identity providers whose people sign in to an account.

A client secret is read from a file or standard input, never from an argument, which other users of the machine could
read. It is neither printed nor recorded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import IO, Any

import click

from iam_guard.authn.people.sign_on.saml_requests import ACS_PATH
from iam_guard.authn.people.sign_on.sign_on_providers import (
    SignOnProvider,
    SignOnProviders,
    has_sign_on_libraries,
    redirect_uri,
)
from iam_guard.cli.change_recording import recorded_store
from iam_guard.cli.options import ACCOUNT, JSON, STORE
from iam_guard.errors import InvalidInput
from iam_guard.settings import Settings, load
from iam_guard.store.people.sign_on_settings import MAX_SECRET


@click.group("sign-on")
def sign_on() -> None:
    """Let people sign in to an account with their company's identity provider."""


@sign_on.command("add")
@ACCOUNT
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
    if as_json:
        click.echo(json.dumps(_row(added, settings)))
        return
    click.echo(f"added the sign-on provider {added.name} ({added.id}) to the account {account}")
    if settings.site_url:
        click.echo(f"register at the identity provider: {_return_url(settings, added)}")
    for problem in _missing(settings):
        click.echo(f"people can't use it yet: {problem}", err=True)


@sign_on.command("list")
@ACCOUNT
@STORE
@JSON
def list_providers(account: str, store: str, as_json: bool) -> None:
    """List the identity providers whose people sign in to ACCOUNT (12 digits), and the URLs to register there."""
    settings = load()
    with recorded_store(store) as (opened, change_recorder):
        found = SignOnProviders(opened, change_recorder, lambda: datetime.now(UTC)).list(account)
    if as_json:
        click.echo(json.dumps([_row(provider, settings) for provider in found]))
        return
    for provider in found:
        client = "" if provider.client_id is None else f"  client {provider.client_id}"
        client += "" if provider.client_id is None or provider.client_secret is not None else " without a secret"
        mfa = "  trusts its MFA" if provider.trusts_mfa else ""
        click.echo(f"{provider.name}  {provider.id}  {provider.provider}{client}{mfa}")
        if settings.site_url:
            task = "  to be registered: see `sign-on own-redirect`" if provider.has_common_redirect else ""
            click.echo(f"    {_return_url(settings, provider)}{task}")
        if provider.scopes:
            click.echo(f"    scopes {' '.join(provider.scopes)}")
        for rule in provider.roles:
            click.echo(f"    {rule}")


@sign_on.command("own-redirect")
@click.argument("account")
@click.argument("name")
@STORE
@JSON
def use_own_redirect(account: str, name: str, store: str, as_json: bool) -> None:
    """Use the own redirect address of the sign-on provider NAME of ACCOUNT (12 digits).

    Register the address at the identity provider first: `sign-on list` shows it. Sign-on providers that version 0.2 or
    an earlier one has added share an address, and work only if their identity provider announces that it names itself
    in its answers (RFC 9207).
    """
    settings = load()
    with recorded_store(store) as (opened, change_recorder):
        changed = SignOnProviders(opened, change_recorder, lambda: datetime.now(UTC)).use_own_redirect(account, name)
    if as_json:
        click.echo(json.dumps(_row(changed, settings)))
        return
    click.echo(f"the sign-on provider {changed.name} of the account {account} has its own redirect address")
    if settings.site_url:
        click.echo(f"it must be registered at the identity provider: {_return_url(settings, changed)}")


@sign_on.command("remove")
@ACCOUNT
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


def _row(provider: SignOnProvider, settings: Settings) -> dict[str, Any]:
    return {
        "id": provider.id,
        "name": provider.name,
        "provider": provider.provider,
        "clientId": provider.client_id,
        "hasSecret": provider.client_secret is not None,
        "scopes": list(provider.scopes),
        "roles": list(provider.roles),
        "trustsMfa": provider.trusts_mfa,
        "returnUrl": _return_url(settings, provider) if settings.site_url else None,
        "hasCommonRedirect": provider.has_common_redirect,
    }


def _return_url(settings: Settings, provider: SignOnProvider) -> str:
    """Return the URL to register, at which an identity provider sends people back."""
    if provider.kind == "saml":
        return settings.site_url + ACS_PATH
    return redirect_uri(settings.site_url, replace(provider, has_common_redirect=False))


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
