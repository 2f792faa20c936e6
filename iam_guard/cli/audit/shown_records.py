"""What the commands that show the records of a trail share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from iam_guard.audit.consumer.record_filter import record_filter
from iam_guard.audit.consumer.start_position import Start
from iam_guard.audit.consumer.subscription import AuditReader
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.cli.kit.audit_sources import reading_bar

UNVERIFIED = click.option(
    "--no-verify", is_flag=True, help="Skip verification, and include unsigned records; requires no key."
)


def show_records(
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
