"""`iam-guard api-key delete`."""

from __future__ import annotations

import click

from iam_guard.cli.api_key.opened_keys import opened_keys
from iam_guard.cli.kit.commands import STORE, Answer, answering


@click.command()
@click.argument("id")
@STORE
@answering
def command(id: str, store: str) -> Answer:
    """Delete the key ID."""
    with opened_keys(store) as keys:
        keys.delete(id)
    return Answer({"id": id}, f"deleted the API key {id}")
