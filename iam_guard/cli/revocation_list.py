"""`iam-guard revocation-list put|list`: the revocation lists of trust anchors."""

from __future__ import annotations

import json
from typing import TextIO

import click

from iam_guard.cli.change_recording import recorded_store
from iam_guard.cli.options import JSON, STORE
from iam_guard.store.credentials.certificate_trust import RevocationLists


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
    with recorded_store(store) as (opened, change_recorder):
        RevocationLists(opened, change_recorder).put(anchor, file.read())
    click.echo(json.dumps({"anchor": anchor}) if as_json else f"imported a revocation list for {anchor}")


@revocation_list.command("list")
@STORE
@JSON
def list_lists(store: str, as_json: bool) -> None:
    """List the imported lists and their expiry."""
    with recorded_store(store) as (opened, _):
        found = RevocationLists(opened).list()
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
        click.echo(f"{revoked.anchor}  {revoked.revoked} revoked, valid until {ends}  {revoked.issuer}")
