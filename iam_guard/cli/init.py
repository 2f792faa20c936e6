"""`iam-guard init`: create a store, or upgrade it."""

from __future__ import annotations

import os
from contextlib import closing

import click

from iam_guard.audit.verify.signing_keys import create_audit_key, read_signing_keys
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.cli.kit.progress import progress
from iam_guard.settings import load_settings
from iam_guard.store.location import database_file
from iam_guard.store.opening import create_store, move_to_own_schema
from iam_guard.store.sealing import default_key_file


@click.command()
@click.option(
    "--move-to-schema", is_flag=True, help="Move a PostgreSQL store to `postgresql_schema`. Stop all processes first."
)
@STORE
@answering
def command(move_to_schema: bool, store: str) -> Answer:
    """Create the store, the key that encrypts its secrets, and the key that signs the audit trail."""
    settings, key_file = load_settings(), default_key_file(store)
    had_key = key_file is None or os.path.exists(key_file)  # no error for an impossible name: `create_store` reports it
    lines = []
    if move_to_schema:
        former = move_to_own_schema(store, settings)
        moved = "is in" if former is None else f"was moved from the schema `{former}` to"
        lines.append(f"the store {moved} the schema `{settings.postgresql_schema}`")
    with progress("creating"), closing(create_store(store, settings)) as opened:
        lines.append(f"the store is ready at epoch {opened.epoch()}")
    if key_file is not None and not had_key and os.path.exists(key_file):
        lines.append(f"its secrets are encrypted with the key in {key_file}: back it up")
    new_key = create_audit_key(settings, database_file(store))
    if new_key is not None:
        lines.append(f"the audit trail is verified with the key {read_signing_keys(new_key)[0].verifier}")
    return Answer({"changes": lines}, lines)
