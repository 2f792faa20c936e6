"""`iam-guard audit pseudonym-key|pseudonym`: the keys of pseudonyms, and finding somebody's pseudonym again."""

from __future__ import annotations

import json
from pathlib import Path

import click

from iam_guard.audit.record.pseudonyms import (
    destroy_pseudonym_keys,
    make_pseudonym_key,
    pseudonym_key_file,
    pseudonyms_of,
)
from iam_guard.cli.options import JSON, STORE
from iam_guard.errors import ConfigurationError
from iam_guard.settings import load
from iam_guard.store.engine import database_file


@click.command("pseudonym-key")
@click.argument("account")
@click.option("--rotate", is_flag=True, help="Make another key; with the old one, old pseudonyms are still found.")
@click.option("--destroy", is_flag=True, help="Remove all keys of the account; nobody tells its pseudonyms any more.")
@STORE
@JSON
def pseudonym_key(account: str, rotate: bool, destroy: bool, store: str, as_json: bool) -> None:
    """Make, rotate or destroy the key of the pseudonyms of ACCOUNT (12 digits, or `other` for what has none)."""
    if rotate and destroy:
        raise click.UsageError("expected --rotate or --destroy")
    path = _file(store)
    if destroy:
        count = destroy_pseudonym_keys(path, account)
        told = (
            f"destroyed {count} {'key' if count == 1 else 'keys'} of {account}; copies of the file are yours to destroy"
        )
    else:
        make_pseudonym_key(path, account, rotate=rotate)
        told = f"{'rotated' if rotate else 'made'} the key of {account} in {path}"
    done = "destroyed" if destroy else "rotated" if rotate else "made"
    click.echo(json.dumps({"account": account, "file": str(path), "done": done}) if as_json else told)


@click.command("pseudonym")
@click.argument("account")
@click.argument("value")
@STORE
@JSON
def pseudonym_command(account: str, value: str, store: str, as_json: bool) -> None:
    """Print the pseudonyms that VALUE has in the records of ACCOUNT, the present one first."""
    found = pseudonyms_of(_file(store), account, value)
    click.echo(json.dumps({"pseudonyms": found}) if as_json else "\n".join(found))


def _file(store: str) -> Path:
    path = pseudonym_key_file(load(), database_file(store))
    if path is None:
        message = "expected a file of pseudonym keys, set `IAM_GUARD_AUDIT_PSEUDONYM_KEY_FILE`"
        raise ConfigurationError(message, place="audit_pseudonym_key_file")
    return path
