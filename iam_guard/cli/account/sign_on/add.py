"""`iam-guard account sign-on add`.

A client secret is read from a file or standard input, never from an argument, which other users of the machine could
read. It is neither printed nor recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

import click

from iam_guard.authn.people.sign_on.sign_on_providers import has_sign_on_libraries
from iam_guard.cli.account.sign_on.sign_on_row import opened_providers, provider_row, return_url
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering
from iam_guard.errors import InvalidInput
from iam_guard.settings import Settings, load_settings
from iam_guard.store.people.sign_on_settings import MAX_SECRET


@click.command()
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
@answering
def command(
    account: str,
    name: str,
    provider: str,
    client_id: str | None,
    client_secret_file: IO[bytes] | None,
    scopes: Sequence[str],
    roles: Sequence[str],
    trusts_mfa: bool,
    store: str,
) -> Answer:
    """Let people of an identity provider sign in to ACCOUNT (12 digits); NAME is what they read on its button.

    The trust policies of roles decide who gets a session. Prints the URL that you register at the identity provider.
    """
    secret, settings = _read_secret(client_secret_file), load_settings()
    with opened_providers(store) as providers:
        added = providers.add(
            account,
            name,
            provider,
            client_id=client_id,
            client_secret=secret,
            scopes=("openid", *scopes),
            roles=roles,
            trusts_mfa=trusts_mfa,
        )
    lines = [f"added the sign-on provider {added.name} ({added.id}) to the account {account}"]
    if settings.site_url:
        lines.append(f"register at the identity provider: {return_url(settings, added)}")
    notes = [f"people can't use it yet: {problem}" for problem in _missing(settings)]
    return Answer(provider_row(added, settings), lines, notes=notes)


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
