"""`iam-guard analyze escalation`: the paths by which principals gain more access."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import click

from iam_guard.analysis.escalation.escalation_path import ADMINISTRATOR, Escalations
from iam_guard.analysis.escalation.escalation_search import escalations
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.cli.kit.gc_tuning import relaxed_gc
from iam_guard.cli.kit.progress import progress
from iam_guard.cli.kit.terminal import quantity
from iam_guard.policy.grammar import shown
from iam_guard.settings import load_settings
from iam_guard.store.opening import open_store


@click.command()
@STORE
@answering
@relaxed_gc()
def command(store: str) -> Answer:
    """Find which principals can become others, or an administrator, and how; and who is an administrator already.

    Exit code 1 if any can become more.
    """
    settings = load_settings()
    with progress("searching"), closing(open_store(store, settings)) as opened:
        found = escalations(opened, settings=settings)
    return Answer(found.to_dict(), _lines(found), exit_code=1 if found.paths else 0, indent=2)


def _lines(found: Escalations) -> Iterator[str]:
    paths = found.paths
    for administrator in found.administrators:
        yield shown(f"{administrator.principal} is an administrator: {administrator.why}")
    for path in paths:
        target = click.style(path.target, fg="red") if path.target == ADMINISTRATOR else shown(path.target)
        yield f"{shown(path.start)} -> {target}"
        for number, step in enumerate(path.steps, start=1):
            yield shown(f"  {number}. {step.action} on {step.resource}")
            yield shown(f"     {step.why}")
    most = sum(path.target == ADMINISTRATOR for path in paths)
    yield f"{quantity(len(paths), 'path')}, {most} to {ADMINISTRATOR}"
