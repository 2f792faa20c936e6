"""`iam-guard audit checkpoint`."""

from __future__ import annotations

from pathlib import Path

import click

from iam_guard.audit.verify.proof import latest_checkpoints
from iam_guard.cli.kit.audit_sources import KEYS, TRAIL, trusted_keys
from iam_guard.cli.kit.commands import STORE
from iam_guard.errors import InvalidInput


@click.command()
@TRAIL
@KEYS
@STORE
def command(trail: Path, keys: tuple[str, ...], store: str) -> None:
    """Print the latest checkpoint of every shard; store it elsewhere for `verify --since-checkpoint`."""
    notes = latest_checkpoints(trail, trusted_keys(keys, store))
    if not notes:
        raise InvalidInput("expected a checkpoint signed with a trusted key, found none", place=str(trail))
    click.echo("".join(f"{note.decode()}\n" for note in notes), nl=False)
