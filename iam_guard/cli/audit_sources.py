"""What the commands about a trail have in common: its folder, the keys that are believed, and which records.

A file of records has no checkpoints, so there is nothing to verify; a folder is verified as it is read. Must not
live here: the commands (`audit`, `audit_consumers`, `audit_ship`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from iam_guard.audit.consumer.reader import read
from iam_guard.audit.consumer.record_filter import NAMES
from iam_guard.audit.consumer.start_position import Start
from iam_guard.audit.consumer.subscription import AuditReader
from iam_guard.audit.verify.signed_note import KeyRing, VerifierKey
from iam_guard.audit.verify.signing_keys import audit_key_file, key_ring
from iam_guard.errors import ConfigurationError, InvalidInput
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

FILES = click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE|FOLDER..."
)
NO_VERIFY = click.option("--no-verify", is_flag=True, help="Believe what stands in a folder; needs no key.")


def records_of(
    paths: Sequence[Path], ring: KeyRing | None, broken: list[str], *, since: datetime | None = None
) -> Iterator[dict[str, Any]]:
    """Return the records of files and of trails in turn; a broken line of a file is told in `broken`.

    A trail must be whole. `since` is where reading a trail begins. Raises `TrailDamaged` for one
    that is not as it was signed.
    """

    def note(error: InvalidInput) -> None:
        broken.append(str(error))

    for path in paths:
        if not path.is_dir():
            yield from read(path, on_broken=note)
            continue
        reader = AuditReader(path, ring=ring)
        start: Start = "earliest" if since is None else since
        with reader.subscribe(start=start, verify=ring is not None, follow=False) as subscription:
            for _, record in subscription:
                yield record


def keys_for(paths: Sequence[Path], keys: Sequence[str], store: str, *, no_verify: bool) -> KeyRing | None:
    """Return the keys where any of the paths is a trail that is to be verified; None for everything else."""
    return None if no_verify or not any(path.is_dir() for path in paths) else believed_keys(keys, store)


FILTER = click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="NAME=PATTERN",
    help=f"Only records of which this holds, `!=` for the contrary; {', '.join(NAMES)}, or the path of a member.",
)
SINCE = click.option("--since", metavar="TIME", help="Begin at this time, such as `2026-11-25T04:00:00Z`.")


def believed_keys(keys: Sequence[str], store: str) -> KeyRing:
    """Return the keys of the command line, else those of the settings and of the store's key file."""
    if keys:
        return KeyRing([VerifierKey.parse(text, place="--key") for text in keys])
    settings = load()
    ring = key_ring(settings, audit_key_file(settings, database_file(store)))
    if not ring.keys:
        raise ConfigurationError("expected a public key, give `--key` or set `IAM_GUARD_AUDIT_VERIFIER_KEYS`")
    return ring
