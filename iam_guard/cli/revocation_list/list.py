"""`iam-guard revocation-list list`."""

from __future__ import annotations

from typing import Any

import click

from iam_guard.cli.kit.change_recording import recorded_store
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.store.credentials.certificate_trust import RevocationLists, RevocationListSummary


@click.command()
@STORE
@answering
def command(store: str) -> Answer:
    """List the imported lists and their expiry."""
    with recorded_store(store) as (opened, _):
        found = RevocationLists(opened).list()
    return Answer([_row(revoked) for revoked in found], map(_line, found))


def _row(revoked: RevocationListSummary) -> dict[str, Any]:
    return {
        "anchor": revoked.anchor,
        "issuer": revoked.issuer,
        "issued": revoked.issued.isoformat(),
        "next_update": revoked.next_update and revoked.next_update.isoformat(),
        "revoked": revoked.revoked,
    }


def _line(revoked: RevocationListSummary) -> str:
    ends = "" if revoked.next_update is None else f"{revoked.next_update:%Y-%m-%dT%H:%MZ}"
    return f"{revoked.anchor}  {revoked.revoked} revoked, valid until {ends}  {revoked.issuer}"
