"""`iam-guard audit drop`: drop what is too old from a trail, where no running service does so."""

from __future__ import annotations

import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from iam_guard.audit.verify.shard import shards_of
from iam_guard.audit.verify.signing_keys import audit_key_file, key_ring, read_signing_keys
from iam_guard.audit.writer.recovery import declare, recover
from iam_guard.audit.writer.retention import Dropped, Kept, RetentionRule, Sweep
from iam_guard.audit.writer.segment_writer import SegmentWriter
from iam_guard.cli.audit_sources import FOLDER
from iam_guard.cli.options import JSON, STORE
from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.settings import Settings, load
from iam_guard.store.engine import database_file

_AGE = re.compile(r"([0-9]{1,6})([hdw])", re.ASCII)
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--older-than", required=True, metavar="AGE", help="Such as `400d`, `36h` or `10w`.")
@click.option("--dry-run", is_flag=True, help="Say what would be dropped, and drop nothing; needs no key.")
@click.option("--even-unread", is_flag=True, help="Wait for no group of consumers.")
@STORE
@JSON
def drop(folder: Path, older_than: str, dry_run: bool, even_unread: bool, store: str, as_json: bool) -> None:
    """Drop the lines of old segments from the trail in FOLDER; exit code 1 when something old has to stay."""
    settings, keep = load(), _age(older_than)
    if not shards_of(folder):
        raise InvalidInput("expected the folder of an audit trail, found no shard", place=str(folder))
    rule = RetentionRule(keep, timedelta(0) if even_unread else timedelta(days=settings.audit_retention_grace_days))
    sweep = _looked_for(folder, rule) if dry_run else _dropped(folder, rule, settings, store)
    if as_json:
        click.echo(json.dumps(_as_dict(sweep, is_trial=dry_run)))
    else:
        _print(sweep, is_trial=dry_run)
    sys.exit(1 if sweep.kept else 0)


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise InvalidInput(f"expected an age such as `400d`, `36h` or `10w`, got `{text}`", place="--older-than")
    return timedelta(hours=int(found[1]) * _HOURS[found[2]])


def _looked_for(folder: Path, rule: RetentionRule) -> Sweep:
    sweep = Sweep(folder, rule, None)
    sweep.run()
    return sweep


def _dropped(folder: Path, rule: RetentionRule, settings: Settings, store: str) -> Sweep:
    path = audit_key_file(settings, database_file(store))
    if path is None:
        message = "expected the file of the key that signs the audit trail, set `IAM_GUARD_AUDIT_KEY_FILE`"
        raise ConfigurationError(message, place="audit_key_file")
    key, known = read_signing_keys(path)[0], key_ring(settings, path)
    try:
        found = recover(folder, key, known, region=settings.region)
        writer = SegmentWriter(folder, key, known=known, region=settings.region)
        try:
            declare(folder, writer, found)
            sweep = Sweep(folder, rule, lambda: writer)
            sweep.run()
        finally:
            writer.close()
    except OSError as error:
        raise ConfigurationError(f"the trail cannot be changed: {error.strerror}", place=str(folder)) from error
    return sweep


def _as_dict(sweep: Sweep, *, is_trial: bool) -> dict[str, Any]:
    return {
        "dry_run": is_trial,
        "dropped": [{"segment": _place(each), "lines": each.lines, "bytes": each.size} for each in sweep.dropped],
        "kept": [{"segment": _place(each), "why": each.why} for each in sweep.kept],
    }


def _print(sweep: Sweep, *, is_trial: bool) -> None:
    for each in sweep.dropped:
        click.echo(f"{_place(each)}: {each.lines} lines, {each.size} bytes")
    for kept in sweep.kept:
        click.echo(f"{click.style('kept', fg='yellow')} {_place(kept)}: {kept.why}")
    lines, size = sum(each.lines for each in sweep.dropped), sum(each.size for each in sweep.dropped)
    did = "would be dropped" if is_trial else "dropped"
    click.echo(f"{did}: {len(sweep.dropped)} segments, {lines} lines, {size} bytes; kept though old: {len(sweep.kept)}")


def _place(found: Dropped | Kept) -> str:
    return f"{found.segment.folder.name}/{found.segment.lines.name}"
