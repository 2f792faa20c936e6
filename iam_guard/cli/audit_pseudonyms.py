"""`iam-guard audit pseudonym-key|pseudonym`: manage the keys of pseudonyms, and compute the pseudonym of a value."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import click

from iam_guard.audit.record.pseudonyms import (
    destroy_pseudonym_keys,
    make_pseudonym_key,
    pseudonym_key_file,
    pseudonyms_of,
)
from iam_guard.cli.options import ACCOUNT, JSON, STORE
from iam_guard.errors import ConfigurationError
from iam_guard.settings import load
from iam_guard.store.accounts.pseudonym_salts import StoredSalts
from iam_guard.store.location import is_seed_file, missing_store, store_file
from iam_guard.store.open_store import open_store


@click.command("pseudonym-key")
@ACCOUNT
@click.option("--rotate", is_flag=True, help="Create another key; pseudonyms made with the old one can still be found.")
@click.option(
    "--destroy", is_flag=True, help="Delete all keys of the account, so that its pseudonyms can't be resolved any more."
)
@STORE
@JSON
def pseudonym_key(account: str, rotate: bool, destroy: bool, store: str, as_json: bool) -> None:
    """Create, rotate or destroy the pseudonym key of ACCOUNT (12 digits, or `other` for callers without one)."""
    if rotate and destroy:
        raise click.UsageError("expected --rotate or --destroy, got both")
    path = _file(store)
    if destroy:
        count = destroy_pseudonym_keys(path, account)
        plural = "" if count == 1 else "s"
        text = f"destroyed {count} key{plural} of {account}; destroy all copies of the file yourself"
    else:
        make_pseudonym_key(path, account, rotate=rotate)
        text = f"{'rotated' if rotate else 'created'} the key of {account} in {path}"
    done = "destroyed" if destroy else "rotated" if rotate else "made"
    click.echo(json.dumps({"account": account, "file": str(path), "done": done}) if as_json else text)


@click.command("pseudonym")
@ACCOUNT
@click.argument("value")
@STORE
@JSON
def pseudonym_command(account: str, value: str, store: str, as_json: bool) -> None:
    """Print the pseudonyms of VALUE in the records of ACCOUNT, the current one first.

    Those with a salt in the store come before those that depend on the keys alone.
    """
    path, database = _file(store), store_file(store)
    if is_seed_file(store) or (database is not None and not database.exists()):
        found = pseudonyms_of(path, account, value)
    else:
        with closing(open_store(store, load())) as opened:
            found = pseudonyms_of(path, account, value, StoredSalts(opened))
    click.echo(json.dumps({"pseudonyms": found}) if as_json else "\n".join(found))


def _file(store: str) -> Path:
    settings, database = load(), store_file(store)
    path = pseudonym_key_file(settings, database)
    if database is not None and not settings.audit_pseudonym_key_file and not database.exists():
        raise missing_store(store)
    if path is None:
        message = "expected a file of pseudonym keys, set `IAM_GUARD_AUDIT_PSEUDONYM_KEY_FILE`"
        raise ConfigurationError(message, place="audit_pseudonym_key_file")
    return path
