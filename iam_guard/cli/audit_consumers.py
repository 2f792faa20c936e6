"""`iam-guard audit tail` and `export`: show the records of a trail, or convert them for other systems.

Both verify the trail while reading.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from iam_guard.audit.consumer.record_filter import record_filter
from iam_guard.audit.consumer.start_position import Start, moment
from iam_guard.audit.consumer.subscription import AuditReader
from iam_guard.audit.export import FORMS
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.cli.audit_sources import FILTER, FOLDER, KEYS, SINCE, reading_bar, trusted_keys
from iam_guard.cli.options import JSON, STORE

_UNVERIFIED = click.option(
    "--no-verify", is_flag=True, help="Skip verification, and include unsigned records; requires no key."
)


@click.command()
@click.argument("folder", type=FOLDER)
@FILTER
@click.option("--follow", "-f", is_flag=True, help="Start with new records, and wait for more.")
@SINCE
@_UNVERIFIED
@KEYS
@STORE
@JSON
def tail(
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
        show = import_module("iam_guard.cli.record_view").printer()
    ring = None if no_verify else trusted_keys(keys, store)
    _show_all(folder, filters, start, ring, show, follow=follow)


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--ocsf", "form", flag_value="ocsf", help="Write OCSF 1.9.0 events, one per line.")
@click.option("--otel", "form", flag_value="otel", help="Write OpenTelemetry log records, one line of OTLP JSON each.")
@FILTER
@SINCE
@click.option("--follow", "-f", is_flag=True, help="Wait for more records.")
@_UNVERIFIED
@KEYS
@STORE
def export(
    folder: Path,
    form: str | None,
    filters: tuple[str, ...],
    since: str | None,
    follow: bool,
    no_verify: bool,
    keys: tuple[str, ...],
    store: str,
) -> None:
    """Convert the records of the trail in FOLDER to another format, as JSON lines."""
    if form is None:
        raise click.UsageError("expected --ocsf or --otel")
    start: Start = "earliest" if since is None else moment(since)
    ring = None if no_verify else trusted_keys(keys, store)
    _show_all(folder, filters, start, ring, lambda record: click.echo(FORMS[form](record)), follow=follow)


def _show_all(
    folder: Path,
    filters: tuple[str, ...],
    start: Start,
    ring: KeyRing | None,
    show: Callable[[dict[str, Any]], None],
    *,
    follow: bool,
) -> None:
    """Show every record until the end, Ctrl-C, or a closed pipe."""
    matches = record_filter(filters) if filters else None
    reader = AuditReader(folder, ring=ring)
    with (
        reader.subscribe(start=start, filter=matches, verify=ring is not None, follow=follow) as subscription,
        reading_bar([folder], start, is_quiet=follow or sys.stdout.isatty()) as advance,
        suppress(KeyboardInterrupt),
    ):
        for _, record in subscription:
            advance(1)
            show(record)
            if subscription.is_idle:
                sys.stdout.flush()


def _print_json(record: dict[str, Any]) -> None:
    click.echo(json.dumps(record))
