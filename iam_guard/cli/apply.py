"""`iam-guard apply`: bring a store to the state that a seed declares."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from iam_guard.cli.kit.change_recording import recording_changes, seed_applied
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.cli.kit.gc_tuning import relaxed_gc
from iam_guard.cli.kit.progress import progress
from iam_guard.settings import load_settings
from iam_guard.store.opening import check_store, open_database
from iam_guard.store.quotas import effective_quotas
from iam_guard.store.seed import apply_seed, load_seed


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--prune", is_flag=True, help="Remove entities of the file's accounts that the file does not declare.")
@STORE
@answering
@relaxed_gc()
def command(file: Path, prune: bool, store: str) -> Answer:
    """Apply a seed FILE, so that the store contains what it declares. An invalid file changes nothing."""
    settings = load_settings()
    check_store(store, settings)  # reading a seed may take minutes, so the store is checked first
    is_quiet = settings.audit == "-"  # the audit record is written to standard error
    with progress("applying", is_quiet=is_quiet), recording_changes(store, settings) as change_recorder:
        change_recorder.prepare()
        seed = load_seed(file, partition=settings.partition, quotas=effective_quotas(settings.quotas))
        with closing(open_database(store, settings, create=True)) as opened:
            changes = apply_seed(opened, seed, prune=prune)
        if changes:
            change_recorder.record(seed_applied(changes, file, prune=prune))
    return Answer({"changes": list(changes.lines)}, changes.lines or "no changes")
