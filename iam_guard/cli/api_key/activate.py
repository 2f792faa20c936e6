"""`iam-guard api-key activate`."""

from __future__ import annotations

import click

from iam_guard.cli.api_key.opened_keys import with_status
from iam_guard.cli.kit.commands import STORE, Answer, answering


@click.command()
@click.argument("id")
@STORE
@answering
def command(id: str, store: str) -> Answer:
    """Activate the key ID."""
    return with_status(store, id, "Active")
