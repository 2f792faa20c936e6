"""`iam-guard account erase-person`."""

from __future__ import annotations

from dataclasses import asdict

import click

from iam_guard.cli.account.opened_people import SUBJECT, opened_people
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.cli.kit.terminal import quantity
from iam_guard.errors import ConfigurationError


@click.command()
@click.argument("arn")
@SUBJECT
@click.option("--confirm", metavar="NAME", required=True, help="The name of the user or session, or the subject.")
@click.option(
    "--also", multiple=True, metavar="TEXT", help="Erase the pseudonyms of this text, such as a former name, too."
)
@STORE
@answering
def command(arn: str, subject: str | None, confirm: str, also: tuple[str, ...], store: str) -> Answer:
    """Delete the user with ARN and everything of it, and the salts of its pseudonyms in the audit trail.

    ARN is that of a user, of a session, or of an identity provider (with --subject). This can't be undone. The salts
    are found with the account's keys of pseudonyms.
    """
    with opened_people(store) as people:
        name = people.subject_of(arn, subject).name
        if confirm != name:
            raise ConfigurationError("expected the name of the person to be erased", place="--confirm")
        erasure = people.erase(arn, subject=subject, also=also)
    rows, salts = quantity(sum(erasure.rows.values()), "row"), quantity(erasure.salts, "salt")
    places = [f"still named in {place}" for place in erasure.still_named_in]
    return Answer(asdict(erasure), [f"erased {rows}, and {salts} of pseudonyms", *places])
