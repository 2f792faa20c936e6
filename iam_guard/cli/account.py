"""`iam-guard account root-password`: how the root user of an account gets its password and its e-mail address.

The password is read from standard input or a terminal without echo, never from an argument, which other users of the
machine could read. It is neither printed nor recorded.
"""

from __future__ import annotations

import getpass
import json
import sys
import time
import warnings

import click

from iam_guard.authn.people.passwords import shared_hasher
from iam_guard.authn.people.person import load_person
from iam_guard.authn.people.stored_passwords import set_password
from iam_guard.cli.change_recording import recorded_store
from iam_guard.cli.options import JSON, STORE
from iam_guard.cli.reset_link import reset_link
from iam_guard.errors import ConfigurationError, InvalidInput, NoSuchEntity
from iam_guard.model.result import CallResult
from iam_guard.settings import load
from iam_guard.store.root_email import checked_email, set_root_email

_MAX_BYTES = 64 * 1024
"""The maximum length of the line that is read, far beyond that of a password."""


@click.group("account")
def account() -> None:
    """Set the password and the e-mail address of an account's root user."""


account.add_command(reset_link)


@account.command("root-password")
@click.argument("account")
@click.option(
    "--stdin", "from_stdin", is_flag=True, help="Read the password from the first line of standard input, not a prompt."
)
@click.option("--email", metavar="ADDRESS", help="Set the e-mail address of the root user, if it has none.")
@STORE
@JSON
def root_password(account: str, from_stdin: bool, email: str | None, store: str, as_json: bool) -> None:
    """Set the password of the root user of ACCOUNT (12 digits), which signs in with its e-mail address.

    Prompts for it twice without showing it, unless it is read with --stdin. A password must have at least 15 characters
    (8 if the root user has an MFA device), and be neither commonly used nor a name of the account.
    """
    email = None if email is None else checked_email(email)
    password = _read_password(from_stdin=from_stdin)
    settings = load()
    hasher = shared_hasher(settings.password_memory, settings.password_passes, for_writers=True)
    with recorded_store(store) as (opened, change_recorder):
        change_recorder.prepare()
        with opened.write_transaction() as records:
            person = load_person(records, opened.partition, account, None)
            if person is None:
                raise NoSuchEntity(f"the account {account[:64]} does not exist")
            is_email_set = email is not None and set_root_email(records, account, email)
            problem = set_password(records, hasher, person, password, int(time.time()), reset_required=False)
            if problem is not None:
                raise InvalidInput(problem, place="password")
        parameters = {"accountId": account} | ({"email": email} if is_email_set else {})
        change_recorder.record(
            CallResult(
                action="iam-guard:SetRootPassword",
                resource=person.arn,
                owner=account,
                parameters=parameters,
                epoch=records.epoch,
            )
        )
    click.echo(json.dumps(parameters) if as_json else f"set the password of the root user of {account}")


def _read_password(*, from_stdin: bool) -> str:
    if sys.stdin.isatty():
        return _prompted_password()
    if not from_stdin:
        raise ConfigurationError("expected a terminal, or --stdin to read the password from standard input")
    line = sys.stdin.buffer.readline(_MAX_BYTES)
    try:
        return line.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise InvalidInput("expected text in UTF-8", place="password") from None


def _prompted_password() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)  # it would be shown
        try:
            password, repeated = getpass.getpass("New password: "), getpass.getpass("The same again: ")
        except getpass.GetPassWarning:
            raise ConfigurationError("expected a terminal that can hide the password, or --stdin") from None
    if password != repeated:
        raise InvalidInput("expected the same password twice", place="password")
    return password
