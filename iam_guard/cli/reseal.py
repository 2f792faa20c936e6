"""`iam-guard reseal`: the last step of a rotation of sealing keys but one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import click

from iam_guard.cli.kit.change_recording import recorded_store
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.cli.kit.progress import progress
from iam_guard.model.result import CallResult
from iam_guard.settings import load_settings
from iam_guard.store.database.time_limits import paced
from iam_guard.store.opening import accept_sealing_keys
from iam_guard.store.sealed_values import ResealedBatch, resealed_batches


@click.command()
@click.option("--lost-keys", "are_lost", is_flag=True, help="Accept the sealing keys in place of the store's own.")
@STORE
@answering
def command(are_lost: bool, store: str) -> Answer:
    """Encrypt the store's secrets that have another key again with the first sealing key.

    Run it once all processes have the new key first. Remove the old key when no credential, cookie or sealed text is
    left that was made with it. Exit code 1 if a secret can't be decrypted, since its key is not among the sealing keys.
    """
    total = ResealedBatch()
    if are_lost:
        accept_sealing_keys(store, load_settings())
    with recorded_store(store) as (opened, change_recorder):
        change_recorder.prepare()
        with progress("resealing", unit="secrets") as advance:
            for batch in paced(resealed_batches(opened)):
                total.resealed += batch.resealed
                total.unopened += batch.unopened
                advance(batch.resealed.total())
        if total.resealed:
            change_recorder.record(CallResult(action="iam-guard:Reseal", parameters={"secrets": dict(total.resealed)}))
    lines = [
        *_lines(total.resealed, "encrypted again with the first key"),
        *_lines(total.unopened, "left, since their key is not among the sealing keys"),
    ]
    return Answer(
        {"resealed": dict(total.resealed), "unopened": dict(total.unopened)},
        lines or "all secrets are encrypted with the first key",
        exit_code=1 if total.unopened else 0,
    )


def _lines(counts: Counter[str], result: str) -> Iterator[str]:
    return (f"{count:,} of {table.replace('_', ' ')}: {result}" for table, count in counts.items())
