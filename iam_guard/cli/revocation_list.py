"""`iam-guard revocation-list put|list`: the revocation lists of trust anchors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TextIO

import click

from iam_guard.cli.change_recording import recording_changes
from iam_guard.cli.options import JSON, STORE
from iam_guard.settings import load
from iam_guard.store.certificate_trust import RevocationLists
from iam_guard.store.open_store import open_store


@click.group("revocation-list")
def revocation_list() -> None:
    """Import and list the certificate revocation lists of trust anchors."""


@revocation_list.command("put")
@click.argument("anchor")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@STORE
@JSON
def put_list(anchor: str, file: TextIO, store: str, as_json: bool) -> None:
    """Import the list in FILE (PEM; `-` for standard input) for the trust anchor with the id ANCHOR."""
    with _lists(store) as lists:
        lists.put(anchor, file.read())
    click.echo(json.dumps({"anchor": anchor}) if as_json else f"imported a revocation list for {anchor}")


@revocation_list.command("list")
@STORE
@JSON
def list_lists(store: str, as_json: bool) -> None:
    """List the imported lists and their expiry."""
    with _lists(store) as lists:
        found = lists.list()
    if as_json:
        rows = [
            {
                "anchor": revoked.anchor,
                "issuer": revoked.issuer,
                "issued": revoked.issued.isoformat(),
                "next_update": revoked.next_update and revoked.next_update.isoformat(),
                "revoked": revoked.revoked,
            }
            for revoked in found
        ]
        click.echo(json.dumps(rows))
        return
    for revoked in found:
        ends = "" if revoked.next_update is None else f"{revoked.next_update:%Y-%m-%dT%H:%MZ}"
        click.echo(f"{revoked.anchor}  {revoked.revoked} revoked, good until {ends}  {revoked.issuer}")


@contextmanager
def _lists(store: str) -> Iterator[RevocationLists]:
    settings = load()
    with (
        recording_changes(store, settings) as change_recorder,
        closing(open_store(store, settings, create=False)) as opened,
    ):
        yield RevocationLists(opened, change_recorder)
