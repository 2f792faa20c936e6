"""`iam-guard audit tail` and `export`: what stands in a trail, to look at and for others to read.

Both verify as they go.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from iam_guard.audit.consumer.record_filter import record_filter
from iam_guard.audit.consumer.start_position import Start, moment
from iam_guard.audit.consumer.subscription import AuditReader, Subscription
from iam_guard.audit.export.export_formats import FORMS
from iam_guard.cli.audit_sources import FILTER, FOLDER, KEYS, SINCE, believed_keys
from iam_guard.cli.options import JSON, STORE

_UNVERIFIED = click.option(
    "--no-verify", is_flag=True, help="Show also what is not signed, and believe what stands there; needs no key."
)


@click.command()
@click.argument("folder", type=FOLDER)
@FILTER
@click.option("--follow", "-f", is_flag=True, help="Begin with what comes from now on, and wait for more.")
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
    """Show the records of the trail in FOLDER, in the order of their time."""
    start: Start = moment(since) if since is not None else "latest" if follow else "earliest"
    show: Callable[[dict[str, Any]], None] = _print_json
    if not as_json:
        show = import_module("iam_guard.cli.record_view").printer()
    with _subscription(folder, filters, start, keys, store, follow=follow, verify=not no_verify) as subscription:
        _each(subscription, show)


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--ocsf", "form", flag_value="ocsf", help="As events of OCSF 1.9.0, one a line.")
@click.option("--otel", "form", flag_value="otel", help="As log events of OpenTelemetry, a line of OTLP JSON for each.")
@FILTER
@SINCE
@click.option("--follow", "-f", is_flag=True, help="Wait for more.")
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
    """Write the records of the trail in FOLDER in another form, as JSON lines."""
    if form is None:
        raise click.UsageError("expected --ocsf or --otel")
    start: Start = "earliest" if since is None else moment(since)
    with _subscription(folder, filters, start, keys, store, follow=follow, verify=not no_verify) as subscription:
        _each(subscription, lambda record: click.echo(FORMS[form](record)))


def _subscription(
    folder: Path,
    filters: tuple[str, ...],
    start: Start,
    keys: tuple[str, ...],
    store: str,
    *,
    follow: bool,
    verify: bool,
) -> Subscription:
    ring = believed_keys(keys, store) if verify else None
    wanted = record_filter(filters) if filters else None
    return AuditReader(folder, ring=ring).subscribe(start=start, filter=wanted, verify=verify, follow=follow)


def _each(subscription: Subscription, show: Callable[[dict[str, Any]], None]) -> None:
    """Show every record; whoever ends the command with Ctrl-C, or closes the pipe, wanted no more."""
    try:
        for _, record in subscription:
            show(record)
            if subscription.is_idle:
                sys.stdout.flush()
    except KeyboardInterrupt:
        return


def _print_json(record: dict[str, Any]) -> None:
    click.echo(json.dumps(record))
