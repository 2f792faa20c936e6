"""`iam-guard audit tail`: show the records of a trail, which is verified while reading."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from iam_guard.audit.consumer.start_position import Start, moment
from iam_guard.cli.audit.shown_records import UNVERIFIED, show_records
from iam_guard.cli.kit.audit_sources import FILTER, FOLDER, KEYS, SINCE, trusted_keys
from iam_guard.cli.kit.commands import JSON, STORE


@click.command()
@click.argument("folder", type=FOLDER)
@FILTER
@click.option("--follow", "-f", is_flag=True, help="Start with new records, and wait for more.")
@SINCE
@UNVERIFIED
@KEYS
@STORE
@JSON
def command(
    folder: Path,
    filters: tuple[str, ...],
    follow: bool,
    since: str | None,
    no_verify: bool,
    keys: tuple[str, ...],
    store: str,
    as_json: bool,
) -> None:
    """Show the records of the trail in FOLDER, ordered by time."""
    start: Start = moment(since) if since is not None else "latest" if follow else "earliest"
    show: Callable[[dict[str, Any]], None] = _print_json
    if not as_json:
        show = import_module("iam_guard.cli.audit.record_view").printer()
    ring = None if no_verify else trusted_keys(keys, store)
    show_records(folder, filters, start, ring, show, follow=follow)


def _print_json(record: dict[str, Any]) -> None:
    click.echo(json.dumps(record))
