"""`iam-guard audit replay`: decide recorded requests with other policies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path

import click

from iam_guard.analysis.replay import Comparison, Replayer, compare_decisions
from iam_guard.cli.audit.outcome_changes import change_lines
from iam_guard.cli.kit.audit_sources import FILES, KEYS, NO_VERIFY, keys_for, records_of
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.settings import Settings, load_settings
from iam_guard.store.location import is_seed_file
from iam_guard.store.opening import open_candidate_store, open_store
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
@answering
def command(files: tuple[Path, ...], change: str | None, no_verify: bool, keys: tuple[str, ...], store: str) -> Answer:
    """Decide the requests of audit FILES again and list changed outcomes; exit code 1 if there are any.

    A folder is a trail, which is verified.
    """
    settings = load_settings()
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
    return Answer(
        {**asdict(result), "flipped": result.flipped, "broken": broken},
        _lines(result, broken),
        exit_code=2 if broken or result.contradictions else 1 if result.flips else 0,
    )


def _changed(change: str, present: SourceStore, settings: Settings) -> SourceStore:
    if not is_seed_file(change) or is_change_file(change):
        return open_candidate_store(change, present, settings)
    seed = load_seed(Path(change), partition=settings.partition, quotas=present.quotas)
    copy = copy_to_memory(present)
    try:
        apply_seed(copy, seed)
    except BaseException:
        copy.close()
        raise
    return copy


def _lines(result: Comparison, broken: list[str]) -> Iterator[str]:
    for change in result.flips:
        yield from change_lines(change)
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
