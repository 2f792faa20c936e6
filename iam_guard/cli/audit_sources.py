"""What the commands about a trail have in common: its folder, the keys that are believed, which records.

Must not live here: the commands (`audit`, `audit_consumers`, `audit_ship`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from iam_guard.audit.record_filter import NAMES
from iam_guard.audit.signed_note import KeyRing, VerifierKey
from iam_guard.audit.signing_keys import audit_key_file, key_ring
from iam_guard.errors import ConfigurationError
from iam_guard.settings import load
from iam_guard.store.engine import database_file

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
KEYS = click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="VKEY",
    help="A public key that is believed, `name+id+base64`; else those of the settings and of the store's key file.",
)

FILTER = click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="NAME=PATTERN",
    help=f"Only records of which this holds, `!=` for the contrary; {', '.join(NAMES)}, or the path of a member.",
)
SINCE = click.option("--since", metavar="TIME", help="Begin at this time, such as `2026-11-25T04:00:00Z`.")


def believed_keys(keys: Sequence[str], store: str) -> KeyRing:
    """Give the keys of the command line, else those of the settings and of the store's key file."""
    if keys:
        return KeyRing([VerifierKey.parse(text, place="--key") for text in keys])
    settings = load()
    ring = key_ring(settings, audit_key_file(settings, database_file(store)))
    if not ring.keys:
        raise ConfigurationError("expected a public key, give `--key` or set `IAM_GUARD_AUDIT_VERIFIER_KEYS`")
    return ring
