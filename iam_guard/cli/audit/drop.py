"""`iam-guard audit drop`: drop old segments of a trail, if no running service does so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from iam_guard.audit.verify.shard import require_shards
from iam_guard.audit.verify.signing_keys import signing_key_and_ring
from iam_guard.audit.writer.recovery import declare_damage, recover_trail
from iam_guard.audit.writer.retention import DroppedSegment, KeptSegment, RetentionRule, Sweep
from iam_guard.audit.writer.segment_writer import SegmentWriter
from iam_guard.cli.kit.audit_sources import FOLDER
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.cli.kit.progress import progress
from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.settings import Settings, load_settings
from iam_guard.store.location import store_file

_AGE = re.compile(r"([0-9]{1,6})([hdw])", re.ASCII)
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--older-than", required=True, metavar="AGE", help="Set the minimum age, such as `400d`, `36h` or `10w`.")
@click.option("--dry-run", is_flag=True, help="List what would be dropped, without dropping it; requires no key.")
@click.option("--even-unread", is_flag=True, help="Drop records that a consumer group has not read yet, too.")
@STORE
@answering
def command(folder: Path, older_than: str, dry_run: bool, even_unread: bool, store: str) -> Answer:
    """Drop the lines of old segments from the trail in FOLDER; exit code 1 if an old segment must be kept."""
    settings, keep = load_settings(), _age(older_than)
    require_shards(folder)
    rule = RetentionRule(keep, timedelta(0) if even_unread else timedelta(days=settings.audit_retention_grace_days))
    with progress("dropping"):
        if dry_run:
            sweep = Sweep(folder, rule, None)
            sweep.run()
        else:
            sweep = _drop(folder, rule, settings, store)
    return Answer(
        _as_dict(sweep, is_dry_run=dry_run), _lines(sweep, is_dry_run=dry_run), exit_code=1 if sweep.kept else 0
    )


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise InvalidInput(f"expected an age such as `400d`, `36h` or `10w`, got `{text}`", place="--older-than")
    return timedelta(hours=int(found[1]) * _HOURS[found[2]])


def _drop(folder: Path, rule: RetentionRule, settings: Settings, store: str) -> Sweep:
    key, known = signing_key_and_ring(settings, store_file(store))
    try:
        found = recover_trail(folder, key, known, region=settings.region)
        writer = SegmentWriter(folder, key, known=known, region=settings.region)
        try:
            declare_damage(folder, writer, found)
            sweep = Sweep(folder, rule, lambda: writer)
            sweep.run()
        finally:
            writer.close()
    except OSError as error:
        raise ConfigurationError(f"cannot change the trail: {error.strerror}", place=str(folder)) from error
    return sweep


def _as_dict(sweep: Sweep, *, is_dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": is_dry_run,
        "dropped": [
            {"segment": _place(dropped), "lines": dropped.lines, "bytes": dropped.size} for dropped in sweep.dropped
        ],
        "kept": [{"segment": _place(kept), "why": kept.why} for kept in sweep.kept],
    }


def _lines(sweep: Sweep, *, is_dry_run: bool) -> Iterator[str]:
    for dropped in sweep.dropped:
        yield f"{_place(dropped)}: {dropped.lines} lines, {dropped.size} bytes"
    for kept in sweep.kept:
        yield f"{click.style('kept', fg='yellow')} {_place(kept)}: {kept.why}"
    lines, size = sum(dropped.lines for dropped in sweep.dropped), sum(dropped.size for dropped in sweep.dropped)
    verb = "would be dropped" if is_dry_run else "dropped"
    yield f"{verb}: {len(sweep.dropped)} segments, {lines} lines, {size} bytes; kept though old: {len(sweep.kept)}"


def _place(segment: DroppedSegment | KeptSegment) -> str:
    return f"{segment.segment.folder.name}/{segment.segment.lines.name}"
