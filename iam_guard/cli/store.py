"""`iam-guard init` and `apply`: create a store, and bring it to the state that a seed declares."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click

from iam_guard.audit.verify.signing_keys import audit_key_file, create_signing_key_file, read_signing_keys
from iam_guard.cli.change_recording import recording_changes, seed_applied
from iam_guard.cli.gc_tuning import relaxed_gc
from iam_guard.cli.options import JSON, STORE
from iam_guard.cli.progress import progress
from iam_guard.settings import load
from iam_guard.store.location import database_file
from iam_guard.store.open_store import check_store, init_store, move_to_own_schema, open_database
from iam_guard.store.quotas import effective_quotas
from iam_guard.store.sealing import default_key_file
from iam_guard.store.seed import apply_seed, load_seed


@click.command()
@click.option(
    "--move-to-schema", is_flag=True, help="Move a PostgreSQL store to `postgresql_schema`. Stop all processes first."
)
@STORE
@JSON
def init(move_to_schema: bool, store: str, as_json: bool) -> None:
    """Create the store, the key that encrypts its secrets, and the key that signs the audit trail."""
    settings, key_file = load(), default_key_file(store)
    had_key = key_file is None or os.path.exists(key_file)  # no error for an impossible name: `init_store` reports it
    lines = []
    if move_to_schema:
        former = move_to_own_schema(store, settings)
        moved = "is in" if former is None else f"was moved from the schema `{former}` to"
        lines.append(f"the store {moved} the schema `{settings.postgresql_schema}`")
    with progress("creating"), closing(init_store(store, settings)) as opened:
        lines.append(f"the store is ready at epoch {opened.epoch()}")
    if key_file is not None and not had_key and os.path.exists(key_file):
        lines.append(f"its secrets are encrypted with the key in {key_file}: back it up")
    path = audit_key_file(settings, database_file(store))
    if path is not None and create_signing_key_file(path):
        lines.append(f"the audit trail is verified with the key {read_signing_keys(path)[0].verifier}")
    _print_lines(lines, as_json=as_json)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--prune", is_flag=True, help="Remove entities of the file's accounts that the file does not declare.")
@STORE
@JSON
@relaxed_gc()
def apply(file: Path, prune: bool, store: str, as_json: bool) -> None:
    """Apply a seed FILE, so that the store contains what it declares. An invalid file changes nothing."""
    settings = load()
    check_store(store, settings)  # reading a seed may take minutes, so the store is checked first
    is_quiet = settings.audit == "-"  # the audit record is written to standard error
    with progress("applying", is_quiet=is_quiet), recording_changes(store, settings) as change_recorder:
        change_recorder.prepare()
        seed = load_seed(file, partition=settings.partition, quotas=effective_quotas(settings.quotas))
        with closing(open_database(store, settings, create=True)) as opened:
            changes = apply_seed(opened, seed, prune=prune)
        if changes:
            change_recorder.record(seed_applied(changes, file, prune=prune))
    _print_lines(changes.lines, default="no changes", as_json=as_json)


def _print_lines(lines: Sequence[str], *, default: str = "", as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"changes": list(lines)}))
        return
    for line in lines or [default]:
        click.echo(line)
