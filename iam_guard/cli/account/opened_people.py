"""What the commands for the data of a person share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from iam_guard.administration.personal_data import PersonalData
from iam_guard.audit.record.pseudonyms import pseudonym_key_file
from iam_guard.cli.kit.change_recording import recorded_store
from iam_guard.settings import load_settings
from iam_guard.store.location import store_file

SUBJECT = click.option(
    "--subject", metavar="SUBJECT", help="The person that the identity provider with this ARN calls so."
)


@contextmanager
def opened_people(store: str) -> Iterator[PersonalData]:
    """Yield the data of people in a store, with the keys of their pseudonyms."""
    with recorded_store(store) as (opened, change_recorder):
        people = PersonalData(opened, change_recorder, lambda: datetime.now(UTC))
        people.key_file = pseudonym_key_file(load_settings(), store_file(store))
        yield people
