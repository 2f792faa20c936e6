"""Common parts of the trail commands: options, trusted keys, and records of files and folders.

A folder is a trail and verified while reading. A file of records has no checkpoints, so it can't be verified.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from iam_guard.audit.consumer.reader import read_records
from iam_guard.audit.consumer.record_filter import NAMES
from iam_guard.audit.consumer.start_position import Start, lines_of, moment, start_in
from iam_guard.audit.consumer.subscription import AuditReader
from iam_guard.audit.verify.shard import shards_of
from iam_guard.audit.verify.signed_note import KeyRing, VerifierKey
from iam_guard.audit.verify.signing_keys import audit_key_file, key_ring
from iam_guard.cli.kit.progress import progress
from iam_guard.errors import ConfigurationError
from iam_guard.settings import load_settings
from iam_guard.store.location import store_file

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
TRAIL = click.option("--trail", type=FOLDER, required=True, help="Read the trail in this folder.")
KEYS = click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="VKEY",
    help="Trust this public key (`name+id+base64`); default: the keys of the settings and of the store's key file.",
)

FILES = click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE|FOLDER..."
)
NO_VERIFY = click.option("--no-verify", is_flag=True, help="Skip verification of folders; requires no key.")


@contextmanager
def records_of(
    paths: Sequence[Path], ring: KeyRing | None, broken: list[str], *, since: datetime | None = None
) -> Iterator[Iterator[dict[str, Any]]]:
    """Yield the records of files and trails, one after another; errors of broken lines are added to `broken`.

    `since` is where reading a trail begins. Raises `TrailDamaged` for a trail that differs from what was signed.
    """
    start: Start = "earliest" if since is None else since
    with reading_bar(paths, start) as advance:
        yield _records(paths, ring, broken, start, advance)


def reading_bar(
    paths: Sequence[Path], start: Start, *, is_quiet: bool = False
) -> AbstractContextManager[Callable[[int], None]]:
    """Show how many records of files and trails were read; yields the function that counts them."""
    return progress("reading", lambda: _count(paths, start), unit="records", is_quiet=is_quiet)


def _count(paths: Sequence[Path], start: Start) -> int | None:
    """Return the number of records in trails; None if it takes reading a file."""
    if not all(path.is_dir() for path in paths):
        return None
    return sum(lines_of(shard) - start_in(shard, start) for path in paths for shard in shards_of(path))


def _records(
    paths: Sequence[Path], ring: KeyRing | None, broken: list[str], start: Start, advance: Callable[[int], None]
) -> Iterator[dict[str, Any]]:
    for path in paths:
        if not path.is_dir():
            for record in read_records(path, on_broken=lambda error: broken.append(str(error))):
                advance(1)
                yield record
            continue
        reader = AuditReader(path, ring=ring)
        with reader.subscribe(start=start, verify=ring is not None, follow=False) as subscription:
            for _, record in subscription:
                advance(1)
                yield record


def keys_for(paths: Sequence[Path], keys: Sequence[str], store: str, *, no_verify: bool) -> KeyRing | None:
    """Return the trusted keys if any path is a trail to verify; else None."""
    return None if no_verify or not any(path.is_dir() for path in paths) else trusted_keys(keys, store)


FILTER = click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="NAME=PATTERN",
    help=f"Select matching records (`!=` negates) by {', '.join(NAMES)}, or the path of a member.",
)
SINCE = click.option("--since", metavar="TIME", help="Start at this time, such as `2026-11-25T04:00:00Z`.")


def trusted_keys(keys: Sequence[str], store: str) -> KeyRing:
    """Return the keys of the command line, or those of the settings and of the store's key file."""
    if keys:
        return KeyRing([VerifierKey.parse(text, place="--key") for text in keys])
    settings = load_settings()
    ring = key_ring(settings, audit_key_file(settings, store_file(store)))
    if not ring.keys:
        raise ConfigurationError("expected a public key, pass `--key` or set `IAM_GUARD_AUDIT_VERIFIER_KEYS`")
    return ring


def content_of(file: Path) -> bytes:
    """Return the bytes of a file, or of standard input."""
    return sys.stdin.buffer.read() if file == Path("-") else file.read_bytes()


def moment_of(text: str | None, place: str) -> datetime | None:
    """Return the time that an option names, if it is given. Raises `InvalidInput`."""
    return None if text is None else moment(text, place=place)
