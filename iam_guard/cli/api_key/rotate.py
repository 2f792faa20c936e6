"""`iam-guard api-key rotate`."""

from __future__ import annotations

from datetime import timedelta

import click

from iam_guard.cli.api_key.opened_keys import DAYS, created_key, in_days, opened_keys
from iam_guard.cli.kit.commands import STORE, Answer, answering


@click.command()
@click.argument("id")
@DAYS
@click.option(
    "--overlap-hours", type=click.FloatRange(min=0), help="Set the hours until the old key expires; default: never."
)
@STORE
@answering
def command(id: str, days: float | None, overlap_hours: float | None, store: str) -> Answer:
    """Create another key with the owner and scope of the key ID; both are valid until the old one expires."""
    overlap = None if overlap_hours is None else timedelta(hours=overlap_hours)
    with opened_keys(store) as keys:
        return created_key(keys.rotate(id, expires=in_days(days), overlap=overlap))
