"""`iam-guard audit pseudonym-key`."""

from __future__ import annotations

import click

from iam_guard.audit.record.pseudonyms import destroy_pseudonym_keys, make_pseudonym_key
from iam_guard.cli.audit.pseudonym_file import pseudonym_keys_of
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering
from iam_guard.cli.kit.terminal import quantity


@click.command()
@ACCOUNT
@click.option("--rotate", is_flag=True, help="Create another key; pseudonyms made with the old one can still be found.")
@click.option(
    "--destroy", is_flag=True, help="Delete all keys of the account, so that its pseudonyms can't be resolved any more."
)
@STORE
@answering
def command(account: str, rotate: bool, destroy: bool, store: str) -> Answer:
    """Create, rotate or destroy the pseudonym key of ACCOUNT (12 digits, or `other` for callers without one)."""
    if rotate and destroy:
        raise click.UsageError("expected --rotate or --destroy, got both")
    path = pseudonym_keys_of(store)
    if destroy:
        count = destroy_pseudonym_keys(path, account)
        text = f"destroyed {quantity(count, 'key')} of {account}; destroy all copies of the file yourself"
    else:
        make_pseudonym_key(path, account, rotate=rotate)
        text = f"{'rotated' if rotate else 'created'} the key of {account} in {path}"
    done = "destroyed" if destroy else "rotated" if rotate else "made"
    return Answer({"account": account, "file": str(path), "done": done}, text)
