"""`iam-guard audit export`: convert the records of a trail, which is verified while reading."""

from __future__ import annotations

from pathlib import Path

import click

from iam_guard.audit.consumer.start_position import Start, moment
from iam_guard.audit.export import FORMS
from iam_guard.cli.audit.shown_records import UNVERIFIED, show_records
from iam_guard.cli.kit.audit_sources import FILTER, FOLDER, KEYS, SINCE, trusted_keys
from iam_guard.cli.kit.commands import STORE


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--ocsf", "form", flag_value="ocsf", help="Write OCSF 1.9.0 events, one per line.")
@click.option("--otel", "form", flag_value="otel", help="Write OpenTelemetry log records, one line of OTLP JSON each.")
@FILTER
@SINCE
@click.option("--follow", "-f", is_flag=True, help="Wait for more records.")
@UNVERIFIED
@KEYS
@STORE
def command(
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
    show_records(folder, filters, start, ring, lambda record: click.echo(FORMS[form](record)), follow=follow)
