"""`iam-guard account reset-link`: a link with which a person chooses a new password.

The link is printed only here, to standard output; it is neither stored nor recorded.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from iam_guard.authn.people.passwords.password_resets import (
    INVITATION_SECONDS,
    SECONDS,
    address_of_link,
    create_link,
)
from iam_guard.authn.people.person import PersonRef
from iam_guard.cli.kit.change_recording import operator_name, recorded_store
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering
from iam_guard.errors import ConfigurationError
from iam_guard.settings import load_settings


@click.command()
@ACCOUNT
@click.option("--user", metavar="NAME", help="Make a link for this user.")
@click.option("--root", "is_root", is_flag=True, help="Make a link for the root user.")
@STORE
@answering
def command(account: str, user: str | None, is_root: bool, store: str) -> Answer:
    """Print a link with which a user, or the root user, of ACCOUNT (12 digits) chooses a new password.

    It is valid for an hour and once, and ends earlier links. A second factor is still asked for. Without the setting
    `site_url`, only its path is printed.
    """
    if is_root == (user is not None):
        raise ConfigurationError("expected either --user NAME or --root")
    return link_answer(account, user, store, invites=False)


def link_answer(account: str, user: str | None, store: str, *, invites: bool) -> Answer:
    """Return a new link of a user, or of the root user, for another password or the first one."""
    now = int(time.time())
    with recorded_store(store) as (opened, change_recorder):
        person = PersonRef(account, user, is_root=user is None)
        token = create_link(opened, change_recorder, person, now, operator_name(), invites=invites)
    parameters = {"accountId": account} | ({} if user is None else {"userName": user})
    link = address_of_link(load_settings(), token)
    expires = datetime.fromtimestamp(now + (INVITATION_SECONDS if invites else SECONDS), UTC).isoformat()
    return Answer({**parameters, "link": link, "expires": expires}, link)
