"""`iam-guard audit shadow`: what a candidate in shadow mode would have decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from iam_guard.analysis.replay import ShadowDifferences, shadow_differences
from iam_guard.cli.audit.outcome_changes import change_lines
from iam_guard.cli.kit.audit_sources import FILES, KEYS, NO_VERIFY, keys_for, records_of
from iam_guard.cli.kit.commands import STORE, Answer, answering


@click.command()
@FILES
@NO_VERIFY
@KEYS
@STORE
@answering
def command(files: tuple[Path, ...], no_verify: bool, keys: tuple[str, ...], store: str) -> Answer:
    """List what a candidate in shadow mode would have decided differently, from FILES; exit code 1 if anything.

    A folder is a trail, which is verified.
    """
    broken: list[str] = []
    ring = keys_for(files, keys, store, no_verify=no_verify)
    with records_of(files, ring, broken) as records:
        found = shadow_differences(records)
    return Answer(
        {**asdict(found), "flipped": found.flipped, "broken": broken},
        _lines(found, broken),
        exit_code=2 if broken else 1 if found.flips or found.errors or found.unreadable else 0,
    )


def _lines(found: ShadowDifferences, broken: list[str]) -> Iterator[str]:
    for change in found.flips:
        yield from change_lines(change)
    total = found.decisions + found.unreadable.total()
    yield (
        f"{total} decisions: the candidate would change {found.flipped} outcomes, "
        f"and deny {found.denied_otherwise} for another reason"
    )
    for problem, count in found.errors.most_common():
        yield f"{count} without a decision of the candidate: {problem}"
    for problem, count in found.unreadable.most_common():
        yield f"{count} not readable: {problem}"
    if found.others:
        yield f"{found.others} records without a decision"
    yield from broken
