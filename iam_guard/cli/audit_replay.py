"""`iam-guard audit replay`: what recorded requests would be answered with other policies.

Must not live here: how they are decided and compared (`iam_guard.replay`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import click

from iam_guard.audit.reader import read
from iam_guard.cli.options import JSON, STORE
from iam_guard.errors import InvalidInput
from iam_guard.replay import Comparison, Flip, Replayer, compare_decisions
from iam_guard.settings import Settings, load
from iam_guard.store.opening import is_seed_file, open_store
from iam_guard.store.protocol import SourceStore
from iam_guard.store.seed import apply_seed, load_seed
from iam_guard.store.snapshot import copied_to_memory


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE..."
)
@click.option(
    "--with",
    "change",
    metavar="SEED|URL",
    help="A seed file, applied to a copy of the store in memory; or the URL of another store.",
)
@STORE
@JSON
def replay(files: tuple[Path, ...], change: str | None, store: str, as_json: bool) -> None:
    """Decide the requests of audit FILES again, and list what comes out otherwise: exit code 1 when anything does."""
    settings = load()
    broken: list[str] = []
    with ExitStack() as opened:
        present = open_store(store, settings, create=False)
        opened.callback(present.close)
        changed = None if change is None else _changed(change, present, settings)
        if changed is not None:
            opened.callback(changed.close)
        result = compare_decisions(
            _records(files, broken),
            Replayer(present, settings),
            None if changed is None else Replayer(changed, settings),
        )
    click.echo(json.dumps(_as_dict(result, broken)) if as_json else "\n".join(_in_words(result, broken)))
    sys.exit(2 if broken or result.contradictions else 1 if result.flips else 0)


def _changed(change: str, present: SourceStore, settings: Settings) -> SourceStore:
    if not is_seed_file(change):
        return open_store(change, settings, create=False)
    seed = load_seed(Path(change), partition=settings.partition)
    copy = copied_to_memory(present)
    try:
        apply_seed(copy, seed)
    except BaseException:
        copy.close()
        raise
    return copy


def _records(files: tuple[Path, ...], broken: list[str]) -> Iterator[dict[str, Any]]:
    def note(error: InvalidInput) -> None:
        broken.append(str(error))

    return chain.from_iterable(read(file, on_broken=note) for file in files)


def _as_dict(result: Comparison, broken: list[str]) -> dict[str, Any]:
    return {**asdict(result), "flipped": result.flipped, "broken": broken}


def _in_words(result: Comparison, broken: list[str]) -> Iterator[str]:
    for flip in result.flips:
        yield from _flip_in_words(flip)
    total = result.compared + result.incomparable.total()
    yield (
        f"{total} decisions, {result.compared} compared: {result.flipped} would come out otherwise; "
        f"{result.recorded_policies} were decided again with the recorded policies, {result.drifted} differ since"
    )
    for problem, count in result.incomparable.most_common():
        yield f"{count} not compared: {problem}"
    if result.others:
        yield f"{result.others} records that tell no decision"
    for event_id in result.contradictions:
        yield f"the same policies decide otherwise than recorded: {event_id}"
    yield from broken


def _flip_in_words(flip: Flip) -> Iterator[str]:
    yield f"{flip.count} x {flip.principal} {flip.action} {flip.resource}: {flip.was} -> {flip.becomes}"
    yield f"    before: {'; '.join(flip.before) or 'no statement'}"
    yield f"    after:  {'; '.join(flip.after) or 'no statement'}"
    yield f"    {flip.first} to {flip.last}, first {flip.event_id}"
