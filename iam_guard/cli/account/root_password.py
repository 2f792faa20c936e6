"""`iam-guard account root-password`."""

from __future__ import annotations

import time

import click

from iam_guard.authn.people.passwords.passwords import shared_hasher
from iam_guard.authn.people.passwords.stored_passwords import hash_password, set_password
from iam_guard.authn.people.person import PersonRef, person_named
from iam_guard.cli.kit.change_recording import recorded_store
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering
from iam_guard.cli.kit.password_input import read_password
from iam_guard.errors import InvalidInput
from iam_guard.model.result import CallResult
from iam_guard.settings import load_settings
from iam_guard.store.accounts.root_email import checked_email, set_root_email


@click.command()
@ACCOUNT
@click.option(
    "--stdin", "from_stdin", is_flag=True, help="Read the password from the first line of standard input, not a prompt."
)
@click.option("--email", metavar="ADDRESS", help="Set the e-mail address of the root user, if it has none.")
@STORE
@answering
def command(account: str, from_stdin: bool, email: str | None, store: str) -> Answer:
    """Set the password of the root user of ACCOUNT (12 digits), which signs in with its e-mail address.

    Prompts for it twice without showing it, unless it is read with --stdin. A password must have at least 15 characters
    (8 if the root user has an MFA device), and be neither commonly used nor a name of the account.
    """
    email = None if email is None else checked_email(email)
    password = read_password(from_stdin=from_stdin)
    settings = load_settings()
    hasher = shared_hasher(settings.password_memory, settings.password_passes)
    with recorded_store(store) as (opened, change_recorder):
        change_recorder.prepare()
        with opened.read_transaction() as records:
            person = person_named(records, opened.partition, PersonRef(account, is_root=True))
        hashed = hash_password(opened, hasher, person, password)
        if isinstance(hashed, str):
            raise InvalidInput(hashed, place="password")
        with opened.write_transaction() as records:
            is_email_set = email is not None and set_root_email(records, account, email)
            problem = set_password(records, person, hashed, int(time.time()), reset_required=False)
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
    return Answer(parameters, f"set the password of the root user of {account}")
