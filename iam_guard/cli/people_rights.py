"""`iam-guard account export-person|erase-person`: what is known of a person, in the store and in the trail."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import click

from iam_guard.administration.personal_data import PersonalData
from iam_guard.audit.open_trail import is_trail
from iam_guard.audit.record.pseudonyms import pseudonym_key_file
from iam_guard.cli.audit_sources import KEYS, NO_VERIFY, keys_for, records_of
from iam_guard.cli.change_recording import recorded_store
from iam_guard.cli.options import JSON, STORE
from iam_guard.errors import ConfigurationError
from iam_guard.settings import load
from iam_guard.store.location import store_file

SUBJECT = click.option(
    "--subject", metavar="SUBJECT", help="The person that the identity provider with this ARN calls so."
)


@click.command("export-person")
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
def export_person(
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
    audit = load().audit
    paths = trails or ((Path(audit),) if is_trail(audit) and Path(audit).is_dir() else ())
    ring, broken = keys_for(paths, keys, store, no_verify=no_verify), list[str]()
    with ExitStack() as stack:
        people = stack.enter_context(_opened(store))
        records = stack.enter_context(records_of(paths, ring, broken))
        output = stack.enter_context(_output(out))
        count = people.write_export(arn, output, subject=subject, records=records)
        if broken:
            more = "" if len(broken) == 1 else f", and {len(broken) - 1} more"
            raise ConfigurationError(f"records cannot be read: {broken[0]}{more}")
    if out is not None:
        click.echo(f"wrote {out} with {count} record{'s'[: count != 1]} of the trail")


@click.command("erase-person")
@click.argument("arn")
@SUBJECT
@click.option("--confirm", metavar="NAME", required=True, help="The name of the user or session, or the subject.")
@click.option(
    "--also", multiple=True, metavar="TEXT", help="Erase the pseudonyms of this text, such as a former name, too."
)
@STORE
@JSON
def erase_person(arn: str, subject: str | None, confirm: str, also: tuple[str, ...], store: str, as_json: bool) -> None:
    """Delete the user with ARN and everything of it, and the salts of its pseudonyms in the audit trail.

    ARN is that of a user, of a session, or of an identity provider (with --subject). This can't be undone. The salts
    are found with the account's keys of pseudonyms.
    """
    with _opened(store) as people:
        name = people.subject_of(arn, subject).name
        if confirm != name:
            raise ConfigurationError("expected the name of the person to be erased", place="--confirm")
        erasure = people.erase(arn, subject=subject, also=also)
    if as_json:
        click.echo(json.dumps(asdict(erasure)))
        return
    rows = sum(erasure.rows.values())
    click.echo(
        f"erased {rows} row{'s'[: rows != 1]}, and {erasure.salts} salt{'s'[: erasure.salts != 1]} of pseudonyms"
    )
    for place in erasure.still_named_in:
        click.echo(f"still named in {place}")


@contextmanager
def _opened(store: str) -> Iterator[PersonalData]:
    with recorded_store(store) as (opened, change_recorder):
        people = PersonalData(opened, change_recorder, lambda: datetime.now(UTC))
        people.key_file = pseudonym_key_file(load(), store_file(store))
        yield people


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
