"""`iam-guard audit pseudonym`."""

from __future__ import annotations

from contextlib import closing

import click

from iam_guard.audit.record.pseudonyms import pseudonyms_of
from iam_guard.cli.audit.pseudonym_file import pseudonym_keys_of
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering
from iam_guard.settings import load_settings
from iam_guard.store.accounts.pseudonym_salts import StoredSalts
from iam_guard.store.location import is_seed_file, store_file
from iam_guard.store.opening import open_store


@click.command()
@ACCOUNT
@click.argument("value")
@STORE
@answering
def command(account: str, value: str, store: str) -> Answer:
    """Print the pseudonyms of VALUE in the records of ACCOUNT, the current one first.

    Those with a salt in the store come before those that depend on the keys alone.
    """
    path, database = pseudonym_keys_of(store), store_file(store)
    if is_seed_file(store) or (database is not None and not database.exists()):
        found = pseudonyms_of(path, account, value)
    else:
        with closing(open_store(store, load_settings())) as opened:
            found = pseudonyms_of(path, account, value, StoredSalts(opened))
    return Answer({"pseudonyms": found}, "\n".join(found))
