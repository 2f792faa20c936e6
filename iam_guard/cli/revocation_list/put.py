"""`iam-guard revocation-list put`."""

from __future__ import annotations

from typing import TextIO

import click

from iam_guard.cli.kit.change_recording import recorded_store
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.store.credentials.certificate_trust import RevocationLists


@click.command()
@click.argument("anchor")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@STORE
@answering
def command(anchor: str, file: TextIO, store: str) -> Answer:
    """Import the list in FILE (PEM; `-` for standard input) for the trust anchor with the id ANCHOR."""
    with recorded_store(store) as (opened, change_recorder):
        RevocationLists(opened, change_recorder).put(anchor, file.read())
    return Answer({"anchor": anchor}, f"imported a revocation list for {anchor}")
