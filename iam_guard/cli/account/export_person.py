"""`iam-guard account export-person`: what is known of a person, in the store and in the trail."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

import click

from iam_guard.audit.open_trail import is_trail
from iam_guard.cli.account.opened_people import SUBJECT, opened_people
from iam_guard.cli.kit.audit_sources import KEYS, NO_VERIFY, keys_for, records_of
from iam_guard.cli.kit.commands import STORE
from iam_guard.cli.kit.terminal import quantity
from iam_guard.errors import ConfigurationError
from iam_guard.settings import load_settings


@click.command()
@click.argument("arn")
@SUBJECT
@click.option("--out", type=click.Path(path_type=Path), help="Write to this new file, which only its owner can read.")
@click.option(
    "--trail",
    "trails",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE|FOLDER",
    help="Search these trails; default: the one of the settings, if it is a folder.",
)
@NO_VERIFY
@KEYS
@STORE
def command(
    arn: str,
    subject: str | None,
    out: Path | None,
    trails: tuple[Path, ...],
    no_verify: bool,
    keys: tuple[str, ...],
    store: str,
) -> None:
    """Write what is known of the person with ARN as JSON: in the store, and in the audit trail.

    ARN is that of a user, of a root user, of a session, or of an identity provider (with --subject). Secrets and their
    digests are left out.
    """
    audit = load_settings().audit
    paths = trails or ((Path(audit),) if is_trail(audit) and Path(audit).is_dir() else ())
    ring, broken = keys_for(paths, keys, store, no_verify=no_verify), list[str]()
    with ExitStack() as stack:
        people = stack.enter_context(opened_people(store))
        records = stack.enter_context(records_of(paths, ring, broken))
        output = stack.enter_context(_output(out))
        count = people.write_export(arn, output, subject=subject, records=records)
        if broken:
            more = "" if len(broken) == 1 else f", and {len(broken) - 1} more"
            raise ConfigurationError(f"records cannot be read: {broken[0]}{more}")
    if out is not None:
        click.echo(f"wrote {out} with {quantity(count, 'record')} of the trail")


@contextmanager
def _output(out: Path | None) -> Iterator[TextIO]:
    """Open a new file with mode 0600, removed again after an error; without one, standard output."""
    if out is None:
        yield sys.stdout
        return
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigurationError(f"the file `{out}` cannot be created: {error.strerror}", place="--out") from None
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            yield file
    except BaseException:
        out.unlink(missing_ok=True)
        raise
