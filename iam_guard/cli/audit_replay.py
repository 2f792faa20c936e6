"""`iam-guard audit replay` and `shadow`: decide recorded requests with other policies, and list what a candidate in
shadow mode would have decided.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path

import click

from iam_guard.analysis.replay import (
    Comparison,
    OutcomeChange,
    Replayer,
    ShadowDifferences,
    compare_decisions,
    shadow_differences,
)
from iam_guard.cli.audit_sources import FILES, KEYS, NO_VERIFY, keys_for, records_of
from iam_guard.cli.options import JSON, STORE
from iam_guard.settings import Settings, load
from iam_guard.store.location import is_seed_file
from iam_guard.store.open_store import open_candidate, open_store
from iam_guard.store.protocol import SourceStore
from iam_guard.store.seed import apply_seed, load_seed
from iam_guard.store.seed.change_files import is_change_file
from iam_guard.store.snapshot import copy_to_memory


@click.command()
@FILES
@click.option(
    "--with",
    "change",
    metavar="CHANGES|SEED|URL",
    help="Decide with this change file (on top of the store), seed (on a copy in memory) or store URL.",
)
@NO_VERIFY
@KEYS
@STORE
@JSON
def replay(
    files: tuple[Path, ...], change: str | None, no_verify: bool, keys: tuple[str, ...], store: str, as_json: bool
) -> None:
    """Decide the requests of audit FILES again and list changed outcomes; exit code 1 if there are any.

    A folder is a trail, which is verified.
    """
    settings = load()
    ring = keys_for(files, keys, store, no_verify=no_verify)
    broken: list[str] = []
    with ExitStack() as opened:
        present = opened.enter_context(closing(open_store(store, settings)))
        changed = None if change is None else opened.enter_context(closing(_changed(change, present, settings)))
        result = compare_decisions(
            opened.enter_context(records_of(files, ring, broken)),
            Replayer(present, settings),
            None if changed is None else Replayer(changed, settings),
        )
    if as_json:
        click.echo(json.dumps({**asdict(result), "flipped": result.flipped, "broken": broken}))
    else:
        click.echo("\n".join(_report_lines(result, broken)))
    sys.exit(2 if broken or result.contradictions else 1 if result.flips else 0)


@click.command()
@FILES
@NO_VERIFY
@KEYS
@STORE
@JSON
def shadow(files: tuple[Path, ...], no_verify: bool, keys: tuple[str, ...], store: str, as_json: bool) -> None:
    """List what a candidate in shadow mode would have decided differently, from FILES; exit code 1 if anything.

    A folder is a trail, which is verified.
    """
    broken: list[str] = []
    ring = keys_for(files, keys, store, no_verify=no_verify)
    with records_of(files, ring, broken) as records:
        found = shadow_differences(records)
    if as_json:
        click.echo(json.dumps({**asdict(found), "flipped": found.flipped, "broken": broken}))
    else:
        click.echo("\n".join(_shadow_lines(found, broken)))
    sys.exit(2 if broken else 1 if found.flips or found.errors or found.unreadable else 0)


def _changed(change: str, present: SourceStore, settings: Settings) -> SourceStore:
    if not is_seed_file(change) or is_change_file(change):
        return open_candidate(change, present, settings)
    seed = load_seed(Path(change), partition=settings.partition, quotas=present.quotas)
    copy = copy_to_memory(present)
    try:
        apply_seed(copy, seed)
    except BaseException:
        copy.close()
        raise
    return copy


def _report_lines(result: Comparison, broken: list[str]) -> Iterator[str]:
    for change in result.flips:
        yield from _change_lines(change)
    total = result.compared + result.incomparable.total()
    yield (
        f"{total} decisions, {result.compared} compared: {result.flipped} outcomes would change; "
        f"{result.recorded_policies} had the recorded policies, {result.drifted} outcomes differ from the record"
    )
    for problem, count in result.incomparable.most_common():
        yield f"{count} not compared: {problem}"
    if result.others:
        yield f"{result.others} records without a decision"
    for event_id in result.contradictions:
        yield f"the same policies lead to another outcome than recorded: {event_id}"
    yield from broken


def _shadow_lines(found: ShadowDifferences, broken: list[str]) -> Iterator[str]:
    for change in found.flips:
        yield from _change_lines(change)
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


def _change_lines(change: OutcomeChange) -> Iterator[str]:
    yield f"{change.count} x {change.principal} {change.action} {change.resource}: {change.was} -> {change.becomes}"
    yield f"    before: {'; '.join(change.before) or 'no statement'}"
    yield f"    after:  {'; '.join(change.after) or 'no statement'}"
    yield f"    {change.first} to {change.last}, first {change.event_id}"
