"""`iam-guard audit prove`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from iam_guard.audit.verify.proof import prove
from iam_guard.cli.kit.audit_sources import KEYS, TRAIL, trusted_keys
from iam_guard.cli.kit.commands import STORE
from iam_guard.cli.kit.progress import progress


@click.command()
@click.argument("event_id")
@TRAIL
@KEYS
@STORE
def command(event_id: str, trail: Path, keys: tuple[str, ...], store: str) -> None:
    """Prove that the record EVENT_ID is in the trail: print a JSON proof that can be checked without the trail."""
    ring = trusted_keys(keys, store)
    with progress("searching"):
        proof = prove(trail, event_id, ring)
    click.echo(json.dumps(proof.to_dict()))
