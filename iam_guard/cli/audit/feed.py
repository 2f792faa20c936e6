"""`iam-guard audit feed`: write last-used times of a trail to a store."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path

import click

from iam_guard.analysis.activity import feed_uses
from iam_guard.analysis.activity.last_used_feed import GROUP, FeedResult
from iam_guard.audit.consumer.start_position import Start
from iam_guard.audit.consumer.subscription import AuditReader
from iam_guard.cli.kit.audit_sources import FOLDER, KEYS, SINCE, moment_of, trusted_keys
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.cli.kit.progress import progress
from iam_guard.settings import load_settings
from iam_guard.store.opening import open_database

_POLL_SECONDS = 1.0
"""Seconds between two polls of the trail."""


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--group", default=GROUP, show_default=True, help="Set the consumer group; use one per store.")
@SINCE
@click.option("--again", is_flag=True, help="Start again at the earliest record.")
@click.option("--follow", "-f", is_flag=True, help="Wait for more records.")
@KEYS
@STORE
@answering
def command(
    folder: Path,
    group: str,
    since: str | None,
    again: bool,
    follow: bool,
    keys: tuple[str, ...],
    store: str,
) -> Answer:
    """Write to the store when keys, users, roles and services were last used, according to the trail in FOLDER.

    Continues after the last record read; after restoring a store, use --again or --since. Times are never set back.
    """
    if again and since is not None:
        raise click.UsageError("expected --again or --since, got both")
    begin, ring = moment_of(since, "--since"), trusted_keys(keys, store)
    start: Start = begin or "earliest"
    total = FeedResult()
    with (
        closing(open_database(store, load_settings())) as opened,
        suppress(KeyboardInterrupt),
        AuditReader(folder, ring=ring).subscribe(group, start, follow=False) as subscription,
        progress("reading", is_quiet=follow),
    ):
        if again or begin is not None:
            subscription.seek(start)
        while True:
            fed = feed_uses(subscription, opened)
            total.records += fed.records
            total.uses += fed.uses
            if not follow:
                break
            time.sleep(_POLL_SECONDS)
    return Answer(asdict(total), f"{total.records} records read, {total.uses} uses written to the store")
